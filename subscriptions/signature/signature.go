// Package signature signs and verifies webhooks as Standard Webhooks 1.0.0 has
// it. A request carries the message's id, the time of the attempt, and a list of
// signatures of both and the body:
//
//	webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek
//	webhook-timestamp: 1614265330
//	webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=
//
// The id stays the same over retries, so receivers can drop what they have
// already; the time is new in each. Nothing else of the request is signed: not
// its method, its URL or its other header fields.
//
// A message may be signed with several secrets, and verified with several: who
// changes a secret has both for a while.
package signature

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const (
	maxID = 255 // bytes

	// MaxSignatures is how many signatures a message may have.
	MaxSignatures = 16
)

// What signatures begin with.
const (
	sharedVersion = "v1,"
	pairVersion   = "v1a,"
)

// Sign makes the id, the time and a signature with each of the secrets, the
// newest first, the only values of their names in h. The body is the one that is
// sent, to the byte. If Sign fails, h is as it was.
func Sign(h http.Header, names Names, id string, at time.Time, body []byte, secrets ...Secret) error {
	switch {
	case !ValidID(id):
		return errors.New("the webhook's id must be 1 to 255 visible ASCII characters without a dot")
	case at.Unix() < 0:
		return errors.New("the webhook's time is before 1970")
	case len(secrets) == 0 || len(secrets) > MaxSignatures:
		return fmt.Errorf("a webhook is signed with 1 to %d secrets, not %d", MaxSignatures, len(secrets))
	}
	signed := newContent(id, at.Unix(), body)
	signatures := make([]byte, 0, 96*len(secrets)) // of either kind
	for i, secret := range secrets {
		if secret.IsZero() {
			return fmt.Errorf("secret %d is not set", i+1)
		}
		if i > 0 {
			signatures = append(signatures, ' ')
		}
		signatures = secret.appendSignature(signatures, signed)
	}
	names = names.orDefault()
	values := []string{id, signed.timestamp(), string(signatures)}
	for i, field := range names.fields() {
		field.spellings.Strip(h)
		h[field.name] = values[i : i+1 : i+1]
	}
	return nil
}

// ValidID reports whether a message can have this id: 1 to 255 visible ASCII
// characters. A dot would let two messages have the same signature.
func ValidID(id string) bool {
	if id == "" || len(id) > maxID {
		return false
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] >= 0x7f || id[i] == '.' {
			return false
		}
	}
	return true
}

// content is what is signed: the prefix and the body.
type content struct {
	prefix []byte // id, dot, timestamp, dot
	idSize int
	body   []byte
	joined []byte // both, if they were asked for
}

func newContent(id string, timestamp int64, body []byte) *content {
	prefix := make([]byte, 0, len(id)+len("..")+len("1614265330"))
	prefix = append(prefix, id...)
	prefix = append(prefix, '.')
	prefix = strconv.AppendInt(prefix, timestamp, 10)
	prefix = append(prefix, '.')
	return &content{prefix: prefix, idSize: len(id), body: body}
}

// timestamp returns the text that is signed.
func (c *content) timestamp() string {
	return string(c.prefix[c.idSize+1 : len(c.prefix)-1])
}

// join returns a copy in one piece, which ed25519 needs: it reads it twice.
func (c *content) join() []byte {
	if c.joined == nil {
		c.joined = make([]byte, 0, len(c.prefix)+len(c.body))
		c.joined = append(c.joined, c.prefix...)
		c.joined = append(c.joined, c.body...)
	}
	return c.joined
}

// appendSignature appends a signature with its version. The secret must be set.
func (s Secret) appendSignature(to []byte, signed *content) []byte {
	key := s.reveal()
	if key.private != nil {
		to = append(to, pairVersion...)
		return base64.StdEncoding.AppendEncode(to, ed25519.Sign(key.private, signed.join()))
	}
	to = append(to, sharedVersion...)
	mac := key.shared.get()
	defer key.shared.put(mac)
	return base64.StdEncoding.AppendEncode(to, mac.of(signed.prefix, signed.body))
}
