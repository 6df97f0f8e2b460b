package signature

import (
	"crypto/ed25519"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// DefaultTolerance is how far the time of an attempt may be from ours, where
// nobody says otherwise.
const DefaultTolerance = 5 * time.Minute

// Why a message is not verified. What wraps them names the header field, and
// holds nothing of the request.
var (
	ErrMissing   = errors.New("a header field of the signature is missing")
	ErrMalformed = errors.New("a header field of the signature is malformed")
	ErrExpired   = errors.New("the webhook is too old")
	ErrTooEarly  = errors.New("the webhook is from the future")
	ErrNoMatch   = errors.New("no signature of the webhook is ours")
)

// Verifier is what a signature is verified with: a Secret or a PublicKey.
type Verifier interface {
	// verifies reports whether one of the signatures in the list is of that
	// content.
	verifies(signed *content, signatures string) bool
}

// Message is what a request says of its signature. Nothing of it can be trusted
// before Match.
type Message struct {
	ID        string
	Timestamp int64 // of the attempt, in Unix seconds

	signatures string
}

// Verify checks that the body was signed with one of the keys, at most the
// tolerance ago or ahead, and returns the message.
func Verify(h http.Header, names Names, body []byte, now time.Time, tolerance time.Duration, keys ...Verifier) (Message, error) {
	m, err := Parse(h, names)
	if err == nil {
		err = m.InTime(now, tolerance)
	}
	if err == nil {
		_, err = m.Match(body, keys...)
	}
	if err != nil {
		return Message{}, err
	}
	return m, nil
}

// Parse reads the header fields, strictly. It fails with ErrMissing or
// ErrMalformed.
func Parse(h http.Header, names Names) (Message, error) {
	names = names.orDefault()
	var values [3]string
	for i, field := range names.fields() {
		value, err := field.find(h)
		if err != nil {
			return Message{}, err
		}
		values[i] = value
	}
	seconds, isTime := parseSeconds(values[1])
	m := Message{ID: values[0], Timestamp: seconds, signatures: values[2]}
	switch {
	case !ValidID(m.ID):
		return Message{}, names.id.malformed()
	case !isTime:
		return Message{}, names.timestamp.malformed()
	case !validList(m.signatures):
		return Message{}, names.signature.malformed()
	}
	return m, nil
}

// parseSeconds parses a time of the one spelling that is signed.
func parseSeconds(text string) (seconds int64, ok bool) {
	seconds, err := strconv.ParseInt(text, 10, 64)
	return seconds, err == nil && seconds >= 0 && strconv.FormatInt(seconds, 10) == text
}

// validList reports whether a text is a list of signatures, single spaces
// between them, each a version and a value. Versions that are unknown may be
// among them.
func validList(signatures string) bool {
	if strings.Count(signatures, " ") >= MaxSignatures {
		return false
	}
	for signature := range strings.SplitSeq(signatures, " ") {
		version, value, _ := strings.Cut(signature, ",")
		if version == "" || value == "" {
			return false
		}
	}
	return true
}

// InTime checks that the attempt was made at most the tolerance before or after
// now, in whole seconds. It fails with ErrExpired or ErrTooEarly.
func (m Message) InTime(now time.Time, tolerance time.Duration) error {
	seconds, skew := now.Unix(), int64(tolerance/time.Second)
	switch {
	case m.Timestamp < seconds-skew:
		return ErrExpired
	case m.Timestamp > seconds+skew:
		return ErrTooEarly
	}
	return nil
}

// Match returns the index of the first key that one of the signatures was made
// with, of the message with that body. It fails with ErrNoMatch.
func (m Message) Match(body []byte, keys ...Verifier) (int, error) {
	signed := newContent(m.ID, m.Timestamp, body)
	for i, key := range keys {
		if key.verifies(signed, m.signatures) {
			return i, nil
		}
	}
	return -1, ErrNoMatch
}

// verifies compares with what we would have written, so that a signature has one
// spelling.
func (s Secret) verifies(signed *content, signatures string) bool {
	if s.IsZero() {
		return false // anyone can sign with an empty key
	}
	if public, ok := s.PublicKey(); ok {
		return public.verifies(signed, signatures)
	}
	want := s.appendSignature(make([]byte, 0, 64), signed)
	found := 0
	for signature := range strings.SplitSeq(signatures, " ") {
		found |= subtle.ConstantTimeCompare(want, []byte(signature))
	}
	return found == 1
}

func (k PublicKey) verifies(signed *content, signatures string) bool {
	if k.IsZero() {
		return false
	}
	for signature := range strings.SplitSeq(signatures, " ") {
		encoded, ours := strings.CutPrefix(signature, pairVersion)
		if !ours || len(encoded) != base64.StdEncoding.EncodedLen(ed25519.SignatureSize) {
			continue
		}
		decoded, ok := decode(encoded)
		if ok && len(decoded) == ed25519.SignatureSize && ed25519.Verify(k.key, signed.join(), decoded) {
			return true
		}
	}
	return false
}

// Interface guards
var (
	_ Verifier = Secret{}
	_ Verifier = PublicKey{}
)
