// Package connectionscmd adds the subcommands of `caddy connector` that help to
// configure connections. It is apart from package connections so that who links
// that has no commands.
package connectionscmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/f737063d/caddy-connector/connections/openapi"
	"github.com/f737063d/caddy-connector/datastore/datastorecmd"
)

func init() { datastorecmd.Add(importCommand) }

// exitIncomplete is the exit code for a block that lacks something.
const exitIncomplete = 2

var errIncomplete = errors.New("the api is incomplete: see the messages of severity error")

func importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:                   "import [--name <name>] [--format caddyfile|json] <file>|-",
		DisableFlagsInUseLine: true,
		Short:                 "Prints the api block of an OpenAPI document",
		Long: `
Reads an OpenAPI document (3.0 or 3.1, JSON or YAML) from a file, or from the
standard input (-), and prints the api block for connections: its base_url with
variables, the auth that the document asks for, and a test. What the document
has beyond that is said in comments.

No other document is read: references lead into the document itself. Its text
cannot become another part of the config, whoever wrote it.

The name of the api is made of the document's title, unless --name gives one.
With --format json, the parts of the block and the messages are printed as JSON.

The exit code is 0 if there is a block, 2 if it lacks something that must be
written by hand, and 1 if there is none.
`,
		Example: "  $ caddy connector import zendesk.yaml >> connections.caddy",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("import takes exactly one argument, the file of the document, or -; got %d", len(args))
			}
			return nil
		},
	}
	name := cmd.Flags().StringP("name", "n", "", "The name of the api")
	format := cmd.Flags().StringP("format", "f", "caddyfile", "What to print: caddyfile or json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		imported, err := importFile(cmd.InOrStdin(), args[0], *name)
		if err != nil {
			return err
		}
		if err := write(cmd.OutOrStdout(), imported, *format, args[0]); err != nil {
			return err
		}
		if imported.Failed() {
			return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return exitIncomplete, errIncomplete })(cmd, args)
		}
		return nil
	}
	return cmd
}

func importFile(stdin io.Reader, file, name string) (*openapi.Imported, error) {
	from := stdin
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer opened.Close()
		from = opened
	}
	document, err := io.ReadAll(io.LimitReader(from, openapi.MaxDocument+1))
	if err != nil {
		return nil, err
	}
	imported, err := openapi.Import(document, name)
	if wrong, ok := errors.AsType[*openapi.Error](err); ok {
		return nil, fmt.Errorf("%s: %w", file, wrong)
	}
	return imported, err
}

func write(to io.Writer, imported *openapi.Imported, format, file string) error {
	switch format {
	case "caddyfile":
		if file == "-" {
			file = ""
		}
		_, err := io.WriteString(to, imported.Caddyfile(file))
		return err
	case "json":
		encoder := json.NewEncoder(to)
		encoder.SetIndent("", "\t")
		// the & of a URL is to be read by people
		encoder.SetEscapeHTML(false)
		return encoder.Encode(imported)
	}
	return fmt.Errorf("the format is caddyfile or json, not %.32q", format)
}
