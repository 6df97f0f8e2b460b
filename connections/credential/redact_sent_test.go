package credential

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// What stands in a request's header is not in an answer's, in no form that an API
// would echo it in; and what others have there by chance stays.
func TestRedactSent(t *testing.T) {
	basic := func(user, password string) string {
		return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	}
	for name, test := range map[string]struct {
		scheme            Scheme
		form, value, want string
	}{
		"bearer":           {Bearer{}, `{"type":"bearer","token":"t0ken/of+7=="}`, "Bearer t0ken/of+7==", "Bearer REDACTED"},
		"encoded":          {Bearer{}, `{"type":"bearer","token":"t0ken/of+7=="}`, "https://h/?t=t0ken%2fof%2B7%3D%3D&a", "https://h/?t=REDACTED&a"},
		"access token":     {OAuth2{}, `{"type":"oauth2","access_token":"acc3ss-token","refresh_token":"r3fresh-token"}`, "/x?acc3ss-token", "/x?REDACTED"},
		"header":           {APIKey{Place{"header", "X-Key"}}, `{"type":"api_key","value":"k3y of 12345"}`, "k3y of 12345", "REDACTED"},
		"last word":        {APIKey{Place{"header", "X-Key"}}, `{"type":"api_key","value":"Token k3y-12345"}`, "key=k3y-12345", "key=REDACTED"},
		"cookie":           {APIKey{Place{"cookie", "c"}}, `{"type":"api_key","value":"c00kie-12345"}`, "c=c00kie-12345; a=b", "c=REDACTED; a=b"},
		"password":         {Basic{}, `{"type":"basic","username":"alice","password":"w0nderland"}`, "alice w0nderland", "alice REDACTED"},
		"in base64":        {Basic{}, `{"type":"basic","username":"alice","password":"w0nderland"}`, basic("alice", "w0nderland"), "YWxpY2U6REDACTEDA=="},
		"key as username":  {Basic{}, `{"type":"basic","username":"k3y-12345","password":"x"}`, "k3y-12345", "REDACTED"},
		"username":         {Basic{}, `{"type":"basic","username":"customers","password":"w0nderland"}`, "/customers/1", "/customers/1"},
		"short":            {Bearer{}, `{"type":"bearer","token":"gzip"}`, "gzip, deflate", "gzip, deflate"},
		"another":          {Bearer{}, `{"type":"bearer","token":"t0ken/of+7=="}`, "t0ken/of+8==; t0ken/of+", "t0ken/of+8==; t0ken/of+"},
		"a key that signs": {HMAC{Place: Place{"header", "X-Sig"}, Inputs: []string{"url"}}, `{"type":"hmac","key":"h4mac-key-7"}`, "h4mac-key-7", "h4mac-key-7"},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := New(test.scheme)
			if err != nil {
				t.Fatal(err)
			}
			c, err := a.Read(0, []byte(test.form))
			if err != nil {
				t.Fatal(err)
			}
			answer := http.Header{"X-Echo": {"first", test.value}, "Content-Length": {test.value}}
			a.Redact(answer, &url.URL{}, []Credential{c, {}})
			if got := strings.Join(answer["X-Echo"], "|"); got != "first|"+test.want || answer.Get("Content-Length") != test.value {
				t.Errorf("%q, want %q", got, "first|"+test.want)
			}
		})
	}
}

// An answer that repeats nothing costs no memory, however many there are.
func TestRedactNothingSent(t *testing.T) {
	a, err := New(Bearer{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Read(0, []byte(`{"type":"bearer","token":"t0ken/of+7=="}`))
	if err != nil {
		t.Fatal(err)
	}
	answer, asked, credentials := http.Header{"Etag": {`W/"0123456789012345678901234567890123456789"`}}, &url.URL{}, []Credential{c}
	if n := testing.AllocsPerRun(10, func() { a.Redact(answer, asked, credentials) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRedact(b *testing.B) {
	a, err := New(Bearer{})
	if err != nil {
		b.Fatal(err)
	}
	c, err := a.Read(0, []byte(`{"type":"bearer","token":"0123456789abcdef0123456789abcdef"}`))
	if err != nil {
		b.Fatal(err)
	}
	answer := http.Header{
		"Content-Type": {"application/json; charset=utf-8"}, "Date": {"Sun, 22 Nov 2026 08:00:00 GMT"}, "Etag": {`W/"0123456789012345678901234567890123456789"`},
		"Cache-Control": {"max-age=0, private, must-revalidate"}, "X-Request-Id": {"01234567-0123-0123-0123-0123456789ab"}, "Content-Length": {"1234"},
	}
	asked, credentials := &url.URL{}, []Credential{c}
	b.ReportAllocs()
	for b.Loop() {
		a.Redact(answer, asked, credentials)
	}
}
