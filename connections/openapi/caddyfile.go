package openapi

import (
	"fmt"
	"strings"
)

// Caddyfile returns the `api` block as `caddy fmt` writes it, and before it the
// messages, as comments. A file is where the document is, for the block's
// openapi, or "".
func (i *Imported) Caddyfile(file string) string {
	p := &printer{}
	api := i.API
	p.open("api", api.Name)
	if api.BaseURL != "" {
		// a template has no quotes; without them, caddy fmt takes its braces for blocks
		p.write(`base_url "` + api.BaseURL + `"`)
	}
	for _, v := range api.Variables {
		p.variable(v)
	}
	for _, auth := range api.Auth {
		p.auth(api.Name, auth)
	}
	if api.Test != "" {
		p.line("test", "GET", api.Test)
	}
	if file != "" {
		p.line("openapi", file)
	}
	p.close()
	return comments(append(i.Messages[:len(i.Messages):len(i.Messages)], p.list...)) + p.b.String()
}

// comments are messages of which nothing ends a comment. What stands in a
// comment is expanded too, where it is a variable of the environment.
func comments(list []Message) string {
	var b strings.Builder
	write := func(text string) {
		text = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, text)
		b.WriteString("# " + strings.ReplaceAll(text, "{$", "{ $") + "\n")
	}
	for _, m := range list {
		write(string(m.Severity) + ": " + m.Text)
		for _, detail := range m.Detail {
			write("  - " + detail)
		}
	}
	return b.String()
}

type printer struct {
	messages
	b     strings.Builder
	depth int
}

// line writes words, each of which is one token. If one of them can't be, the
// line is left out.
func (p *printer) line(words ...string) {
	tokens := make([]string, len(words))
	for i, word := range words {
		var ok bool
		if tokens[i], ok = token(word); !ok {
			p.add(Warning, fmt.Sprintf("%s is left out: it has characters that no line of a Caddyfile can have.", tokens[0]), shown(word))
			return
		}
	}
	p.write(strings.Join(tokens, " "))
}

func (p *printer) write(line string) {
	p.b.WriteString(strings.Repeat("\t", p.depth) + line + "\n")
}

func (p *printer) open(words ...string) {
	p.write(strings.Join(words, " ") + " {") // words of our own, and names
	p.depth++
}

func (p *printer) close() {
	p.depth--
	p.write("}")
}

func (p *printer) variable(v Variable) {
	if v.Default == "" && v.Pattern == "" {
		return // as it is without
	}
	p.open("variable", v.Name)
	if v.Default != "" {
		p.line("default", v.Default)
	}
	if v.Pattern != "" {
		p.line("pattern", v.Pattern)
	}
	p.close()
}

func (p *printer) auth(api string, a Auth) {
	switch {
	case a.OAuth2 != nil:
		p.oauth2(api, a.OAuth2)
	case a.Type == "api_key":
		p.line("auth", a.Type, a.In, a.Name)
	default:
		p.line("auth", a.Type)
	}
}

func (p *printer) oauth2(api string, o *OAuth2) {
	p.open("auth", "oauth2")
	p.line("grant", o.Grant)
	if o.AuthorizeURL != "" {
		p.line("authorize_url", o.AuthorizeURL)
	}
	p.line("token_url", o.TokenURL)
	p.write("client_id <id>")
	p.write("client_secret {env." + strings.ToUpper(strings.ReplaceAll(api, "-", "_")) + "_CLIENT_SECRET}")
	if len(o.Scopes) > 0 {
		p.line(append([]string{"scopes"}, o.Scopes...)...)
	}
	p.line("auth_style", o.AuthStyle)
	p.close()
}
