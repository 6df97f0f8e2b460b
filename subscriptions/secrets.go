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

// storedSecret is a secret as it is sealed. It must not be printed.
type storedSecret struct {
	Secret string `json:"secret"`
	Until  int64  `json:"until"` // microseconds since 1970; 0: it is the one in use
}

// secretsOf is where a subscription's secrets belong.
func secretsOf(id string) []byte { return []byte("subscription/" + id + "/secrets") }

// sealSecrets seals a subscription's secrets, the newest first.
func sealSecrets(ring *datastore.KeyRing, id string, secrets []storedSecret) []byte {
	plain, _ := json.Marshal(secrets) // strings and numbers always encode
	return ring.Seal(plain, secretsOf(id))
}

// openStored opens a subscription's secrets without those that have expired.
func openStored(ring *datastore.KeyRing, id string, sealed []byte, now time.Time) ([]storedSecret, error) {
	plain, err := ring.Open(sealed, secretsOf(id))
	if err != nil {
		return nil, err
	}
	var stored []storedSecret
	if json.Unmarshal(plain, &stored) != nil {
		return nil, errors.New("the secrets of a subscription are not what was sealed") // json's error may show them
	}
	valid := stored[:0]
	for _, s := range stored {
		if s.Until == 0 || s.Until > micros(now) {
			valid = append(valid, s)
		}
	}
	return valid, nil
}

// openSecrets returns what a subscription's deliveries are signed with, the
// newest first.
func openSecrets(ring *datastore.KeyRing, id string, sealed []byte, now time.Time) ([]signature.Secret, error) {
	stored, err := openStored(ring, id, sealed, now)
	if err != nil {
		return nil, err
	}
	secrets := make([]signature.Secret, len(stored))
	for i, s := range stored {
		if secrets[i], err = signature.ParseSecret(s.Secret); err != nil {
			return nil, err
		}
	}
	return secrets, nil
}

// rotateSecrets puts a new secret before those of a subscription. More of them
// than a message can be signed with are dropped, the oldest first.
func rotateSecrets(ring *datastore.KeyRing, id string, sealed []byte, now time.Time, secret signature.Secret) ([]byte, error) {
	stored, err := openStored(ring, id, sealed, now)
	if err != nil {
		return nil, err
	}
	for i := range stored {
		if stored[i].Until == 0 {
			stored[i].Until = micros(now.Add(rotationTime))
		}
	}
	stored = append([]storedSecret{{Secret: secret.Reveal()}}, stored...)
	return sealSecrets(ring, id, stored[:min(len(stored), signature.MaxSignatures)]), nil
}
