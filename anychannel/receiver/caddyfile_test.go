package receiver

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
)

func TestUnmarshalCaddyfile(t *testing.T) {
	for input, want := range map[string]string{
		"":                           `{}`,
		"{\n}":                       `{}`,
		"{\nmax_body 1MiB\n}":        `{"max_body":1048576}`,
		"{\nsecret key l1t{er}al\n}": `{"secret":{"member":"key","secrets":["l1t{er}al"]}}`,
		"{\nsecret a.b {env.A} {file./b} literal\nmax_body 1\n}": `{"max_body":1,"secret":{"member":"a.b","secrets":["{env.A}","{file./b}","literal"]}}`,

		"x":                               "wrong argument count or unexpected line ending after 'x', at Testfile:1",
		"x {\n}":                          "after 'x', at Testfile:1",
		"{\nmax_body\n}":                  "after 'max_body', at Testfile:2",
		"{\nmax_body 0\n}":                "max_body '0' is not a size above zero, at Testfile:2",
		"{\nmax_body -1\n}":               "max_body '-1' is not a size above zero, at Testfile:2",
		"{\nmax_body many\n}":             "max_body 'many' is not a size above zero, at Testfile:2",
		"{\nmax_body 1 2\n}":              "after '2', at Testfile:2",
		"{\nmax_body 1\nmax_body 1\n}":    "duplicate subdirective 'max_body', at Testfile:3",
		"{\nmax_body 1 {\nx\n}\n}":        "'max_body' takes no block, at Testfile:3",
		"{\nsecret\n}":                    "after 'secret', at Testfile:2",
		"{\nsecret key\n}":                "after 'key', at Testfile:2",
		"{\nsecret \"\" {env.A}\n}":       "the secret's member is empty, at Testfile:2",
		"{\nsecret key \"\"\n}":           "secret 1 is empty, at Testfile:2",
		"{\nsecret key {env.A} \"\"\n}":   "secret 2 is empty, at Testfile:2",
		"{\nsecret k {env.A} {\nx\n}\n}":  "'secret' takes no block, at Testfile:3",
		"{\nsecret {\nx\n}\n}":            "after 'secret', at Testfile:2",
		"{\nsecret k a\n\nsecret k b\n}":  "duplicate subdirective 'secret', at Testfile:4",
		"{\nsecrets k a\n}":               "unrecognized subdirective 'secrets', at Testfile:2",
		"{\nmax_body 1\nencoding json\n}": "unrecognized subdirective 'encoding', at Testfile:3",
		"{\nmax_body 1KiB\nMAX_BODY 1\n}": "unrecognized subdirective 'MAX_BODY', at Testfile:3",
	} {
		h := new(Handler)
		err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser("any_channel_service " + input))
		if !strings.HasPrefix(want, "{") {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %s", input, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", input, err)
			continue
		}
		if got, err := json.Marshal(h); err != nil || string(got) != want {
			t.Errorf("%q: %s %v, want %s", input, got, err, want)
		}
	}
}

// As a directive it has a matcher, and a place in the order: behind
// authentication, before what answers.
func TestDirective(t *testing.T) {
	adapt := func(input string) (string, error) {
		adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
		adapted, _, err := adapter.Adapt([]byte(input), nil)
		return string(adapted), err
	}
	got, err := adapt(":80 {\n\trespond hi\n\tany_channel_service /like {\n\t\tsecret key {env.A}\n\t}\n\tbasic_auth {\n\t\ta $2a$14$x\n\t}\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	auth, ours, answer := strings.Index(got, `"authentication"`), strings.Index(got, `"any_channel_service"`), strings.Index(got, `"static_response"`)
	if auth < 0 || ours < auth || answer < ours || !strings.Contains(got, `{"path":["/like"]}`) ||
		!strings.Contains(got, `{"handler":"any_channel_service","secret":{"member":"key","secrets":["{env.A}"]}}`) {
		t.Errorf("%s", got)
	}
	if _, err := adapt(":80 {\n\tany_channel_service {\n\t\tx\n\t}\n}\n"); err == nil ||
		!strings.Contains(err.Error(), "unrecognized subdirective 'x', at Caddyfile:3") {
		t.Errorf("%v", err)
	}
}
