package subscriptions

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/f737063d/caddy-connector/subscriptions/delivery"
	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

// Signature says how the deliveries of subscriptions are signed that are made
// from then on. Those that there are go on as they were made, so that a change of
// the config breaks no receiver.
type Signature struct {
	// The names of the header fields with the id, the time and the signatures, in
	// this order, for receivers that have fixed ones. Default: `webhook-id`,
	// `webhook-timestamp` and `webhook-signature`.
	Headers []string `json:"headers,omitempty"`

	// Whether deliveries also have `X-Hub-Signature-256`: `sha256=` and the hex of
	// the body's HMAC-SHA256. The key is the text of the newest secret, `whsec_`
	// included. It covers no time, so receivers that check only this take
	// a delivery again that somebody has recorded. With `v1a` there is no secret
	// that the receiver has, and no such field. Default: false.
	Hub bool `json:"hub,omitempty"`
}

// validate checks the names.
func (s *Signature) validate() error {
	if s == nil || s.Headers == nil {
		return nil
	}
	if len(s.Headers) != 3 {
		return errors.New("signature: headers takes the names for the id, the time and the signatures")
	}
	if _, err := signature.NamesOf(s.Headers[0], s.Headers[1], s.Headers[2]); err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	for _, name := range s.Headers {
		if folded := foldField(name); isOwnField(name) && folded != "webhook-id" && folded != "webhook-timestamp" && folded != "webhook-signature" {
			return fmt.Errorf("signature: the header field '%s' is for something else", name)
		}
	}
	return nil
}

// How deliveries are signed.
const (
	versionShared = "v1"  // with a secret that the receiver has
	versionPair   = "v1a" // with a key pair, whose public half the receiver has
)

// signing is what a subscription's deliveries have besides. It is stored with
// the subscription, because they are sent where no handler is. Nothing in it is
// secret.
type signing struct {
	Version   string   `json:"version,omitempty"` // "" for v1
	PublicKey string   `json:"public_key,omitempty"`
	Names     []string `json:"names,omitempty"` // as in Signature
	Hub       bool     `json:"hub,omitempty"`
	Handshake string   `json:"handshake,omitempty"`
	Origin    string   `json:"origin,omitempty"`
	Headers   []string `json:"headers,omitempty"` // the names; so showing them opens nothing sealed
}

// newSigning is what a new subscription has as the config has it.
func (h *Handler) newSigning() signing {
	if h.Signature == nil {
		return signing{}
	}
	return signing{Names: h.Signature.Headers, Hub: h.Signature.Hub}
}

// parseSignature reads how deliveries are to be signed, and makes a secret of
// that kind.
func (s *signing) parseSignature(given json.RawMessage) (secret signature.Secret, err error) {
	if given != nil {
		switch version, _ := text(given); version {
		case versionShared:
		case versionPair:
			s.Version = versionPair
			s.Hub = false
		default:
			return secret, errSignature
		}
	}
	return s.newSecret(), nil
}

// newSecret makes a secret of the kind, and remembers its public half.
func (s *signing) newSecret() signature.Secret {
	if s.Version != versionPair {
		return signature.NewSecret()
	}
	pair := signature.NewKeyPair()
	public, _ := pair.PublicKey() // it is a pair
	s.PublicKey = public.String()
	return pair
}

// encode returns s as it is stored, "" for the usual.
func (s signing) encode() string {
	encoded, _ := json.Marshal(s) // texts always encode
	if string(encoded) == "{}" {
		return ""
	}
	return string(encoded)
}

// decodeSigning reads what encode has made.
func decodeSigning(stored string) (s signing, err error) {
	if stored != "" {
		err = json.Unmarshal([]byte(stored), &s)
	}
	return s, err
}

// prepare has deliveries to a target signed as s says, with what was sealed.
func (s signing) prepare(target *delivery.Target, c *confidential) (err error) {
	if target.Secrets, err = c.keys(); err != nil {
		return err
	}
	target.Header = c.header()
	if len(s.Names) == 3 {
		if target.Names, err = signature.NamesOf(s.Names[0], s.Names[1], s.Names[2]); err != nil {
			return err
		}
	}
	if s.Hub {
		if target.Hub, err = signature.ParseHubSecret(target.Secrets[0].Reveal()); err != nil {
			return err
		}
	}
	if c.HookSecret != "" {
		if target.Hook, err = signature.ParseHubSecret(c.HookSecret); err != nil {
			return err
		}
	}
	if s.Origin != "" {
		target.Header.Set(originField, s.Origin)
	}
	return nil
}

// show says in a view what its owner may see of s.
func (s signing) show(v *view) {
	v.Signature, v.PublicKey, v.Headers = versionShared, s.PublicKey, s.Headers
	if s.Version != "" {
		v.Signature = s.Version
	}
	if v.Headers == nil {
		v.Headers = []string{}
	}
	if s.Handshake != "" {
		v.Handshake = &s.Handshake
	}
}
