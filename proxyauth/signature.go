package proxyauth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/f737063d/caddy-connector/internal/header"
	"github.com/f737063d/caddy-connector/internal/secret"
)

// A signed request proves the secret without carrying it. The signature is an
// HTTP Message Signature (RFC 9421) over a Content-Digest (RFC 9530), of this
// one shape; a verifier for RFC 9421 understands it, and ours takes no other:
//
//	Content-Digest: sha-256=:<base64>:
//	Signature-Input: edge=("@method" "@path" "@query" "<user header>" "content-digest");created=<unix>;nonce="<base64url>";keyid="<fingerprint>";alg="hmac-sha256"
//	Signature: edge=:<base64>:

// MaxSignedBody is the longest body, in bytes, of a signed request: both sides
// hold the body in memory to hash it.
const MaxSignedBody = 1 << 20

// signatureLabel names our signature in both fields (RFC 9421, section 4).
const signatureLabel = "edge"

const nonceSize = 16

const (
	digestField    = "Content-Digest"
	inputField     = "Signature-Input"
	signatureField = "Signature"
)

var signatureFields = header.NewSet(digestField, inputField, signatureField)

// WriteSigned makes the user header and the signature the only proof in out,
// whose method and URL must be the ones that are sent. The secret signs and
// stays here; digest is the SHA-256 of the body. Without a secret only the user
// is written, because anyone can sign with an empty key. It must run after
// hop-by-hop headers were removed, as Write.
func (hs Headers) WriteSigned(out *http.Request, s secret.Value, userID string, digest [sha256.Size]byte, now time.Time) {
	signatureFields.Strip(out.Header)
	hs.Write(out.Header, secret.Value{}, userID)
	if s.IsZero() {
		return
	}
	params := signatureParams{created: now.Unix(), keyID: secret.Fingerprint(s.Reveal())}
	_, _ = rand.Read(params.nonce[:]) // it never fails
	m := signedMessage{out.Method, out.URL.RequestURI(), userID, formatDigest(digest)}
	if m.method == "" {
		m.method = http.MethodGet // what net/http sends then
	}
	out.Header[digestField] = []string{m.digest}
	out.Header[inputField] = []string{hs.formatInput(params)}
	out.Header[signatureField] = []string{hs.sign(m, params, s)}
}

// signedMessage is what the signature covers of a request.
type signedMessage struct{ method, target, userID, digest string }

// sign returns the value of the Signature field.
func (hs Headers) sign(m signedMessage, params signatureParams, s secret.Value) string {
	// The target's bytes as sent, from the first `?` on the query; `?` alone
	// stands for none (RFC 9421, sections 2.2.6 and 2.2.7).
	path, query, _ := strings.Cut(m.target, "?")
	base := signatureBase([]component{
		{"@method", m.method},
		{"@path", path},
		{"@query", "?" + query},
		{strings.ToLower(hs.user), m.userID},
		{"content-digest", m.digest},
	}, hs.formatParams(params))
	return signatureLabel + "=:" + base64.StdEncoding.EncodeToString(hmacSHA256([]byte(s.Reveal()), base)) + ":"
}

// component is a covered component of a message: its name and value.
type component struct{ name, value string }

// signatureBase is the signature base of RFC 9421, section 2.5, for components
// without parameters. No value has a line break in it.
func signatureBase(components []component, params string) []byte {
	base := make([]byte, 0, 512) // more than most need
	for _, c := range components {
		base = append(base, '"')
		base = append(base, c.name...)
		base = append(base, `": `...)
		base = append(base, c.value...)
		base = append(base, '\n')
	}
	base = append(base, `"@signature-params": `...)
	return append(base, params...)
}

// hmacSHA256 is the algorithm hmac-sha256 of RFC 9421, section 3.3.3.
func hmacSHA256(key, base []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(base)
	return mac.Sum(nil)
}

// signatureParams are the parameters that differ between our signatures
// (RFC 9421, section 2.3).
type signatureParams struct {
	created int64
	nonce   [nonceSize]byte
	keyID   string // secret.Fingerprint of the secret
}

// coveredWith lists the covered components, as the parameters begin.
func coveredWith(userName string) string {
	return `("@method" "@path" "@query" "` + strings.ToLower(userName) + `" "content-digest")`
}

func (hs Headers) formatParams(params signatureParams) string {
	return hs.covered + ";created=" + strconv.FormatInt(params.created, 10) +
		`;nonce="` + base64.RawURLEncoding.EncodeToString(params.nonce[:]) +
		`";keyid="` + params.keyID + `";alg="hmac-sha256"`
}

func (hs Headers) formatInput(params signatureParams) string {
	return signatureLabel + "=" + hs.formatParams(params)
}

// parseInput parses a Signature-Input of ours. It looks for the three values
// where we write them; that all the rest is ours to the byte, other components,
// parameters, labels and spaces excluded, follows from writing it again.
func (hs Headers) parseInput(value string) (signatureParams, bool) {
	var params signatureParams
	rest, ours := strings.CutPrefix(value, signatureLabel+"="+hs.covered+";created=")
	if !ours {
		return signatureParams{}, false
	}
	created, rest, _ := strings.Cut(rest, `;nonce="`)
	nonce, rest, _ := strings.Cut(rest, `";keyid="`)
	keyID, _, _ := strings.Cut(rest, `"`)

	seconds, err := strconv.ParseInt(created, 10, 64)
	if err != nil || len(nonce) != base64.RawURLEncoding.EncodedLen(nonceSize) || !isFingerprint(keyID) {
		return signatureParams{}, false
	}
	if _, err := base64.RawURLEncoding.Decode(params.nonce[:], []byte(nonce)); err != nil {
		return signatureParams{}, false
	}
	params.created, params.keyID = seconds, keyID
	if hs.formatInput(params) != value {
		return signatureParams{}, false
	}
	return params, true
}

// isFingerprint reports whether id has the form of secret.Fingerprint, so that
// it can be logged whoever sent it.
func isFingerprint(id string) bool {
	return len(id) == 8 && strings.Trim(id, "0123456789abcdef") == ""
}

// formatDigest returns the value of the Content-Digest field (RFC 9530,
// section 2).
func formatDigest(digest [sha256.Size]byte) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(digest[:]) + ":"
}

// parseDigest parses a Content-Digest of ours.
func parseDigest(value string) (digest [sha256.Size]byte, ok bool) {
	encoded, _ := strings.CutPrefix(value, "sha-256=:")
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(encoded, ":"))
	if err != nil || len(decoded) != len(digest) {
		return digest, false
	}
	copy(digest[:], decoded)
	return digest, formatDigest(digest) == value
}
