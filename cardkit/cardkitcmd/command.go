// Package cardkitcmd adds the command `caddy cardkit`, which writes and
// reads the client actions of Blink cards. It is apart from package cardkit
// so that programs that only encode or decode do not link Caddy.
package cardkitcmd

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/f737063d/caddy-connector/cardkit"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "cardkit",
		Usage: "post|link|webview|decode <argument> [flags]",
		Short: "Encodes and decodes the client actions of Blink cards",
		Long: `
Writes and reads client actions: the strings under "client_action" in the
buttons of a Blink card.

post <path> [--body <json>]
    Sends a POST request to an integration. The path begins with
    /connector/<service_id> and may have a query. Without --body, {} is sent.

link <url>
    Opens an http or https URL in the system's browser.

webview <url> [--id <id>]
    Opens an http or https URL inside the Blink app. The desktop app does not
    open a second webview with the same id.

decode <action>
    Prints what a client action says, as JSON.

The result is written to stdout. Anything that is not allowed in a client
action is an error, and then nothing is written there. Put actions and URLs
in single quotes: the shell has its own use for ? and &.
`,
		CobraFunc: setUp,
	})
}

// setUp adds the subcommands.
func setUp(cmd *cobra.Command) {
	cmd.Example = `  $ caddy cardkit post '/connector/l-123/requests/7?action=approve' --body '{"note":"ok"}'
  $ caddy cardkit link 'https://example.com/'
  $ caddy cardkit webview 'https://example.com/' --id timeline
  $ caddy cardkit decode 'blink:link?url=aHR0cHM6Ly9leGFtcGxlLmNvbS8%3D&action=open'`
	cmd.AddCommand(postCommand(), linkCommand(), webviewCommand(), decodeCommand())

	// without this, cobra prints the help and exits with 0
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown subcommand %.32q: it must be post, link, webview or decode", args[0])
		}
		return errors.New("a subcommand is required: post, link, webview or decode")
	}
}

func postCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:                   "post <path> [--body <json>]",
		DisableFlagsInUseLine: true,
		Short:                 "Encodes a POST request to an integration",
		Args:                  oneArgument("<path>"),
	}
	body := cmd.Flags().StringP("body", "b", "{}", "The JSON text to send")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return printEncoded(cmd, cardkit.Action{Kind: cardkit.KindPost, URL: args[0], Body: json.RawMessage(*body)})
	}
	return cmd
}

func linkCommand() *cobra.Command {
	return &cobra.Command{
		Use:                   "link <url>",
		DisableFlagsInUseLine: true,
		Short:                 "Encodes a link that opens in the system's browser",
		Args:                  oneArgument("<url>"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return printEncoded(cmd, cardkit.Action{Kind: cardkit.KindLink, URL: args[0]})
		},
	}
}

func webviewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:                   "webview <url> [--id <id>]",
		DisableFlagsInUseLine: true,
		Short:                 "Encodes a web page that opens inside the Blink app",
		Args:                  oneArgument("<url>"),
	}
	id := cmd.Flags().StringP("id", "i", "", "The name of the webview")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return printEncoded(cmd, cardkit.Action{Kind: cardkit.KindWebview, URL: args[0], ID: *id})
	}
	return cmd
}

func decodeCommand() *cobra.Command {
	return &cobra.Command{
		Use:                   "decode <action>",
		DisableFlagsInUseLine: true,
		Short:                 "Prints a client action as JSON",
		Args:                  oneArgument("<action>"),
		RunE: func(cmd *cobra.Command, args []string) error {
			action, err := cardkit.Decode(args[0])
			if err != nil {
				return err
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "\t")
			// the & of a query is to be read by people
			enc.SetEscapeHTML(false)
			return enc.Encode(action)
		},
	}
}

func printEncoded(cmd *cobra.Command, action cardkit.Action) error {
	s, err := action.Encode()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), s)
	return err
}

// oneArgument is cobra.ExactArgs(1) with an error that names the argument.
func oneArgument(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s takes exactly one argument, %s; got %d", cmd.CommandPath(), name, len(args))
		}
		return nil
	}
}
