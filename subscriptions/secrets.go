package subscriptions

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/f737063d/caddy-connector/datastore"
	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

const (
	secretPrefix = "whsec_"

	// rotationTime is how long a secret that was replaced goes on signing, so
	// that a subscriber has time to take the new one.
	rotationTime = 24 * time.Hour
)

// confidential is what of a subscription is sealed. It must not be printed.
type confidential struct {
	Secrets    []storedSecret    `json:"secrets"`               // the newest first
	Headers    map[string]string `json:"headers,omitempty"`     // that its deliveries have
	HookSecret string            `json:"hook_secret,omitempty"` // of the handshake of that name
}

// storedSecret is a secret as it is sealed.
type storedSecret struct {
	Secret string `json:"secret"`
	Until  int64  `json:"until"` // microseconds since 1970; 0: it is the one in use
}

// secretsOf is where what is sealed of a subscription belongs. Who can write to
// the database, but lacks the keys, cannot have it sent to another target.
func secretsOf(id, target string) []byte {
	return []byte("subscription/" + id + "/secrets/" + target) // no id has a slash
}

// place is where what is sealed of s belongs.
func (s *subscription) place() []byte { return secretsOf(s.id, s.targetURL) }

var sealedSecrets = datastore.SealedTable{Name: "connector_subscriptions", Key: "id", Bound: "target_url", AdditionalData: secretsOf}

// seal seals what belongs to a place.
func (c *confidential) seal(ring *datastore.KeyRing, place []byte) []byte {
	plain, _ := json.Marshal(c) // texts and numbers always encode
	return ring.Seal(plain, place)
}

// openSealed opens what belongs to a place, without secrets that have expired.
func openSealed(ring *datastore.KeyRing, place, sealed []byte, now time.Time) (*confidential, error) {
	plain, err := ring.Open(sealed, place)
	if err != nil {
		return nil, err
	}
	c := new(confidential)
	if json.Unmarshal(plain, c) != nil {
		return nil, errors.New("the secrets of a subscription are not what was sealed") // json's error may show them
	}
	valid := c.Secrets[:0]
	for _, s := range c.Secrets {
		if s.Until == 0 || s.Until > micros(now) {
			valid = append(valid, s)
		}
	}
	c.Secrets = valid
	return c, nil
}

// keys returns what deliveries are signed with, the newest first.
func (c *confidential) keys() ([]signature.Secret, error) {
	if len(c.Secrets) == 0 {
		return nil, errors.New("a subscription has no secret")
	}
	secrets := make([]signature.Secret, len(c.Secrets))
	for i, s := range c.Secrets {
		var err error
		if secrets[i], err = signature.ParseSecret(s.Secret); err != nil {
			return nil, err
		}
	}
	return secrets, nil
}

// rotate puts a new secret before the others. More of them than a message can be
// signed with are dropped, the oldest first.
func (c *confidential) rotate(now time.Time, secret signature.Secret) {
	for i := range c.Secrets {
		if c.Secrets[i].Until == 0 {
			c.Secrets[i].Until = micros(now.Add(rotationTime))
		}
	}
	c.Secrets = append([]storedSecret{{Secret: secret.Reveal()}}, c.Secrets...)
	c.Secrets = c.Secrets[:min(len(c.Secrets), signature.MaxSignatures)]
}
