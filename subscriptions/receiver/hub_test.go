package receiver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

// newHubPost returns a request with the other signature.
func newHubPost(t testing.TB, body, text string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/hook", strings.NewReader(body))
	secret, err := signature.ParseHubSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := signature.SignHub(r.Header, []byte(body), secret); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestHubSignature(t *testing.T) {
	h, c := provisioned(t, &Handler{HubSignature: true}, currentSecret, hubText)
	c.seconds += 1e6
	for range 2 { // there is no protection from replays
		for text, result := range map[string]string{currentSecret: "current", hubText: "previous"} {
			r := newHubPost(t, event, text)
			r.Header.Set("Webhook-Id", "not signed")
			var s served
			if n := counted(result, func() { s = serve(t, h, r) }); n != 1 {
				t.Errorf("%s: counted %v times", result, n)
			}
			if s.code(t) != "ok" || s.body != event || s.id != "" || s.timestamp != "" {
				t.Errorf("%s: %s %q %q %q", result, s.code(t), s.body, s.id, s.timestamp)
			}
		}
	}
	for name, tc := range map[string]struct {
		code   string
		change func(*http.Request)
	}{
		"none":           {"signature_missing", func(r *http.Request) { r.Header.Del("X-Hub-Signature-256") }},
		"SHA-1 only":     {"signature_missing", func(r *http.Request) { r.Header = http.Header{"X-Hub-Signature": {"sha1=x"}} }},
		"twice":          {"signature_malformed", func(r *http.Request) { r.Header.Add("X-Hub-Signature-256", "x") }},
		"malformed":      {"signature_malformed", func(r *http.Request) { r.Header.Set("X-Hub-Signature-256", "sha256=x") }},
		"other body":     {"signature_invalid", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(event + " ")); r.ContentLength = -1 }},
		"body too large": {"body_too_large", func(r *http.Request) { r.ContentLength = 2 << 20 }},
	} {
		r := newHubPost(t, event, currentSecret)
		tc.change(r)
		if got := serve(t, h, r).code(t); got != tc.code {
			t.Errorf("%s: %s, want %s", name, got, tc.code)
		}
	}
	if got := serve(t, h, newHubPost(t, event, strings.TrimPrefix(currentSecret, "whsec_"))).code(t); got != "signature_invalid" {
		t.Errorf("the secret without its prefix: %s", got)
	}
	h, _ = provisioned(t, new(Handler), currentSecret)
	if got := serve(t, h, newHubPost(t, event, currentSecret)).code(t); got != "signature_missing" {
		t.Errorf("a hub signature where none was asked for: %s", got)
	}
}
