// Package datastorecmd adds the command `caddy connector`. It is apart from
// package datastore so that other packages can add subcommands.
package datastorecmd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/f737063d/caddy-connector/datastore"
)

var subcommands = []func() *cobra.Command{generateKeyCommand}

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "connector",
		Usage: "<subcommand>",
		Short: "Helps to operate an integration edge",
		Long: `
Helps to operate an integration edge: the directives connector, any_channel,
connections and subscriptions, and what they keep in a database.
`,
		CobraFunc: setUp,
	})
}

// Add gives `caddy connector` a subcommand. Packages call it in their init.
func Add(command func() *cobra.Command) { subcommands = append(subcommands, command) }

func setUp(cmd *cobra.Command) {
	names := make([]string, 0, len(subcommands))
	for _, command := range subcommands {
		sub := command()
		cmd.AddCommand(sub)
		names = append(names, sub.Name())
	}
	known := strings.Join(names, ", ")
	// without this, cobra prints the help and exits with 0
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown subcommand %.32q; there is: %s", args[0], known)
		}
		return errors.New("a subcommand is required: " + known)
	}
}

func generateKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:                   "generate-key",
		DisableFlagsInUseLine: true,
		Short:                 "Prints a new key for encryption_keys",
		Long: `
Prints a new key for encryption_keys: 32 random bytes in base64. Keep it in a
file that only Caddy can read, and a copy apart from those of the database:
without its keys, the secrets in a database are lost.

To rotate keys, put the new one before the old one, on every node, reload, and
POST to /connector/keys/rotate at the admin endpoint. Then remove the old one.
`,
		Example: "  $ (umask 077; caddy connector generate-key > /etc/caddy/connector.key)",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), datastore.NewKey())
			return err
		},
	}
}
