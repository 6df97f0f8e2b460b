package proxyauth

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/internal/header"
	"github.com/f737063d/caddy-connector/internal/replay"
	"github.com/f737063d/caddy-connector/internal/secret"
)

const (
	currentKey  = "current-0123456789abcdef-s3cr3t!"
	previousKey = "previous-0123456789abcdef-s3cr3t"
	signedAt    = 1700000000
)

// signedProvider checks signatures at a moved time, with a memory of its own.
func signedProvider(t *testing.T) (*Provider, *int64, *observer.ObservedLogs) {
	t.Helper()
	p := provisioned(t, &Provider{Signed: true}, currentKey, previousKey)
	core, logs := observer.New(zap.DebugLevel)
	now := int64(signedAt)
	p.logger = zap.New(core)
	p.now = func() time.Time { return time.Unix(now, 0) }
	p.replays = replay.New(100)
	return p, &now, logs
}

// signedRequest is a request as a server sees it, signed with key.
func signedRequest(t *testing.T, p *Provider, key, method, target, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.URL.Opaque, _, _ = strings.Cut(target, "?") // the bytes that are sent
	p.headers.WriteSigned(r, resolved(t, key), "alice", sha256.Sum256([]byte(body)), time.Unix(signedAt, 0))
	return r
}

func TestSignedRequestPasses(t *testing.T) {
	p, _, logs := signedProvider(t)
	for _, key := range []string{currentKey, previousKey} {
		for _, tc := range [][3]string{
			{"GET", "/", ""},
			{"POST", "/a%2Fb//c?d=%20&e?", "body"},
			{"PUT", "/?", strings.Repeat("x", MaxSignedBody)},
			{"QUERY", "/\xc3\xa9?\xff", "{}"},
		} {
			r := signedRequest(t, p, key, tc[0], tc[1], tc[2])
			r.ContentLength = -1
			r.TransferEncoding = []string{"chunked"}
			r.Trailer = http.Header{"Blink-Auth-Userid": {"mallory"}}
			user, ok, err := p.Authenticate(httptest.NewRecorder(), r)
			if err != nil || !ok || user.ID != "alice" {
				t.Fatalf("%.50q: %v %v %v %v", tc, user, ok, err, logs.All())
			}
			body, err := io.ReadAll(r.Body)
			if err != nil || string(body) != tc[2] || r.ContentLength != int64(len(tc[2])) || r.Trailer != nil || r.TransferEncoding != nil {
				t.Errorf("%.50q: body of %d bytes, length %d, %v, %v, %v", tc, len(body), r.ContentLength, r.Trailer, r.TransferEncoding, err)
			}
			if len(r.Header) != 1 || r.Header.Get(DefaultUserHeader) != "alice" {
				t.Errorf("left: %v", r.Header)
			}
		}
	}
	if logs.Len() > 0 {
		t.Errorf("%v", logs.All())
	}
}

// Every change makes a good request a bad one.
func TestSignedRequestIsRefused(t *testing.T) {
	set := func(name string, values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = values }
	}
	rename := func(name, alias string) func(*http.Request) {
		return func(r *http.Request) {
			for key, values := range r.Header {
				if strings.EqualFold(key, name) {
					delete(r.Header, key)
					r.Header[alias] = values
				}
			}
		}
	}
	replace := func(name, old, replacement string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name][0] = strings.Replace(r.Header[name][0], old, replacement, 1) }
	}
	body := func(body string) func(*http.Request) {
		return func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		}
	}
	const user = DefaultUserHeader
	for what, tc := range map[string]struct {
		result string
		change func(r *http.Request)
	}{
		"other method":      {"bad_signature", func(r *http.Request) { r.Method = "PUT" }},
		"other path":        {"bad_signature", func(r *http.Request) { r.RequestURI = "/b?c=d" }},
		"path decoded":      {"bad_signature", func(r *http.Request) { r.RequestURI = "/a/a?c=d" }},
		"other query":       {"bad_signature", func(r *http.Request) { r.RequestURI = "/a%2Fa?c=e" }},
		"no query":          {"bad_signature", func(r *http.Request) { r.RequestURI = "/a%2Fa" }},
		"query in the path": {"bad_signature", func(r *http.Request) { r.RequestURI = "/a%2Fa%3Fc=d" }},
		"absolute target":   {"bad_signature", func(r *http.Request) { r.RequestURI = "http://example.com/a%2Fa?c=d" }},
		"no target":         {"bad_signature", func(r *http.Request) { r.RequestURI = "" }},
		"other user":        {"bad_signature", set(user, "bob")},
		"no user":           {"no_user", func(r *http.Request) { delete(r.Header, user) }},
		"bad user":          {"bad_user", set(user, "a b")},
		"user twice":        {"repeated", set(user, "alice", "alice")},
		"user twice, alias": {"repeated", set("BLINK_AUTH_USERID", "alice")},
		"user as alias":     {"bad_user", rename(user, "blink_auth.userid")},
		"other body":        {"bad_digest", body("BODY")},
		"longer body":       {"bad_digest", body("body2")},
		"no body":           {"bad_digest", body("")},
		"oversized body":    {"bad_digest", body(strings.Repeat("x", MaxSignedBody+1))},
		"broken body":       {"bad_digest", func(r *http.Request) { r.Body = io.NopCloser(iotest.ErrReader(errors.New("gone"))) }},
		"body broken at its end": {"bad_digest", func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader("body"), iotest.ErrReader(errors.New("gone"))))
		}},
		"digest and body":      {"bad_signature", func(r *http.Request) { body("")(r); set(digestField, formatDigest(sha256.Sum256(nil)))(r) }},
		"digest swapped":       {"bad_signature", set(digestField, formatDigest(sha256.Sum256(nil)))},
		"digest of another":    {"bad_signature", set(digestField, "sha-512=:AAAA:")},
		"no digest":            {"unsigned", func(r *http.Request) { delete(r.Header, digestField) }},
		"digest twice":         {"repeated", func(r *http.Request) { r.Header.Add(digestField, r.Header.Get(digestField)) }},
		"digest as alias":      {"bad_signature", rename(digestField, "content_digest")},
		"digest twice, alias":  {"repeated", set("content.digest", "x")},
		"no signature":         {"unsigned", func(r *http.Request) { delete(r.Header, signatureField) }},
		"signature twice":      {"repeated", func(r *http.Request) { r.Header.Add(signatureField, r.Header.Get(signatureField)) }},
		"empty signature":      {"bad_signature", set(signatureField, "")},
		"signature of nothing": {"bad_signature", set(signatureField, "edge=::")},
		"other signature":      {"bad_signature", set(signatureField, "edge=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:")},
		"label of signature":   {"bad_signature", replace(signatureField, "edge", "sig1")},
		"second signature":     {"bad_signature", replace(signatureField, "edge", "sig1=:AAAA:, edge")},
		"spaced signature":     {"bad_signature", replace(signatureField, "edge", " edge")},
		"padded signature":     {"bad_signature", replace(signatureField, "=:", "=:\n")},
		"no input":             {"unsigned", func(r *http.Request) { delete(r.Header, inputField) }},
		"input twice":          {"repeated", func(r *http.Request) { r.Header.Add(inputField, "x=()") }},
		"input as alias":       {"bad_signature", rename(inputField, "signature_input")},
		"input twice, alias":   {"repeated", set("signature.input", "x")},
		"label":                {"bad_signature", replace(inputField, "edge", "sig1")},
		"components":           {"bad_signature", replace(inputField, ` "content-digest"`, "")},
		"parameter":            {"bad_signature", replace(inputField, ";alg", `;tag="x";alg`)},
		"algorithm":            {"bad_signature", replace(inputField, "hmac-sha256", "none")},
		"created":              {"bad_signature", replace(inputField, "created=1700000000", "created=1700000001")},
		"created long ago":     {"expired", replace(inputField, "created=1700000000", "created=1")},
		"created in no year":   {"expired", replace(inputField, "created=1700000000", "created=-9223372036854775808")},
		"created never":        {"expired", replace(inputField, "created=1700000000", "created=9223372036854775807")},
		"nonce":                {"bad_signature", func(r *http.Request) { set(inputField, otherNonce(r.Header.Get(inputField)))(r) }},
		"key":                  {"bad_signature", replace(inputField, secret.Fingerprint(currentKey), secret.Fingerprint(previousKey))},
		"unknown key":          {"bad_signature", replace(inputField, secret.Fingerprint(currentKey), "01234567")},
		"secret beside it":     {"unsigned", set(DefaultSecretHeader, currentKey)},
		"secret as alias":      {"unsigned", set("blink_auth_proxysecret", currentKey)},
		"empty secret":         {"unsigned", set(DefaultSecretHeader, "")},
		"secret alone":         {"unsigned", func(r *http.Request) { r.Header = http.Header{DefaultSecretHeader: {currentKey}, user: {"alice"}} }},
		"nothing":              {"unsigned", func(r *http.Request) { r.Header = http.Header{} }},
	} {
		p, _, logs := signedProvider(t)
		r := signedRequest(t, p, currentKey, "POST", "/a%2Fa?c=d", "body")
		r.Body = &watchedBody{Reader: r.Body}
		tc.change(r)
		watched, _ := r.Body.(*watchedBody)
		wantRefusal(t, what, p, r, logs, tc.result)
		if watched != nil && watched.read && tc.result != "bad_digest" {
			t.Errorf("%s: the body was read", what)
		}
		if p.replays.Len() > 0 {
			t.Errorf("%s: the nonce is remembered", what)
		}
	}
}

// What strangers signed is refused, with the key of another integration as well.
func TestSignedWithOtherKey(t *testing.T) {
	p, _, logs := signedProvider(t)
	r := signedRequest(t, p, "other-0123456789abcdef-s3cr3t", "GET", "/", "")
	wantRefusal(t, "other key", p, r, logs, "bad_signature")

	// an id is no proof, and two secrets can share one
	r = signedRequest(t, p, "other-0123456789abcdef-s3cr3t", "GET", "/", "")
	p.keys[0].id = secret.Fingerprint("other-0123456789abcdef-s3cr3t")
	wantRefusal(t, "key with a known id", p, r, logs, "bad_signature")
	r = signedRequest(t, p, previousKey, "GET", "/", "")
	p.keys[0].id = p.keys[1].id
	if _, ok, _ := p.Authenticate(httptest.NewRecorder(), r); !ok {
		t.Error("the second of two keys with one id is refused")
	}
}

func TestSignedRequestExpires(t *testing.T) {
	for skew, result := range map[int64]string{
		-301: "expired", -300: "", 300: "", 301: "expired", 1e9: "expired", -1e9: "expired",
	} {
		p, now, logs := signedProvider(t)
		*now += skew
		r := signedRequest(t, p, currentKey, "GET", "/", "")
		if result != "" {
			wantRefusal(t, fmt.Sprint(skew), p, r, logs, result)
		} else if _, ok, _ := p.Authenticate(httptest.NewRecorder(), r); !ok {
			t.Errorf("%d: %v", skew, logs.All())
		}
	}
}

func TestSignedRequestIsTakenOnce(t *testing.T) {
	p, now, logs := signedProvider(t)
	first := signedRequest(t, p, currentKey, "POST", "/", "body")
	again := func() *http.Request {
		r := httptest.NewRequest("POST", "/", strings.NewReader("body"))
		r.Header = first.Header.Clone()
		return r
	}
	broken, second, late, slow := again(), again(), again(), again()
	broken.Body = io.NopCloser(iotest.TimeoutReader(iotest.OneByteReader(broken.Body)))
	wantRefusal(t, "broken", p, broken, logs, "bad_digest")
	if _, ok, _ := p.Authenticate(httptest.NewRecorder(), first); !ok {
		t.Fatalf("after one that broke off: %v", logs.All())
	}
	wantRefusal(t, "replay", p, second, logs, "replayed")
	*now += maxSkew
	wantRefusal(t, "late replay", p, late, logs, "replayed")
	// its body is held back until the nonce is forgotten
	slow.Body = &watchedBody{Reader: slow.Body, onRead: func() { *now += 10 * maxSkew }}
	wantRefusal(t, "slow replay", p, slow, logs, "expired")

	p.replays = replay.New(0)
	*now = signedAt
	wantRefusal(t, "full", p, signedRequest(t, p, currentKey, "POST", "/", "body"), logs, "replay_cache_full")
}

// Another provider may let the request pass, and then it has its whole body.
func TestRefusedRequestKeepsItsBody(t *testing.T) {
	p, _, logs := signedProvider(t)
	for _, length := range []int{0, 5, MaxSignedBody, MaxSignedBody + 1, 2 * MaxSignedBody} {
		for _, known := range []bool{true, false} {
			r := signedRequest(t, p, currentKey, "POST", "/", "body")
			body := strings.Repeat("x", length)
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(length)
			if !known {
				r.ContentLength = -1
			}
			wantRefusal(t, fmt.Sprint(length, known), p, r, logs, "bad_digest")
			if got, err := io.ReadAll(r.Body); err != nil || string(got) != body {
				t.Errorf("%d: %d bytes, %v", length, len(got), err)
			}
		}
	}
}

// Directives that rewrite the request run before authentication.
func TestSignedRequestIsRewritten(t *testing.T) {
	p, _, logs := signedProvider(t)
	r := signedRequest(t, p, currentKey, "POST", "/sent?a", "body")
	original := http.Request{Method: r.Method, RequestURI: r.RequestURI, URL: r.URL}
	r = r.WithContext(context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, original))
	r.Method, r.URL, r.RequestURI = "GET", &url.URL{Path: "/rewritten"}, "/rewritten"
	if _, ok, _ := p.Authenticate(httptest.NewRecorder(), r); !ok {
		t.Errorf("%v", logs.All())
	}
	// and what was rewritten to the signed target was not signed
	r = signedRequest(t, p, currentKey, "POST", "/rewritten", "body")
	r = r.WithContext(context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, original))
	wantRefusal(t, "rewritten", p, r, logs, "bad_signature")
}

// What a holder of the secret signs is refused, too, if we would not write it.
func TestSignedInOtherForm(t *testing.T) {
	p, _, logs := signedProvider(t)
	for _, line := range [][2]string{
		{http.MethodConnect, "/"},
		{"OPTIONS", "*"},
		{"GET", "http://example.com/"},
		{"GET", ""},
		{"GET", "/a b"},
		{"GET", "/\n\"@query\": ?"},
		{"GET", "/?\x7f"},
		{"GET", "/?\t"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Method, r.RequestURI = line[0], line[1]
		params := signatureParams{created: signedAt, keyID: p.keys[0].id}
		sign(p, r, params, resolved(t, currentKey))
		wantRefusal(t, fmt.Sprint(line), p, r, logs, "bad_signature")
	}
	r := httptest.NewRequest("GET", "/", nil)
	sign(p, r, signatureParams{created: signedAt, keyID: p.keys[1].id}, resolved(t, currentKey))
	wantRefusal(t, "by another key than it says", p, r, logs, "bad_signature")
	sign(p, r, signatureParams{created: signedAt, keyID: p.keys[0].id}, resolved(t, currentKey))
	if _, ok, _ := p.Authenticate(httptest.NewRecorder(), r); !ok {
		t.Error("none of these passes")
	}
}

// sign signs what r says on its request line, and no body.
func sign(p *Provider, r *http.Request, params signatureParams, s secret.Value) {
	m := signedMessage{r.Method, r.RequestURI, "alice", formatDigest(sha256.Sum256(nil))}
	r.Header = http.Header{
		DefaultUserHeader: {m.userID}, digestField: {m.digest}, inputField: {p.headers.formatInput(params)},
		signatureField: {p.headers.sign(m, params, s)},
	}
}

// A body that is too long is refused although it is the one that was signed; if
// its length is known, unread. It is not cut either.
func TestSignedBodyIsBounded(t *testing.T) {
	p, _, logs := signedProvider(t)
	long := strings.Repeat("x", MaxSignedBody+1)
	for what, signed := range map[string]string{"whole": long, "cut": long[:MaxSignedBody]} {
		for _, length := range []int64{-1, MaxSignedBody + 1} {
			r := signedRequest(t, p, currentKey, "POST", "/", signed)
			body := &watchedBody{Reader: strings.NewReader(long)}
			r.Body, r.ContentLength = body, length
			wantRefusal(t, what, p, r, logs, "bad_digest")
			if body.read != (length < 0) {
				t.Errorf("%s, length %d: read %v", what, length, body.read)
			}
		}
	}
}

// The whole way, over HTTP/1.1 and HTTP/2.
func TestSignedOverTheWire(t *testing.T) {
	p, _, logs := signedProvider(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, ok, _ := p.Authenticate(w, r); ok {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s %s %v %d", r.Proto[:6], user.ID, r.RequestURI, body, r.Trailer, len(r.Header["Signature"]))
		} else {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	s := resolved(t, currentKey)
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	http2 := server.Client().Transport.(*http.Transport)
	http1 := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: http2.TLSClientConfig.RootCAs}}
	defer http1.CloseIdleConnections()
	for version, transport := range map[string]*http.Transport{"HTTP/1": http1, "HTTP/2": http2} {
		for _, body := range []string{"", "body"} {
			out := &http.Request{
				Method: "POST", URL: &url.URL{Scheme: target.Scheme, Host: target.Host, Opaque: "/a%2Fb/%c3", RawQuery: "c=%20"},
				Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1,
				Trailer: http.Header{"Blink-Auth-Userid": {"mallory"}},
			}
			p.headers.WriteSigned(out, s, "alice", sha256.Sum256([]byte(body)), time.Unix(signedAt, 0))
			response, err := transport.RoundTrip(out)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(response.Body)
			response.Body.Close()
			if want := version + " alice /a%2Fb/%c3?c=%20 " + body + " map[] 0"; string(got) != want {
				t.Errorf("%d %q, want %q, %v", response.StatusCode, got, want, logs.All())
			}
		}
	}
}

// wantRefusal checks that p refuses r as result says, leaves nothing of the
// proof in it and logs nothing of it but the id of its key.
func wantRefusal(t *testing.T, what string, p *Provider, r *http.Request, logs *observer.ObservedLogs, result string) {
	t.Helper()
	w := httptest.NewRecorder()
	_, ok, err := p.Authenticate(w, r)
	entries := logs.TakeAll()
	if ok || err != nil || w.Header().Get("WWW-Authenticate") == "" || len(entries) != 1 {
		t.Errorf("%s: %v %v %v %v", what, ok, err, w.Header(), entries)
		return
	}
	fields := entries[0].ContextMap()
	if fields["result"] != result {
		t.Errorf("%s: %v, want %s", what, fields, result)
	}
	fingerprint, logged := fields["fingerprint"].(string)
	if logged && !isFingerprint(fingerprint) || len(fields) > 2 {
		t.Errorf("%s: logged %v", what, fields)
	}
	all := header.NewSet(DefaultSecretHeader, DefaultUserHeader, digestField, inputField, signatureField)
	for name := range r.Header {
		if all.Has(name) {
			t.Errorf("%s: left in the request: %q", what, name)
		}
	}
}

// otherNonce changes the first letter of the nonce in a Signature-Input.
func otherNonce(input string) string {
	i := strings.Index(input, `nonce="`) + len(`nonce="`)
	letter := "A"
	if input[i] == 'A' {
		letter = "B"
	}
	return input[:i] + letter + input[i+1:]
}

// watchedBody knows whether it was read.
type watchedBody struct {
	io.Reader
	read   bool
	onRead func()
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.read = true
	if b.onRead != nil {
		b.onRead()
	}
	return b.Reader.Read(p)
}

func (*watchedBody) Close() error { return nil }
