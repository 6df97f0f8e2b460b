package credential

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var signatureField = Place{"header", "X-Signature"}

// The vectors of RFC 2202 and RFC 4231, their second case.
func TestAlgorithms(t *testing.T) {
	const data = "what do ya want for nothing?"
	for algorithm, want := range map[string]string{
		"sha1":   "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
		"sha256": "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
		"":       "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
		"sha512": "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
	} {
		for _, key := range []string{`"key":"Jefe"`, `"key_base64":"SmVmZQ=="`} {
			a := newAuth(t, HMAC{Place: signatureField, Algorithm: algorithm, Inputs: []string{"body"}, Prefix: "sig="})
			r := httptest.NewRequest("POST", "https://api.example.com/", strings.NewReader(data))
			if err := a.Apply(r, Attempt{Body: []byte(data)}, read(t, a, `{"type":"hmac",`+key+`}`)); err != nil || r.Header.Get("X-Signature") != "sig="+want {
				t.Errorf("%s: %v %v", algorithm, r.Header, err)
			}
			if !a.NeedsBody() {
				t.Error("the body is not needed")
			}
		}
	}
}

// What is signed is what is sent.
func TestInputs(t *testing.T) {
	key := APIKey{Place{"query", "key"}}
	for _, tc := range []struct {
		scheme HMAC
		target string
		signed string
	}{
		{HMAC{Inputs: []string{"method"}}, "https://h.example/", "PUT"},
		{HMAC{Inputs: []string{"url"}}, "https://h.example:8443/a%2Fb//c?x=%20+&y", "https://h.example:8443/a%2Fb//c?x=%20+&y&key=k"},
		{HMAC{Inputs: []string{"url"}}, "http://h.example", "http://h.example/?key=k"},
		{HMAC{Inputs: []string{"body", "url"}}, "https://h.example/a", "the bodyhttps://h.example/a?key=k"},
		{HMAC{Inputs: []string{"url", "body"}}, "https://h.example/a", "https://h.example/a?key=kthe body"},
		{HMAC{Inputs: []string{"host", "path", "query"}, Separator: "\n"}, "https://h.example:1/a%2fb/?x=%zz", "h.example:1\n/a%2fb/\nx=%zz&key=k"},
		{HMAC{Inputs: []string{"date", "method"}, Separator: "|"}, "https://h.example/", "Tue, 14 Nov 2023 22:13:20 GMT|PUT"},
		{HMAC{Inputs: []string{"date"}, DateHeader: "X-Date", DateFormat: "rfc3339"}, "https://h.example/", "2023-11-14T22:13:20Z"},
		{HMAC{Inputs: []string{"date"}, DateHeader: "X-Date", DateFormat: "unix"}, "https://h.example/", "1700000000"},
		{HMAC{Inputs: []string{"date"}, DateHeader: "X-Date", DateFormat: "unix_ms"}, "https://h.example/", "1700000000007"},
		{HMAC{Inputs: []string{"date"}, DateHeader: "X-Date", DateFormat: "http"}, "https://h.example/", "Tue, 14 Nov 2023 22:13:20 GMT"},
	} {
		for _, place := range []Place{signatureField, {"query", "sig"}, {"cookie", "sig"}} {
			tc.scheme.Place = place
			a := newAuth(t, key, tc.scheme)
			r := httptest.NewRequest("PUT", tc.target, strings.NewReader("the body"))
			r.Host = ""
			r.Header = http.Header{"Cookie": {"a=1"}}
			mac := hmac.New(sha256.New, []byte("s3cr3t"))
			mac.Write([]byte(tc.signed))
			want := hex.EncodeToString(mac.Sum(nil))
			for range 2 {
				err := a.Apply(r, Attempt{Now: time.UnixMilli(1700000000007), Body: []byte("the body")}, read(t, a, `{"type":"api_key","value":"k"}`, `{"type":"hmac","key":"s3cr3t"}`))
				if got := said(r); err != nil || strings.Count(got, want) != 1 || place.In == "query" && !strings.HasSuffix(r.URL.RawQuery, "&key=k&sig="+want) && r.URL.RawQuery != "key=k&sig="+want {
					t.Errorf("%v: %v\n%s\nwant %s", tc.scheme, err, got, want)
				}
			}
			if tc.scheme.signs("date") {
				name := tc.scheme.dateHeader()
				if value, _, _ := strings.Cut(tc.signed, "|"); r.Header.Get(name) != value {
					t.Errorf("%v", r.Header)
				}
			}
		}
	}
}

// A base64 signature in a query is percent-encoded, a digest is written as its
// header's RFC says, and a signature that is in the way is not signed.
func TestDigest(t *testing.T) {
	const body = "{\"hello\": \"world\"}\n" // RFC 9530, appendix B.1
	for _, tc := range []struct{ algorithm, header, want string }{
		{"", "", "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"},
		{"sha1", "content-digest", "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"},
		{"sha256", "Digest", "SHA-256=RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg="},
		{"sha512", "Content-Digest", "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:"},
		{"sha512", "DIGEST", "SHA-512=YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg=="},
		{"sha256", "X-Content-SHA256", "44aff4ab2d7c3250525675a08f0cfa9591168cffe51791c5f5bbc417c15a6c38"},
	} {
		scheme := HMAC{Place: Place{"query", "sig"}, Algorithm: tc.algorithm, Encoding: "base64", Inputs: []string{"digest", "query"}, DigestHeader: tc.header}
		a := newAuth(t, scheme)
		r := httptest.NewRequest("POST", "https://h.example/?sig=evil", strings.NewReader(body))
		r.Header = http.Header{"content_digest": {"evil"}, "digest": {"evil"}, "X-Content-SHA256": {"evil"}}
		if tc.header != "" {
			r.Header = http.Header{strings.ToLower(tc.header): {"evil"}}
		}
		if err := a.Apply(r, Attempt{Body: []byte(body)}, read(t, a, `{"type":"hmac","key":"k"}`)); err != nil {
			t.Fatal(err)
		}
		if got := r.Header[scheme.digestHeader()]; len(got) != 1 || got[0] != tc.want {
			t.Errorf("%v: %v", tc, r.Header)
		}
		mac := hmac.New(algorithms[tc.algorithm], []byte("k"))
		mac.Write([]byte(tc.want))
		if signature := r.URL.Query().Get("sig"); !hmacIs(signature, mac.Sum(nil)) || strings.Contains(said(r), "evil") && tc.header != "" {
			t.Errorf("%v: %s", tc, said(r))
		}
	}
}

func hmacIs(encoded string, sum []byte) bool {
	return encoded == base64.StdEncoding.EncodeToString(sum)
}

// A body that isn't there is not signed as an empty one.
func TestBodyIsNeeded(t *testing.T) {
	for _, inputs := range [][]string{{"body"}, {"method", "digest"}} {
		a := newAuth(t, HMAC{Place: signatureField, Inputs: inputs})
		credentials := read(t, a, `{"type":"hmac","key":"k"}`)
		for _, tc := range []struct {
			stream io.Reader
			held   []byte
			want   error
		}{
			{strings.NewReader("x"), nil, ErrBody}, {io.MultiReader(), nil, ErrBody}, {strings.NewReader("x"), []byte("x"), nil}, {bytes.NewReader(nil), []byte{}, nil},
			{nil, nil, nil}, {http.NoBody, nil, nil},
		} {
			r := httptest.NewRequest("POST", "https://h.example/", tc.stream)
			if err := a.Apply(r, Attempt{Body: tc.held}, credentials); !errors.Is(err, tc.want) || err != nil && len(r.Header) > 0 {
				t.Errorf("%v: %v %v", tc, err, r.Header)
			}
		}
	}
	if newAuth(t, HMAC{Place: signatureField, Inputs: []string{"url", "date"}}).NeedsBody() {
		t.Error("it needs no body")
	}
}

func TestHMACConfig(t *testing.T) {
	good := HMAC{Place: signatureField, Inputs: []string{"body"}}
	for name, change := range map[string]func(*HMAC){
		"algorithm":         func(s *HMAC) { s.Algorithm = "md5" },
		"encoding":          func(s *HMAC) { s.Encoding = "base32" },
		"no inputs":         func(s *HMAC) { s.Inputs = nil },
		"unknown input":     func(s *HMAC) { s.Inputs = []string{"body", "cookie"} },
		"input twice":       func(s *HMAC) { s.Inputs = []string{"body", "body"} },
		"place":             func(s *HMAC) { s.Place.In = "body" },
		"name":              func(s *HMAC) { s.Place.Name = "Host" },
		"prefix with lines": func(s *HMAC) { s.Prefix = "a\n" },
		"prefix, a space":   func(s *HMAC) { s.Prefix = " a" },
		"prefix in cookie":  func(s *HMAC) { s.Place.In, s.Prefix = "cookie", "a;" },
		"long prefix":       func(s *HMAC) { s.Prefix = strings.Repeat("a", 257) },
		"long separator":    func(s *HMAC) { s.Separator = strings.Repeat("a", 17) },
		"unsigned date":     func(s *HMAC) { s.DateHeader = "X-Date" },
		"unsigned format":   func(s *HMAC) { s.DateFormat = "unix" },
		"unsigned digest":   func(s *HMAC) { s.DigestHeader = "Digest" },
		"date format":       func(s *HMAC) { s.Inputs, s.DateHeader, s.DateFormat = []string{"date"}, "X-Date", "iso" },
		"format of Date":    func(s *HMAC) { s.Inputs, s.DateFormat = []string{"date"}, "unix" },
		"date header":       func(s *HMAC) { s.Inputs, s.DateHeader = []string{"date"}, "Cookie" },
		"digest header":     func(s *HMAC) { s.Inputs, s.DigestHeader = []string{"digest"}, "Content-Length" },
		"date in its place": func(s *HMAC) { s.Inputs, s.DateHeader = []string{"date"}, "x_signature" },
	} {
		scheme := good
		change(&scheme)
		if _, err := New(scheme); err == nil {
			t.Errorf("%s is taken: %+v", name, scheme)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}
