package cardkit

import (
	"encoding/json"
	"reflect"
	"testing"
)

// samples are all client actions that Blink's documentation shows, as they
// are printed there.
var samples = []struct {
	name   string
	sample string
	action Action
	// what we write for it; empty if that is the sample itself
	encoded string
}{
	{
		name:   "Client Actions, webview",
		sample: "blink:webview?url=aHR0cHM6Ly9jb250ZW50LmpvaW5ibGluay5jb20vIy90aW1lbGluZQ%3D%3D&action=open&id=timeline",
		action: Action{Kind: KindWebview, URL: "https://content.joinblink.com/#/timeline", ID: "timeline"},
	},
	{
		name:    "Client Actions, link: padding not escaped",
		sample:  "blink:link?url=aHR0cHM6Ly9qb2luYmxpbmsuY29tLw==&action=open",
		action:  Action{Kind: KindLink, URL: "https://joinblink.com/"},
		encoded: "blink:link?url=aHR0cHM6Ly9qb2luYmxpbmsuY29tLw%3D%3D&action=open",
	},
	{
		name:   "Client Actions, post: one = too many",
		sample: "blink:post?url=L2Nvbm5lY3Rvci9sLWEyNmRhYjgzLTMzYTEtNDU5Yi1hZGFiLTgzMzNhMTI1OWI3ZC90ZXN0=&body=eyJ0ZXN0IjoiYm9keSJ9",
		action: Action{
			Kind: KindPost,
			URL:  "/connector/l-a26dab83-33a1-459b-adab-8333a1259b7d/test",
			Body: json.RawMessage(`{"test":"body"}`),
		},
		encoded: "blink:post?url=L2Nvbm5lY3Rvci9sLWEyNmRhYjgzLTMzYTEtNDU5Yi1hZGFiLTgzMzNhMTI1OWI3ZC90ZXN0&body=eyJ0ZXN0IjoiYm9keSJ9",
	},
	{
		name:   "CardKit, link: no padding needed",
		sample: "blink:link?url=aHR0cHM6Ly9qb2luYmxpbmsuY29t&action=open",
		action: Action{Kind: KindLink, URL: "https://joinblink.com"},
	},
	{
		name:   "CardKit, post: padding not escaped",
		sample: "blink:post?url=L2Nvbm5lY3Rvci9sLTZjZDdhMDkyLWQ4NDQtNGUzMi1hY2FmLTc4M2I3ODRhYzYyMy9wZXJmb3JtLWJ1aWxkLWFjdGlvbg==&body=eyJjb21tYW5kIjoicmVzdGFydCIsInVzZXIiOiJqb2UuYmxvZ2dzIiwiYnVpbGRfaWQiOiJhZDNlYjMxMmNmIn0=",
		action: Action{
			Kind: KindPost,
			URL:  "/connector/l-6cd7a092-d844-4e32-acaf-783b784ac623/perform-build-action",
			Body: json.RawMessage(`{"command":"restart","user":"joe.bloggs","build_id":"ad3eb312cf"}`),
		},
		encoded: "blink:post?url=L2Nvbm5lY3Rvci9sLTZjZDdhMDkyLWQ4NDQtNGUzMi1hY2FmLTc4M2I3ODRhYzYyMy9wZXJmb3JtLWJ1aWxkLWFjdGlvbg%3D%3D&body=eyJjb21tYW5kIjoicmVzdGFydCIsInVzZXIiOiJqb2UuYmxvZ2dzIiwiYnVpbGRfaWQiOiJhZDNlYjMxMmNmIn0%3D",
	},
	{
		name:   "Proxy Endpoint, post: / not escaped",
		sample: "blink:post?url=L2Nvbm5lY3Rvci9sLTEzYzY4YjZlLTljNmYtNDFjNS04NjhiLTZlOWM2ZjkxYzU5YS9ob2xpZGF5LXJlcXVlc3RzLzIzNDY/YWN0aW9uPWFwcHJvdmU%3D&body=e30%3D",
		action: Action{
			Kind: KindPost,
			URL:  "/connector/l-13c68b6e-9c6f-41c5-868b-6e9c6f91c59a/holiday-requests/2346?action=approve",
			Body: json.RawMessage(`{}`),
		},
	},
}

func TestSamples(t *testing.T) {
	for _, tc := range samples {
		t.Run(tc.name, func(t *testing.T) {
			action, err := Decode(tc.sample)
			if err != nil {
				t.Fatalf("decoding: %v", err)
			}
			if !reflect.DeepEqual(action, tc.action) {
				t.Errorf("decoded %+v, expected %+v", action, tc.action)
			}

			encoded, err := tc.action.Encode()
			if err != nil {
				t.Fatalf("encoding: %v", err)
			}
			expected := tc.encoded
			if expected == "" {
				expected = tc.sample
			}
			if encoded != expected {
				t.Errorf("encoded %s, expected %s", encoded, expected)
			}
		})
	}
}
