package openapi

import (
	"strings"
	"testing"
)

func seeds(f *testing.F) []string {
	all := []string{
		hostile(f, "a"), hostile(f, "`\"\n{$HOME}"), "openapi: 3.1.0\npaths: {/a: &a {get: *a}}\n", "openapi: 3.0.0\n",
	}
	for _, name := range []string{"helpdesk.yaml", "ledger.json", "bare.yaml"} {
		all = append(all, string(file(f, name)))
	}
	return all
}

// Whatever a document has, its block is one, and its messages are comments.
func FuzzImport(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, document string) {
		made, err := Import([]byte(document), "")
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 400 {
				t.Errorf("%q", err)
			}
			return
		}
		checkBlock(t, made, made.Caddyfile(""))
	})
}

// A text stays one, wherever it stands.
func FuzzText(f *testing.F) {
	for _, trick := range tricks {
		f.Add(trick)
	}
	f.Fuzz(func(t *testing.T, text string) {
		made, err := Import([]byte(hostile(t, text)), "")
		if err != nil {
			return // two members have one name
		}
		checkBlock(t, made, made.Caddyfile(text))
	})
}

// No value of a body is told, and no check fails to end.
func FuzzCheck(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed, "GET", "/api/v2/tickets/1", `{"id":"x","followers":[{"q":1}]}`)
		f.Add(seed, "GET", "/accounts/1", `{"id":"x","owner":[1],"x-a":1}`)
	}
	f.Fuzz(func(t *testing.T, document, method, path, body string) {
		d, _, err := Parse([]byte(document))
		if err != nil {
			return
		}
		for _, mediaType := range []string{"application/json", "application/vnd.ledger+json", ""} {
			got := d.Check(Call{Method: method, Path: path, Query: body, Type: mediaType, Status: 200, ResponseType: mediaType, Body: []byte(body)})
			if len(got.Differences) > maxDifferences {
				t.Errorf("%v", got)
			}
		}
	})
}
