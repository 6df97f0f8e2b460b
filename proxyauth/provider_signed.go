package proxyauth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"io"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

	"github.com/f737063d/caddy-connector/internal/caller"
	"github.com/f737063d/caddy-connector/internal/header"
	"github.com/f737063d/caddy-connector/internal/replay"
	"github.com/f737063d/caddy-connector/internal/secret"
)

// signingKey is a secret under the id that signatures have for it.
type signingKey struct {
	id     string
	secret secret.Value
}

var (
	digestSet    = header.NewSet(digestField)
	inputSet     = header.NewSet(inputField)
	signatureSet = header.NewSet(signatureField)
)

// signedProof is what a signed request presents.
type signedProof struct {
	userID    string
	digest    [sha256.Size]byte
	params    signatureParams
	signature string
}

// authenticateSigned is Authenticate in signed mode.
func (p *Provider) authenticateSigned(w http.ResponseWriter, r *http.Request) (caddyauth.User, bool, error) {
	proof, refusal := p.takeSigned(r.Header)
	if refusal != "" {
		return p.refuse(w, r, refusal, "")
	}
	match, refusal := p.verify(r, proof)
	if refusal != "" {
		return p.refuse(w, r, refusal, proof.params.keyID)
	}
	return p.accept(r, match, proof.userID)
}

// takeSigned removes the proof from h, but for the user, and returns it, or why it
// cannot be one. A secret in the request is refused even beside a
// signature: in signed mode nobody should send it, and it may have leaked.
func (p *Provider) takeSigned(h http.Header) (proof signedProof, refusal string) {
	_, secrets := take(h, p.headers.secret, p.secretSet)
	userID, users := find(h, p.headers.user, p.userSet)
	digest, digests := take(h, digestField, digestSet)
	input, inputs := take(h, inputField, inputSet)
	signature, signatures := take(h, signatureField, signatureSet)

	switch {
	case secrets > 0 || digests == 0 || inputs == 0 || signatures == 0:
		return proof, "unsigned"
	case users > 1 || digests > 1 || inputs > 1 || signatures > 1:
		return proof, "repeated"
	case users == 0:
		return proof, "no_user"
	case !caller.ValidID(userID):
		return proof, "bad_user"
	}
	var validDigest, validInput bool
	proof.userID, proof.signature = userID, signature
	proof.digest, validDigest = parseDigest(digest)
	proof.params, validInput = p.headers.parseInput(input)
	if !validDigest || !validInput {
		return proof, "bad_signature"
	}
	return proof, ""
}

// verify returns which of the secrets signed the request, or why it is refused.
// The order matters: only what the edge has signed makes us hold a body in
// memory, and only what is right to the last byte makes us remember a nonce.
func (p *Provider) verify(r *http.Request, proof signedProof) (match int, refusal string) {
	if !replay.InTime(proof.params.created, maxSkew, p.now().Unix()) {
		return -1, replay.Expired
	}
	if match = p.matchSignature(r, proof); match < 0 {
		return -1, "bad_signature"
	}
	if !holdBody(r, proof.digest) {
		return -1, "bad_digest"
	}
	return match, p.replays.Add(proof.params.created, maxSkew, p.now, keyOf(proof.params))
}

// matchSignature returns which of the secrets made the signature, or -1. Two
// secrets can share an id. What we would have written is compared, so that a
// signature has one spelling.
func (p *Provider) matchSignature(r *http.Request, proof signedProof) int {
	method, target := requestLine(r)
	if !signable(method, target) {
		return -1
	}
	m := signedMessage{method, target, proof.userID, formatDigest(proof.digest)}
	for i, key := range p.keys {
		if key.id != proof.params.keyID {
			continue
		}
		want := p.headers.sign(m, proof.params, key.secret)
		if hmac.Equal([]byte(want), []byte(proof.signature)) {
			return i
		}
	}
	return -1
}

// requestLine returns the method and the target as they were sent: directives
// that rewrite them run before authentication.
func requestLine(r *http.Request) (method, target string) {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return original.Method, original.RequestURI
	}
	return r.Method, r.RequestURI
}

// signable reports whether our components say all of a request line: a path
// and a query, without what could break a line of the signature base. The rest
// of a CONNECT request is a tunnel, of which there is no digest.
func signable(method, target string) bool {
	if method == http.MethodConnect || target == "" || target[0] != '/' {
		return false
	}
	for i := range len(target) {
		if target[i] <= ' ' || target[i] == 0x7f {
			return false
		}
	}
	return true
}

// holdBody reads the body into memory and reports whether it is the one with
// the digest. Trailers are dropped, because no digest covers them. If it is not,
// r keeps its body, for another provider may let the request pass.
func holdBody(r *http.Request, digest [sha256.Size]byte) bool {
	if r.ContentLength > MaxSignedBody {
		return false
	}
	var body bytes.Buffer
	if r.ContentLength > 0 {
		body.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	_, err := body.ReadFrom(io.LimitReader(r.Body, MaxSignedBody+1))
	if err != nil || body.Len() > MaxSignedBody || sha256.Sum256(body.Bytes()) != digest {
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(&body, r.Body), r.Body}
		return false
	}
	r.Body = http.NoBody
	if body.Len() > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body.Bytes()))
	}
	r.ContentLength = int64(body.Len())
	r.TransferEncoding = nil
	r.Trailer = nil
	return true
}
