package proxyauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/internal/secret"
)

// RFC 9421, appendix B.2.5, with the key of B.1.5.
func TestSignatureOfRFC9421(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
	if err != nil {
		t.Fatal(err)
	}
	base := signatureBase([]component{
		{"date", "Tue, 20 Apr 2021 02:07:55 GMT"},
		{"@authority", "example.com"},
		{"content-type", "application/json"},
	}, `("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`)
	const wantBase = `"date": Tue, 20 Apr 2021 02:07:55 GMT
"@authority": example.com
"content-type": application/json
"@signature-params": ("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`
	if string(base) != wantBase {
		t.Errorf("base:\n%s", base)
	}
	if got := base64.StdEncoding.EncodeToString(hmacSHA256(key, base)); got != "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=" {
		t.Errorf("signature: %s", got)
	}
}

// The digest is the one of RFC 9530, appendix B.1, without a content coding.
func TestContentDigest(t *testing.T) {
	const want = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
	digest := sha256.Sum256([]byte("{\"hello\": \"world\"}\n"))
	if got := formatDigest(digest); got != want {
		t.Errorf("got %s", got)
	}
	if got, ok := parseDigest(want); !ok || got != digest {
		t.Errorf("parsed: %x %v", got, ok)
	}
	encoded := strings.TrimSuffix(strings.TrimPrefix(want, "sha-256=:"), ":")
	for _, value := range []string{
		"", encoded, "sha-256=" + encoded, want + " ", " " + want, want + ":", want + ", " + want, "SHA-256" + want[7:],
		"sha-512" + want[7:], want + ";x", "sha-256=:" + encoded + "\n:", "sha-256=:" + encoded[:42] + "h=:", "sha-256=::",
		"sha-256=:" + encoded[:40] + ":", "unixsum=30637, " + want, strings.ReplaceAll(want, "/", "_"),
	} {
		if _, ok := parseDigest(value); ok {
			t.Errorf("taken: %q", value)
		}
	}
}

// What is written is put together here from its parts, by hand.
func TestWriteSigned(t *testing.T) {
	headers, err := NewHeaders("", "X-User")
	if err != nil {
		t.Fatal(err)
	}
	const key = "0123456789abcdef0123456789abcdef"
	for _, tc := range []struct{ method, url, opaque, wantMethod, wantPath, wantQuery string }{
		{"POST", "http://h/a%2Fb//c;d?q=%20&r=?s", "", "POST", "/a%2Fb//c;d", "?q=%20&r=?s"},
		{"", "http://h", "", "GET", "/", "?"},
		{"GET", "http://h/?", "", "GET", "/", "?"},
		{"DELETE", "http://h?x", "/%61/%2e", "DELETE", "/%61/%2e", "?x"},
	} {
		out := httptest.NewRequest(http.MethodGet, tc.url, nil)
		out.Method, out.URL.Opaque = tc.method, tc.opaque
		out.Header = http.Header{
			"Blink-Auth-Proxysecret": {"a"}, "blink_auth.proxysecret": {"b"}, "x_user": {"c", "d"}, "X-Kept": {"e"},
			"Signature": {"f", "g"}, "SIGNATURE_INPUT": {"h"}, "content.digest": {"i"},
		}
		headers.WriteSigned(out, resolved(t, key), "alice", sha256.Sum256([]byte("body")), time.Unix(1700000000, 999))

		digest := "sha-256=:" + base64.StdEncoding.EncodeToString(sum("body")) + ":"
		input := out.Header.Get("Signature-Input")
		_, after, _ := strings.Cut(input, `nonce="`)
		nonce, _, _ := strings.Cut(after, `"`)
		if decoded, err := base64.RawURLEncoding.DecodeString(nonce); err != nil || len(decoded) != 16 {
			t.Errorf("nonce: %q", nonce)
		}
		params := `("@method" "@path" "@query" "x-user" "content-digest");created=1700000000;nonce="` + nonce +
			`";keyid="` + secret.Fingerprint(key) + `";alg="hmac-sha256"`
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(strings.Join([]string{
			`"@method": ` + tc.wantMethod, `"@path": ` + tc.wantPath, `"@query": ` + tc.wantQuery, `"x-user": alice`,
			`"content-digest": ` + digest, `"@signature-params": ` + params,
		}, "\n")))
		for name, want := range map[string]string{
			"Signature-Input": "edge=" + params, "Content-Digest": digest, "X-Kept": "e",
			"Signature": "edge=:" + base64.StdEncoding.EncodeToString(mac.Sum(nil)) + ":",
		} {
			if got := out.Header[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: %q\nwant %q", name, got, want)
			}
		}
		if len(out.Header) != 5 || out.Header["X-User"][0] != "alice" {
			t.Errorf("%v", out.Header)
		}
	}
}

func TestWriteSignedWithoutSecret(t *testing.T) {
	headers, err := NewHeaders("", "")
	if err != nil {
		t.Fatal(err)
	}
	out := httptest.NewRequest(http.MethodGet, "/", nil)
	out.Header = http.Header{"Signature": {"a"}, "Signature-Input": {"b"}, "Content-Digest": {"c"}}
	headers.WriteSigned(out, secret.Value{}, "alice", sha256.Sum256(nil), time.Unix(1700000000, 0))
	if len(out.Header) != 1 || spelled(out.Header, DefaultUserHeader) != "alice" {
		t.Errorf("%v", out.Header)
	}
}

func TestSignatureFieldsAreReserved(t *testing.T) {
	for _, name := range []string{"Signature", "signature-input", "CONTENT-DIGEST"} {
		if CheckHeaderName(name) == nil {
			t.Errorf("%q can carry the user", name)
		}
	}
}

const sampleInput = `edge=("@method" "@path" "@query" "blink-auth-userid" "content-digest");created=1700000000;nonce="AAAAAAAAAAAAAAAAAAAAAA";keyid="01234567";alg="hmac-sha256"`

func TestParseInput(t *testing.T) {
	headers, err := NewHeaders("", "")
	if err != nil {
		t.Fatal(err)
	}
	params, ok := headers.parseInput(sampleInput)
	if !ok || params.created != 1700000000 || params.nonce != [16]byte{} || params.keyID != "01234567" {
		t.Errorf("%v %v", params, ok)
	}
	for _, change := range [][2]string{
		{"edge=", "sig1="},
		{"edge=", "Edge="},
		{"edge=", ""},
		{`"@method" `, ""},
		{`"@method" "@path"`, `"@path" "@method"`},
		{`"@path"`, `"@path";req`},
		{` "content-digest"`, ""},
		{` "content-digest"`, ` "content-digest" "host"`},
		{"blink-auth-userid", "Blink-Auth-Userid"},
		{"blink-auth-userid", "x-user"},
		{`" "`, `"  "`},
		{`;created`, `; created`},
		{";created=1700000000", ""},
		{"1700000000", "01700000000"},
		{"1700000000", "+1700000000"},
		{"1700000000", "1700000000.0"},
		{"1700000000", `"1700000000"`},
		{"1700000000", "99999999999999999999"},
		{"AAAAAA\"", "AAAAAB\""},
		{"AAAAAA\"", "AAAAAA==\""},
		{"AAAAAA\"", "AAAAAAAA\""},
		{"AAAAAA\"", "AAAAA\n\""},
		{"AAAAAA\"", "AAAAA+\""},
		{"AAAAAAAAAAAAAAAAAAAAAA", ""},
		{"01234567", "0123456"},
		{"01234567", "0123456G"},
		{"01234567", "ABCDEF01"},
		{"01234567", ""},
		{"hmac-sha256", "hmac-sha512"},
		{`;alg="hmac-sha256"`, ""},
		{`sha256"`, `sha256";tag="x"`},
		{`sha256"`, `sha256";expires=1`},
		{`sha256"`, `sha256" `},
		{`sha256"`, `sha256", sig1=()`},
		{"edge=", "sig1=(), edge="},
		{"edge=", " edge="},
	} {
		value := strings.Replace(sampleInput, change[0], change[1], 1)
		if _, ok := headers.parseInput(value); ok || value == sampleInput {
			t.Errorf("taken: %q", value)
		}
	}
}

// Nothing panics, and what is taken is ours to the byte.
func FuzzParseSignatureInput(f *testing.F) {
	headers, err := NewHeaders("", "")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		sampleInput, "", "edge=", sampleInput[:90], strings.Replace(sampleInput, "1700000000", "-1", 1),
		strings.Replace(sampleInput, "AAAAAA\"", "AAAAA\n\"", 1), strings.Replace(sampleInput, "\";alg", "\";tag=\"\";alg", 1),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		params, ok := headers.parseInput(value)
		if ok && (headers.formatInput(params) != value || !isFingerprint(params.keyID)) {
			t.Fatalf("%q is written %q", value, headers.formatInput(params))
		}
		if !ok && params != (signatureParams{}) {
			t.Fatalf("%q is refused, but has %v", value, params)
		}
	})
}

func sum(body string) []byte {
	digest := sha256.Sum256([]byte(body))
	return digest[:]
}
