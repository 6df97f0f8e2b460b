package credential

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // for APIs that know nothing better; as an HMAC it is not broken
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	maxPrefix    = 256
	maxSeparator = 16
)

// HMAC is a signature of the request with a shared key. What is signed are the
// inputs in their order, with the separator between them. A signature covers what
// the schemes before have put into the request, and not what those behind do.
type HMAC struct {
	// Place is where the signature stands.
	Place Place

	// Prefix stands before the signature, as in "sha256=".
	Prefix string

	// Algorithm is sha1, sha256 or sha512. Empty: sha256.
	Algorithm string

	// Encoding of the signature is hex or base64. Empty: hex.
	Encoding string

	// Inputs are what is signed, each at most once:
	//
	//   method  GET
	//   url     https://api.example.com/a?b=c
	//   host    api.example.com, with the port where it is written in the URL
	//   path    /a, escaped
	//   query   b=c, escaped
	//   date    the value of the header DateHeader, which is set
	//   digest  the value of the header DigestHeader, which is set
	//   body    the bytes of the body
	//
	// Of the URL, they are the bytes that are sent.
	Inputs []string

	// Separator stands between inputs, as a line break does in many APIs.
	Separator string

	// DateHeader carries the time of the attempt, if `date` is signed. Empty: Date.
	DateHeader string

	// DateFormat is http (RFC 9110, section 5.6.7), rfc3339, unix (seconds) or
	// unix_ms. Empty: http. Date has no other.
	DateFormat string

	// DigestHeader carries the body's digest, if `digest` is signed: SHA-512 where
	// the algorithm is, or else SHA-256. Content-Digest (RFC 9530) and Digest
	// (RFC 3230) are written as these say; any other header has the hex digits
	// alone. Empty: Content-Digest.
	DigestHeader string
}

// inputs are what can be signed.
var inputs = []string{"method", "url", "host", "path", "query", "date", "digest", "body"}

var algorithms = map[string]func() hash.Hash{"": sha256.New, "sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}

var dateFormats = map[string]func(time.Time) string{
	"":        httpDate,
	"http":    httpDate,
	"rfc3339": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"unix":    func(t time.Time) string { return fmt.Sprint(t.Unix()) },
	"unix_ms": func(t time.Time) string { return fmt.Sprint(t.UnixMilli()) },
}

func httpDate(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

// Type implements Scheme.
func (HMAC) Type() string { return "hmac" }

func (s HMAC) signs(input string) bool { return slices.Contains(s.Inputs, input) }

func (s HMAC) needsBody() bool { return s.signs("body") || s.signs("digest") }

func (s HMAC) dateHeader() string {
	if s.DateHeader == "" {
		return "Date"
	}
	return s.DateHeader
}

func (s HMAC) digestHeader() string {
	if s.DigestHeader == "" {
		return "Content-Digest"
	}
	return s.DigestHeader
}

func (s HMAC) check() error {
	switch {
	case algorithms[s.Algorithm] == nil:
		return fmt.Errorf("algorithm %q is not sha1, sha256 or sha512", s.Algorithm)
	case s.Encoding != "" && s.Encoding != "hex" && s.Encoding != "base64":
		return fmt.Errorf("encoding %q is not hex or base64", s.Encoding)
	case len(s.Prefix) > maxPrefix || !s.Place.takes(s.Prefix+"x"):
		return errors.New("the prefix cannot stand there")
	case len(s.Separator) > maxSeparator:
		return errors.New("the separator is too long")
	case len(s.Inputs) == 0:
		return errors.New("nothing is signed: there are no inputs")
	}
	for i, input := range s.Inputs {
		if !slices.Contains(inputs, input) {
			return fmt.Errorf("input %q is none of %s", input, strings.Join(inputs, ", "))
		}
		if slices.Contains(s.Inputs[:i], input) {
			return fmt.Errorf("input %q is there twice", input)
		}
	}
	return errors.Join(s.Place.check(), s.checkDate(), s.checkDigest())
}

func (s HMAC) checkDate() error {
	switch {
	case !s.signs("date") && (s.DateHeader != "" || s.DateFormat != ""):
		return errors.New("a date that is not signed proves nothing: it must be among the inputs")
	case dateFormats[s.DateFormat] == nil:
		return fmt.Errorf("date format %q is not http, rfc3339, unix or unix_ms", s.DateFormat)
	case strings.EqualFold(s.dateHeader(), "Date") && s.DateFormat != "" && s.DateFormat != "http":
		return errors.New("the header Date has the format http")
	}
	return checkHeader(s.dateHeader())
}

func (s HMAC) checkDigest() error {
	if !s.signs("digest") && s.DigestHeader != "" {
		return errors.New("a digest that is not signed proves nothing: it must be among the inputs")
	}
	return checkHeader(s.digestHeader())
}

func (s HMAC) claims() []claim {
	claims := []claim{s.Place.claim()}
	if s.signs("date") {
		claims = append(claims, claim{inHeader, s.dateHeader()})
	}
	if s.signs("digest") {
		claims = append(claims, claim{inHeader, s.digestHeader()})
	}
	return claims
}

func (s HMAC) read(m *members) applier {
	if _, ok := m.left["key_base64"]; !ok {
		return hmacKey{s, SecretOf(m.text("key", maxValue)), false}
	}
	key, err := base64.StdEncoding.Strict().DecodeString(m.text("key_base64", maxValue))
	if err != nil || len(key) == 0 {
		m.fail("key_base64", "is not base64")
	}
	return hmacKey{s, SecretOf(string(key)), true}
}

type hmacKey struct {
	scheme HMAC
	key    Secret
	binary bool
}

func (k hmacKey) apply(r *http.Request, at Attempt) error {
	s := k.scheme
	if s.needsBody() && at.Body == nil && r.Body != nil && r.Body != http.NoBody {
		return ErrBody
	}
	if s.signs("date") {
		r.Header[s.dateHeader()] = []string{dateFormats[s.DateFormat](at.Now)}
	}
	if s.signs("digest") {
		r.Header[s.digestHeader()] = []string{s.digest(at.Body)}
	}
	mac := hmac.New(algorithms[s.Algorithm], []byte(k.key.Reveal()))
	for i, input := range s.Inputs {
		if i > 0 {
			_, _ = mac.Write([]byte(s.Separator)) // it never fails
		}
		if input == "body" {
			_, _ = mac.Write(at.Body)
		} else {
			_, _ = mac.Write([]byte(s.input(r, input)))
		}
	}
	encode := hex.EncodeToString
	if s.Encoding == "base64" {
		encode = base64.StdEncoding.EncodeToString
	}
	s.Place.set(r, s.Prefix+encode(mac.Sum(nil)))
	return nil
}

// input returns what is signed of a request, as it is sent.
func (s HMAC) input(r *http.Request, name string) string {
	switch name {
	case "method":
		if r.Method == "" {
			return http.MethodGet
		}
		return r.Method
	case "host":
		return hostOf(r)
	case "date":
		return r.Header[s.dateHeader()][0]
	case "digest":
		return r.Header[s.digestHeader()][0]
	}
	path, query, found := strings.Cut(r.URL.RequestURI(), "?")
	switch {
	case name == "path":
		return path
	case name == "query":
		return query
	case found:
		query = "?" + query
	}
	return r.URL.Scheme + "://" + hostOf(r) + path + query
}

func hostOf(r *http.Request) string {
	if r.Host != "" {
		return r.Host
	}
	return r.URL.Host
}

func (s HMAC) digest(body []byte) string {
	rfc9530, rfc3230, sum := "sha-256", "SHA-256", sha256.New()
	if s.Algorithm == "sha512" {
		rfc9530, rfc3230, sum = "sha-512", "SHA-512", sha512.New()
	}
	_, _ = sum.Write(body)
	digest := sum.Sum(nil)
	switch strings.ToLower(s.digestHeader()) {
	case "content-digest":
		return rfc9530 + "=:" + base64.StdEncoding.EncodeToString(digest) + ":"
	case "digest":
		return rfc3230 + "=" + base64.StdEncoding.EncodeToString(digest)
	}
	return hex.EncodeToString(digest)
}

func (k hmacKey) form() any {
	form := struct {
		Type   string `json:"type"`
		Key    string `json:"key,omitempty"`
		Base64 string `json:"key_base64,omitempty"`
	}{Type: HMAC{}.Type()}
	if k.binary {
		form.Base64 = base64.StdEncoding.EncodeToString([]byte(k.key.Reveal()))
	} else {
		form.Key = k.key.Reveal()
	}
	return form
}

// Interface guard
var _ Scheme = HMAC{}
