package signature

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// What either signs, the reference library or we, the other verifies.
func TestReferenceLibrary(t *testing.T) {
	for _, body := range []string{"", "{}", vectorBody, "\x00\xff.\r\n", strings.Repeat("é", 1<<16)} {
		for _, id := range []string{"a", vectorID, strings.Repeat("~", 255)} {
			secret, old := NewSecret(), NewSecret()
			now := time.Now()
			for _, text := range []string{secret.Reveal(), strings.TrimPrefix(secret.Reveal(), "whsec_")} {
				theirs, err := standardwebhooks.NewWebhook(text)
				if err != nil {
					t.Fatal(err)
				}
				ours := parsed(t, text)

				// ours to them
				h := make(http.Header)
				if err := Sign(h, Names{}, id, now, []byte(body), old, NewKeyPair(), ours); err != nil {
					t.Fatal(err)
				}
				if err := theirs.Verify([]byte(body), h); err != nil {
					t.Errorf("%q: %v", id, err)
				}
				if err := theirs.Verify([]byte(body+"x"), h); !errors.Is(err, standardwebhooks.ErrNoMatchingSignature) {
					t.Errorf("%q, another body: %v", id, err)
				}

				// theirs to us
				signature, err := theirs.Sign(id, now, []byte(body))
				if err != nil {
					t.Fatal(err)
				}
				h = make(http.Header)
				h.Set(standardwebhooks.HeaderWebhookID, id)
				h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
				h.Set(standardwebhooks.HeaderWebhookSignature, signature)
				m, err := Verify(h, Names{}, []byte(body), now, DefaultTolerance, old, ours)
				if err != nil || m.ID != id || m.Timestamp != now.Unix() {
					t.Errorf("%q: %+v %v", id, m, err)
				}
				if _, err := Verify(h, Names{}, []byte(body+"x"), now, DefaultTolerance, old, ours); !errors.Is(err, ErrNoMatch) {
					t.Errorf("%q, another body: %v", id, err)
				}
			}
		}
	}
}
