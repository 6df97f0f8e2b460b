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
		"{env.A}":                `{"secrets":["{env.A}"]}`,
		"{env.A} {file./b} {\n}": `{"secrets":["{env.A}","{file./b}"]}`,
		"{env.A} {\ntolerance 1m\nmax_body 64KiB\nheader_prefix svix\n}": `{"secrets":["{env.A}"],"tolerance":60000000000,"max_body":65536,"header_prefix":"svix"}`,
		"{env.A} {\nmax_body 1\nhub_signature\n}":                        `{"secrets":["{env.A}"],"max_body":1,"hub_signature":true}`,
		"{env.A} {\ntolerance 1h\n}":                                     `{"secrets":["{env.A}"],"tolerance":3600000000000}`,

		"":                              "wrong argument count or unexpected line ending after 'verify_webhook', at Testfile:1",
		"{\nmax_body 1\n}":              "after 'verify_webhook', at Testfile:1",
		"\"\"":                          "secret 1 is empty, at Testfile:1",
		"{env.A} \"\"":                  "secret 2 is empty, at Testfile:1",
		"{env.A} {\ntolerance\n}":       "after 'tolerance', at Testfile:2",
		"{env.A} {\ntolerance 0\n}":     "tolerance '0' is not a time above zero, at Testfile:2",
		"{env.A} {\ntolerance soon\n}":  "tolerance 'soon' is not a time above zero, at Testfile:2",
		"{env.A} {\ntolerance 1m 2m\n}": "after '2m', at Testfile:2",
		"{env.A} {\ntolerance 1m\ntolerance 1m\n}":       "duplicate subdirective 'tolerance', at Testfile:3",
		"{env.A} {\ntolerance 2h\n}":                     "tolerance must be 1s to 1h0m0s, not 2h0m0s",
		"{env.A} {\ntolerance 10ms\n}":                   "tolerance must be 1s to 1h0m0s, not 10ms",
		"{env.A} {\ntolerance 1m {\nx\n}\n}":             "'tolerance' takes no block, at Testfile:3",
		"{env.A} {\nmax_body 0\n}":                       "max_body '0' is not a size above zero, at Testfile:2",
		"{env.A} {\nmax_body 1\nmax_body 1\n}":           "duplicate subdirective 'max_body', at Testfile:3",
		"{env.A} {\nheader_prefix\n}":                    "after 'header_prefix', at Testfile:2",
		"{env.A} {\nheader_prefix a_b\n}":                "only letters, digits and hyphens are allowed, at Testfile:2",
		"{env.A} {\nheader_prefix a-\n}":                 "must begin and end with a letter or digit, at Testfile:2",
		"{env.A} {\nheader_prefix a b\n}":                "after 'b', at Testfile:2",
		"{env.A} {\nheader_prefix a\nheader_prefix a\n}": "duplicate subdirective 'header_prefix', at Testfile:3",
		"{env.A} {\nhub_signature on\n}":                 "after 'on', at Testfile:2",
		"{env.A} {\nhub_signature\nhub_signature\n}":     "duplicate subdirective 'hub_signature', at Testfile:3",
		"{env.A} {\nhub_signature {\nx\n}\n}":            "'hub_signature' takes no block, at Testfile:3",
		"{env.A} {\nhub_signature\ntolerance 1m\n}":      "hub_signature has no timestamp",
		"{env.A} {\nheader_prefix a\nhub_signature\n}":   "hub_signature has no timestamp",
		"{env.A} {\nsecret {env.B}\n}":                   "unrecognized subdirective 'secret', at Testfile:2",
		"{env.A} {\nMAX_BODY 1\n}":                       "unrecognized subdirective 'MAX_BODY', at Testfile:2",
	} {
		h := new(Handler)
		err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser("verify_webhook " + input))
		if !strings.HasPrefix(want, "{") {
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Testfile:") {
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
	got, err := adapt(":80 {\n\trespond hi\n\tverify_webhook /hook {env.A} {env.B}\n\tbasic_auth {\n\t\ta $2a$14$x\n\t}\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	auth, ours, answer := strings.Index(got, `"authentication"`), strings.Index(got, `"verify_webhook"`), strings.Index(got, `"static_response"`)
	if auth < 0 || ours < auth || answer < ours || !strings.Contains(got, `{"path":["/hook"]}`) ||
		!strings.Contains(got, `{"handler":"verify_webhook","secrets":["{env.A}","{env.B}"]}`) {
		t.Errorf("%s", got)
	}
	if _, err := adapt(":80 {\n\tverify_webhook {env.A} {\n\t\tx\n\t}\n}\n"); err == nil ||
		!strings.Contains(err.Error(), "unrecognized subdirective 'x', at Caddyfile:3") {
		t.Errorf("%v", err)
	}
}
