package oauth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/connections/credential"
)

var sent = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// What of an answer becomes the token, and what servers do that the RFC doesn't say.
func TestAnswers(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	for _, tc := range []struct {
		kind, body string
		want       string // access refresh scope lifetime
	}{
		{jsonType, `{"access_token":"a","token_type":"Bearer","expires_in":3600,"refresh_token":"r","scope":"x y"}`, "a r x y 3600"},
		{jsonType, `{"access_token":"a","token_type":"BEARER"}`, "a old-refresh old-scope 0"},
		{jsonType, `{"access_token":"a"}`, "a old-refresh old-scope 0"},
		{jsonType, `{"access_token":"a","token_type":null,"refresh_token":null,"scope":null,"expires_in":null,"error":null}`, "a old-refresh old-scope 0"},
		{jsonType, `{"access_token":"a","token_type":"bearer","refresh_token":"","scope":"","expires_in":"","error":""}`, "a old-refresh old-scope 0"},
		{jsonType, `{"ok":true,"access_token":"xoxb","token_type":"bot","expires_in":43200}`, "xoxb old-refresh old-scope 43200"},
		{jsonType, `{"access_token":"a","expires_in":"3600"}`, "a old-refresh old-scope 3600"},
		{jsonType, `{"access_token":"a","expires_in":" 3600 "}`, "a old-refresh old-scope 3600"},
		{jsonType, `{"access_token":"a","expires_in":3599.9}`, "a old-refresh old-scope 3599"},
		{jsonType, `{"access_token":"a","expires_in":3.6e3}`, "a old-refresh old-scope 3600"},
		{jsonType, `{"access_token":"a","expires_in":1e99}`, "a old-refresh old-scope 3.1536e+08"},
		{jsonType, `{"access_token":"a","expires_in":1e999}`, "a old-refresh old-scope 3.1536e+08"},
		{jsonType, `{"access_token":"a","expires_in":9223372036854775808}`, "a old-refresh old-scope 3.1536e+08"},
		{jsonType, `{"access_token":"a","expires_in":-1}`, "a old-refresh old-scope 0"},
		{jsonType, `{"access_token":"a","expires_in":-1e999}`, "a old-refresh old-scope 0"},
		{jsonType, `{"access_token":"a","expires_in":0}`, "a old-refresh old-scope 0"},
		{jsonType, `{"access_token":"a","expires_in":"NaN"}`, "a old-refresh old-scope 0"},
		{jsonType, `{"access_token":"a","expires_in":"soon"}`, "a old-refresh old-scope 0"},
		{jsonType, `{"access_token":"a","expires_in":{}}`, "a old-refresh old-scope 0"},
		{jsonType, `{"access_token":"a","scope":["x","y"]}`, "a old-refresh x y 0"},
		{jsonType, `{"access_token":"a","scope":[]}`, "a old-refresh old-scope 0"},
		{jsonType, `{"access_token":"a","scope":"x,y"}`, "a old-refresh x,y 0"},
		{"application/vnd.api+json", `{"access_token":"a"}`, "a old-refresh old-scope 0"},
		{form, "access_token=a&token_type=bearer&scope=x%2Cy&expires_in=60&refresh_token=r", "a r x,y 60"},

		{jsonType, ``, "broken"},
		{jsonType, `[]`, "broken"},
		{jsonType, `{}`, "broken"},
		{jsonType, `{"access_token":""}`, "broken"},
		{jsonType, `{"access_token":null}`, "broken"},
		{jsonType, `{"access_token":7}`, "broken"},
		{jsonType, `{"Access_Token":"a"}`, "broken"},
		{jsonType, `{"access_token":"a","access_token":"b"}`, "broken"},
		{jsonType, `{"access_token":"a\r\nX: y"}`, "broken"},
		{jsonType, `{"access_token":"a b"}`, "broken"},
		{jsonType, `{"access_token":"ä"}`, "broken"},
		{jsonType, `{"access_token":"` + strings.Repeat("x", 16<<10+1) + `"}`, "broken"},
		{jsonType, `{"access_token":"a","refresh_token":"\u0000"}`, "broken"},
		{jsonType, `{"access_token":"a","scope":"\n"}`, "broken"},
		{jsonType, `{"access_token":"a","scope":7}`, "broken"},
		{jsonType, `{"access_token":"a","scope":[7]}`, "broken"},
		{jsonType, `{"access_token":"a","token_type":"mac"}`, "broken"},
		{jsonType, `{"access_token":"a","token_type":"DPoP"}`, "broken"},
		{jsonType, `{"access_token":"a","token_type":7}`, "broken"},
		{"text/html", `{"access_token":"a"}`, "broken"},
		{"text/plain", `{"access_token":"a"}`, "broken"},
		{"", `{"access_token":"a"}`, "broken"},
		{form, "access_token=a&access_token=b", "broken"},
		{form, "access_token=%zz", "broken"},
		{form, `{"access_token":"a"}`, "broken"},
	} {
		a := answer{status: 200, header: http.Header{"Content-Type": {tc.kind}}, body: []byte(tc.body)}
		token, err := a.token(oldToken, sent)
		var refused *Error
		got := ""
		switch {
		case errors.As(err, &refused):
			got = refused.Kind.String()
		case token.Expires.IsZero():
			got = fmt.Sprint(token.Access.Reveal(), " ", token.Refresh.Reveal(), " ", token.Scope, " 0")
		default:
			got = fmt.Sprint(token.Access.Reveal(), " ", token.Refresh.Reveal(), " ", token.Scope, " ", token.Expires.Sub(sent).Seconds())
		}
		if got != tc.want {
			t.Errorf("%.100s: %s %v, want %s", tc.body, got, err, tc.want)
		}
	}
}

// What is to be done about each error, and that none repeats what it was sent.
func TestErrors(t *testing.T) {
	echo := "old-refresh"
	for _, tc := range []struct {
		status int
		kind   string
		body   string
		want   Kind
		code   string
	}{
		{400, jsonType, `{"error":"invalid_grant","error_description":"old-refresh <b>"}`, Reauth, "invalid_grant"},
		{401, jsonType, `{"error":"invalid_grant"}`, Reauth, "invalid_grant"},
		{400, jsonType, `{"error":"unauthorized_client"}`, Misconfigured, "unauthorized_client"},
		{401, jsonType, `{"error":"invalid_client"}`, Misconfigured, "invalid_client"},
		{401, "text/html", `<h1>`, Misconfigured, ""},
		{400, jsonType, `{"error":"invalid_scope"}`, Misconfigured, "invalid_scope"},
		{400, jsonType, `{"error":"temporarily_unavailable"}`, Transient, "temporarily_unavailable"},
		{400, jsonType, `{"error":"own_code"}`, Broken, "own_code"},
		{400, jsonType, `{"error":"` + echo + `"}`, Broken, ""},
		{400, jsonType, `{"error":"old"}`, Broken, ""}, // a part of what was sent
		{400, jsonType, `{"error":"Some Text"}`, Broken, ""},
		{400, jsonType, `{"error":"` + strings.Repeat("x", 65) + `"}`, Broken, ""},
		{400, jsonType, `{"error":{"message":"old-refresh","code":190}}`, Broken, ""},
		{400, "text/html", `<h1>`, Broken, ""},
		{403, "text/html", `<h1>`, Broken, ""},
		{404, "", ``, Broken, ""},
		{201, jsonType, `{"access_token":"a"}`, Broken, ""},
		{206, jsonType, `{"access_token":"a"}`, Broken, ""},
		{408, "", ``, Transient, ""},
		{429, jsonType, `{"error":"invalid_grant"}`, Transient, "invalid_grant"},
		{500, jsonType, `{"error":"invalid_grant"}`, Transient, "invalid_grant"},
		{502, "text/html", `<h1>`, Transient, ""},
		{503, jsonType, `{"access_token":"a"}`, Transient, ""},
		{200, jsonType, `{"error":"bad_refresh_token","error_description":"x"}`, Reauth, "bad_refresh_token"},
		{200, jsonType, `{"ok":false,"error":"invalid_refresh_token"}`, Reauth, "invalid_refresh_token"},
		{200, jsonType, `{"ok":false}`, Broken, ""},
		{200, jsonType, `{"access_token":"a","error":"invalid_client"}`, Misconfigured, "invalid_client"},
		{200, jsonType, `{"access_token":"a","error":["x"]}`, Broken, ""},
		{200, formType, `error=bad_verification_code&error_description=x`, Reauth, "bad_verification_code"},
		{200, "text/html", `{"error":"invalid_grant"}`, Broken, ""},
		{200, jsonType, `{"access_token":"a"}` + strings.Repeat(" ", maxAnswer), Broken, ""},
	} {
		client, _ := serving(t, &reply{tc.status, tc.kind, tc.body, nil}, nil)
		_, err := client.Refresh(t.Context(), oldToken)
		var refused *Error
		if !errors.As(err, &refused) || refused.Kind != tc.want || refused.Code != tc.code || refused.Status != tc.status {
			t.Errorf("%d %s: %v", tc.status, tc.body, err)
		}
		if text := fmt.Sprintf("%v %+v %#v", err, refused, refused); strings.Contains(text, "old-") || strings.ContainsAny(err.Error(), "<\n") {
			t.Error(text)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	date := http.Header{"Date": {"Sun, 22 Nov 2026 08:00:00 GMT"}, "Retry-After": {"Sun, 22 Nov 2026 08:01:30 GMT"}}
	for _, tc := range []struct {
		status int
		header http.Header
		want   time.Duration
	}{
		{429, http.Header{"Retry-After": {"30"}}, 30 * time.Second},
		{503, date, 90 * time.Second},
		{503, http.Header{"Retry-After": {"99999999999999999999"}}, time.Hour},
		{503, http.Header{"Retry-After": {"-1"}}, 0},
		{503, nil, 0},
		{403, http.Header{"Retry-After": {"30"}}, 30 * time.Second},
		{401, http.Header{"Retry-After": {"30"}}, 0}, // it doesn't help
	} {
		client, _ := serving(t, &reply{tc.status, "", "", tc.header}, nil)
		_, err := client.Refresh(t.Context(), oldToken)
		var refused *Error
		if !errors.As(err, &refused) || refused.RetryAfter != tc.want {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}

// FuzzAnswer checks that no answer makes a token that can't be sent or stored,
// that the error says nothing of it, and that nothing panics.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"access_token":"a","token_type":"bearer","expires_in":"3600","refresh_token":"r","scope":["x"]}`, `{"error":"invalid_grant"}`,
		`{"ok":false,"error":"x_y"}`, `{"access_token":"a\r\n","expires_in":-1e999}`, `access_token=a&expires_in=1`, `{"error":{}}`, `[`, ``,
	} {
		for _, kind := range []string{jsonType, formType, "text/html", "x"} {
			f.Add(200, kind, body)
			f.Add(400, kind, body)
		}
	}
	f.Fuzz(func(t *testing.T, status int, kind, body string) {
		a := answer{status: status, header: http.Header{"Content-Type": {kind}}, body: []byte(body)}
		token, err := a.token(oldToken, sent)
		if err != nil {
			var refused *Error
			if !errors.As(err, &refused) || refused.Kind == 0 || token != (credential.Token{}) || len(err.Error()) > 200 || !isPrintable(err.Error()) {
				t.Fatalf("%v %v", token, err)
			}
			return
		}
		if status != 200 || token.Refresh.IsZero() || !token.Expires.IsZero() && (token.Expires.Before(sent) || token.Expires.After(sent.Add(maxLifetime))) {
			t.Fatalf("%d %v", status, token.Expires)
		}
		if _, err := credential.NewOAuth2(token); err != nil {
			t.Fatal(err)
		}
	})
}
