package integration

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// I15: what the reference library signs reaches the app behind verify_webhook,
// byte for byte, once; nothing else does.
func TestVerifyWebhook(t *testing.T) {
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef01234567"))
	t.Setenv("WEBHOOK_SECRET", secret)
	app := newUpstream(t, nil)
	site := fmt.Sprintf("EDGE {\n\tlog\n\tverify_webhook {env.WEBHOOK_SECRET}\n\treverse_proxy %s {\n\t\theader_up X-Verified {http.verify_webhook.id}\n\t}\n}", app.url)
	s := start(t, "", site)
	sender, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	const body = "{\"n\": 9007199254740993,\n\"e\":\"🎉+&%\"}"
	signed := func(id string, at time.Time, body string) []string {
		signature, err := sender.Sign(id, at, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return []string{"webhook-id: " + id, fmt.Sprintf("webhook-timestamp: %d", at.Unix()), "webhook-signature: " + signature}
	}
	now := time.Now()
	if got := s.do("POST", "/hook", body, signed("evt_1", now, body)...); got.StatusCode != 200 {
		t.Fatalf("answer %d %s", got.StatusCode, got.body)
	}
	request := app.one(t)
	if !strings.HasSuffix(request, "\r\n\r\n"+body) || headerValues(request, "X-Verified")[0] != "evt_1" {
		t.Errorf("the app got %q", request)
	}
	for _, refused := range []struct {
		header []string
		status int
		code   string
	}{
		{signed("evt_1", now, body), 409, "replayed"},
		{signed("evt_2", now, body+" "), 401, "signature_invalid"},
		{signed("evt_3", now.Add(-time.Hour), body), 401, "timestamp_expired"},
		{nil, 401, "signature_missing"},
	} {
		s.do("POST", "/hook", body, refused.header...).isProblem(t, refused.status, refused.code)
	}
	// the sender's own retry, also after a reload
	s.load("", strings.Replace(site, "log\n", "", 1))
	if got := s.do("POST", "/hook", body, signed("evt_1", now.Add(time.Second), body)...); got.StatusCode != 200 {
		t.Errorf("a retry: %d %s", got.StatusCode, got.body)
	}
	s.do("POST", "/hook", body, signed("evt_1", now, body)...).isProblem(t, 409, "replayed")
	if requests := app.seen(); len(requests) != 1 {
		t.Errorf("the app got %q", requests)
	}
	wantNoSecret(t, "the log", s.logs(), secret)
}
