package signature

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// FuzzVerify checks that verifying never panics, that errors are one of those
// that are documented, and that what is accepted was signed: in the list is what
// the secret makes of the very bytes of the id, the timestamp and the body.
func FuzzVerify(f *testing.F) {
	f.Add(vectorID, "1614265330", vectorV1, vectorBody, "")
	f.Add(vectorID, "1614265330", vectorV1a, vectorBody, "")
	f.Add(vectorID, "1614265330", vectorV1a+" v2,x "+vectorV1, vectorBody, "webhook-id")
	f.Add(vectorID+".1614265330", "1614265330", "v1,", "", "Webhook_Signature")
	f.Add("a", "-0", " v1a,"+strings.Repeat("A", 88), "\x00", "webhook-timestamp")
	f.Add("", "9223372036854775807", strings.Repeat("v1,x ", 20), vectorBody, "")

	now := time.Unix(vectorTime, 0)
	secret, public := parsed(f, vectorSecret), verifier(f, vectorPublic).(PublicKey)
	f.Fuzz(func(t *testing.T, id, timestamp, signatures, body, extra string) {
		h := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signatures}}
		if extra != "" {
			h[extra] = append(h[extra], "x")
		}
		m, err := Verify(h, Names{}, []byte(body), now, DefaultTolerance, secret, public)
		if err != nil {
			known := 0
			for _, one := range []error{ErrMissing, ErrMalformed, ErrExpired, ErrTooEarly, ErrNoMatch} {
				if errors.Is(err, one) {
					known++
				}
			}
			if known != 1 || m != (Message{}) {
				t.Errorf("%v, %+v", err, m)
			}
			return
		}
		content := []byte(id + "." + timestamp + "." + body)
		mac := hmac.New(sha256.New, secret.reveal().shared.bytes)
		mac.Write(content)
		good := false
		for _, signature := range strings.Split(signatures, " ") {
			good = good || signature == "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))
			decoded, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(signature, "v1a,"))
			good = good || err == nil && strings.HasPrefix(signature, "v1a,") && ed25519.Verify(public.key, content, decoded)
		}
		seconds, err := strconv.ParseInt(timestamp, 10, 64)
		if !good || m.ID != id || strings.Contains(id, ".") || err != nil || m.Timestamp != seconds || max(seconds-vectorTime, vectorTime-seconds) > 300 {
			t.Errorf("%q %q %q %q is accepted as %+v", id, timestamp, signatures, body, m)
		}
	})
}

// FuzzSignVerify checks that what is signed is verified, of either kind, and no
// more with one bit of it changed.
func FuzzSignVerify(f *testing.F) {
	f.Add(vectorID, int64(vectorTime), []byte(vectorBody), []byte("secret"), uint16(0))
	f.Add("a", int64(0), []byte{}, []byte{}, uint16(999))
	f.Add("a.b", int64(1), []byte("."), []byte{0}, uint16(8))
	f.Add("~", int64(1<<62), bytes.Repeat([]byte{'.'}, 300), bytes.Repeat([]byte{1}, 100), uint16(13))

	f.Fuzz(func(t *testing.T, id string, seconds int64, body, key []byte, flip uint16) {
		seed := sha256.Sum256(key)
		shared, private := newShared(seed[:]), newPrivate(seed[:])
		public, _ := private.PublicKey()
		h := make(http.Header)
		err := Sign(h, Names{}, id, time.Unix(seconds, 0), body, shared, private)
		if valid := ValidID(id) && seconds >= 0; (err == nil) != valid {
			t.Fatalf("%q at %d: %v", id, seconds, err)
		}
		if err != nil {
			if len(h) > 0 {
				t.Errorf("%v", h)
			}
			return
		}
		verify := func(keys ...Verifier) error {
			_, err := Verify(h, Names{}, body, time.Unix(seconds, 0), DefaultTolerance, keys...)
			return err
		}
		for _, key := range []Verifier{shared, private, public} {
			if err := verify(key); err != nil {
				t.Errorf("%v: %v", h, err)
			}
		}
		if len(body) > 0 {
			changed := bytes.Clone(body)
			changed[int(flip)%len(body)] ^= 1 << (flip % 8)
			body = changed
		} else {
			body = []byte{byte(flip)}
		}
		for _, key := range []Verifier{shared, private, public} {
			if err := verify(key); !errors.Is(err, ErrNoMatch) {
				t.Errorf("changed: %v", err)
			}
		}
	})
}
