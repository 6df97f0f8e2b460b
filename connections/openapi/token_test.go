package openapi

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// tricks are texts that would be more than one token, or another one, if they
// were written as they are.
var tricks = []string{
	"a b", "a\tb", "a\nb", "a\r\nb", "\n}\nimport /etc/passwd\n", "a }", "}", "{", "{}", "} {", "a {", "{a", "a}", "\u2028", "\u0085", "\x00", "\x7f", "\xff", "a\x0bb",
	"#", "# a", "a#b", "a #b", "\"", "a\"b", "\"a\"", "`", "a`b", "`a`", "\"`", "`\"\\", "\\", "a\\", "\\\"", "\\\n", "a\\ b", "\\`", "\\{", "`\n`",
	"<<", "<<EOF", "<<EOF\nx\nEOF", "<<<", "<< a", "<id>", "{$HOME}", "{$HOME:x}", "{$X:\n}", "a{$HOME}b", "{env.HOME}", "{http.request.header.X}", "{args[0]}",
	"{block}", "{blocks.a}", "{{a}}", "{{{$HOME}}}", "{file./etc/passwd}", "import", "import a", "&(a)", "(a)", "@a", "*", "a,b", ",", "a,", "'", "'a b'", "$HOME", "$(id)",
	"%0a", "%7B%24HOME%7D", "\ufeff", "\ufeffa", "\u202e", "\u00a0", "a\u00a0b", "\u200b", "é", "日本", "\U0001f600", "--", "-x", "!", ";", "|", "&", "~", "",
	"https://x/?a=1&b=2#c", "X-Api-Key", "eu|us|ap\\.south", strings.Repeat("a", 5000), strings.Repeat("`\"", 50),
}

// words returns the tokens of a Caddyfile, by line, as Caddy reads it with an
// environment that has more than one line.
func words(t testing.TB, config string) [][]string {
	t.Helper()
	tokens, err := caddyfile.Tokenize([]byte(config), "Caddyfile")
	if err != nil {
		t.Fatalf("%v\n%s", err, config)
	}
	var lines [][]string
	last := -1
	for _, token := range tokens {
		if token.Line != last {
			lines = append(lines, nil)
		}
		last = token.Line
		lines[len(lines)-1] = append(lines[len(lines)-1], token.Text)
	}
	return lines
}

func TestToken(t *testing.T) {
	for _, trick := range tricks {
		written, ok := token(trick)
		if !ok {
			continue
		}
		if strings.ContainsAny(written, "{}") {
			t.Errorf("%q: %s", trick, written)
		}
		config := "api x {\n\tauth " + written + " next\n}\n"
		if got := words(t, config); !slices.EqualFunc(got, [][]string{{"api", "x", "{"}, {"auth", trick, "next"}, {"}"}}, slices.Equal) {
			t.Errorf("%q: %q", trick, got)
		}
		if formatted := string(caddyfile.Format([]byte(config))); formatted != config {
			t.Errorf("%q: caddy fmt makes of it %s", trick, formatted)
		}
	}
	for _, text := range []string{"a b", "#", `a"b`, "a`b", `\`, "<<EOF", "é"} {
		if _, ok := token(text); !ok {
			t.Errorf("%q cannot be written", text)
		}
	}
}

// hostile has a text wherever a document has one that could be printed.
func hostile(t testing.TB, text string) string {
	flow := func() map[string]any {
		return map[string]any{
			"authorizationUrl": "https://x.example/" + text, "tokenUrl": "https://x.example/" + text, "refreshUrl": text,
			"scopes": map[string]any{text: text},
		}
	}
	scheme := func(members ...any) map[string]any {
		made := map[string]any{"description": text}
		for i := 0; i < len(members); i += 2 {
			made[members[i].(string)] = members[i+1]
		}
		return made
	}
	schemes := map[string]any{
		"header": scheme("type", "apiKey", "in", "header", "name", text), "query": scheme("type", "apiKey", "in", "query", "name", text),
		"cookie": scheme("type", "apiKey", "in", "cookie", "name", text), "in": scheme("type", "apiKey", "in", text, "name", text),
		"http": scheme("type", "http", "scheme", text), "type": scheme("type", text), "ref": map[string]any{"$ref": text},
		"oidc": scheme("type", "openIdConnect", "openIdConnectUrl", text), text: scheme("type", "apiKey", "in", "query", "name", "k"+text),
		"code":   scheme("type", "oauth2", "flows", map[string]any{"authorizationCode": flow(), "password": flow(), text: flow()}),
		"client": scheme("type", "oauth2", "flows", map[string]any{"clientCredentials": flow()}),
	}
	var security []any
	for name := range schemes {
		security = append(security, map[string]any{name: []string{text, "a" + text}})
	}
	operation := map[string]any{"operationId": text, "responses": map[string]any{text: map[string]any{"description": text}}}
	return document(t, map[string]any{
		"info": map[string]any{"title": text, "version": text},
		"servers": []any{
			map[string]any{"url": "https://{" + text + "}.x.example.com/{a}{b}/" + text, "variables": map[string]any{
				text: map[string]any{"default": text, "enum": []string{text, "x"}}, "a": map[string]any{"default": text},
				"b": map[string]any{"default": "b", "enum": []string{"b", text}},
			}},
			map[string]any{"url": text},
		},
		"security":   security,
		"paths":      map[string]any{"/" + text: map[string]any{"get": operation}, text: map[string]any{"get": operation}, "/me" + text + "/me": map[string]any{"get": operation}},
		"components": map[string]any{"securitySchemes": schemes},
	})
}

// first are the words that a line of a block may begin with, and how many more
// there may be.
var first = map[string]int{
	"api": 2, "}": 0, "base_url": 1, "variable": 2, "default": 1, "pattern": 1, "auth": 3, "grant": 1, "authorize_url": 1, "token_url": 1,
	"client_id": 1, "client_secret": 1, "scopes": 100, "auth_style": 1, "test": 2, "openapi": 1,
}

// checkBlock fails where a block is more than it can be.
func checkBlock(t testing.TB, made *Imported, block string) {
	t.Helper()
	if strings.Contains(block, "{$") {
		t.Errorf("a variable of the environment is in\n%s", block)
	}
	if formatted := string(caddyfile.Format([]byte(block))); formatted != block {
		t.Errorf("caddy fmt makes of\n%s\nthis:\n%s", block, formatted)
	}
	depth := 0
	for i, line := range words(t, block) {
		more, known := first[line[0]]
		if !known || len(line)-1 > more || (line[0] == "api") != (i == 0) {
			t.Errorf("line %q in\n%s", line, block)
		}
		for j, word := range line {
			switch {
			case word == "{" && j == len(line)-1:
				depth++
			case word == "}" && j == 0:
				depth--
			case word == made.API.BaseURL:
			case strings.ContainsAny(word, "{}") && !(line[0] == "client_secret" && strings.HasPrefix(word, "{env.")):
				t.Errorf("word %q in\n%s", word, block)
			}
		}
	}
	if depth != 0 {
		t.Errorf("the braces are not in pairs in\n%s", block)
	}
}

func TestNothingIsInjected(t *testing.T) {
	printed := 0
	for _, trick := range tricks {
		for _, alone := range []string{"", "header", "query", "cookie", "code", "client", "http", trick} {
			encoded := hostile(t, trick)
			if alone != "" { // so that each scheme is the first
				encoded = strings.Replace(encoded, `"security":[`, fmt.Sprintf(`"security":[{%s:["a",%s]},`, quoted(t, alone), quoted(t, trick)), 1)
			}
			made, err := Import([]byte(encoded), "")
			if err != nil {
				if !strings.Contains(err.Error(), "twice") {
					t.Fatalf("%q: %v", trick, err)
				}
				continue
			}
			checkBlock(t, made, made.Caddyfile("./"+trick))
			printed += len(made.API.Auth)
		}
	}
	if printed < 100 {
		t.Errorf("only %d schemes were printed", printed)
	}
}
