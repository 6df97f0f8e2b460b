package credential

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// What is wrong is refused by the name of the member, and with nothing of what is
// in it.
func TestStrictForms(t *testing.T) {
	key := func(in string) Scheme { return APIKey{Place{in, "k"}} }
	signed := HMAC{Place: Place{"header", "X-Sig"}, Inputs: []string{"body"}}
	long := strings.Repeat("s3cr3t", 3000)
	for _, tc := range []struct {
		scheme      Scheme
		form, field string // field: "-", where it is taken
	}{
		{key("header"), `{"type":"api_key","value":"s3cr3t"}`, "-"},
		{key("header"), ` {"value":"s3cr3t" , "type":"api_key"} `, "-"},
		{key("header"), ``, ""},
		{key("header"), `null`, ""},
		{key("header"), `"s3cr3t"`, ""},
		{key("header"), `[]`, ""},
		{key("header"), `{"type":"api_key","value":"s3cr3t"}x`, ""},
		{key("header"), `{"type":"api_key","value":"s3cr3t"`, ""},
		{key("header"), "{\"type\":\"api_key\",\"value\":\"\xff\"}", ""},
		{key("header"), `{"type":"api_key","value":"s3cr3t","value":"s3cr3t"}`, ""},
		{key("header"), `{"type":"api_key","value":"s3cr3t","s3cr3t":1}`, ""},
		{key("header"), `{"type":"api_key","Value":"s3cr3t"}`, "value"},
		{key("header"), `{"type":"api_key","value":"` + strings.Repeat("x", 64<<10) + `"}`, ""},
		{key("header"), `{"value":"s3cr3t"}`, "type"},
		{key("header"), `{"type":"bearer","value":"s3cr3t"}`, "type"},
		{key("header"), `{"type":"API_KEY","value":"s3cr3t"}`, "type"},
		{key("header"), `{"type":1,"value":"s3cr3t"}`, "type"},
		{key("header"), `{"type":"api_key"}`, "value"},
		{key("header"), `{"type":"api_key","value":""}`, "value"},
		{key("header"), `{"type":"api_key","value":null}`, "value"},
		{key("header"), `{"type":"api_key","value":123}`, "value"},
		{key("header"), `{"type":"api_key","value":["s3cr3t"]}`, "value"},
		{key("header"), `{"type":"api_key","value":"\ud800"}`, "value"},
		{key("header"), `{"type":"api_key","value":"` + long + `"}`, "value"},
		{key("header"), `{"type":"api_key","value":"s3cr3t\r\nX: 1"}`, "value"},
		{key("header"), `{"type":"api_key","value":"s3cr3t\u0000"}`, "value"},
		{key("header"), `{"type":"api_key","value":" s3cr3t"}`, "value"},
		{key("header"), `{"type":"api_key","value":"s3cr3t\t"}`, "value"},
		{key("header"), `{"type":"api_key","value":"s3cr3té"}`, "value"},
		{key("query"), `{"type":"api_key","value":"s3cr3té &="}`, "-"},
		{key("query"), `{"type":"api_key","value":"s3cr3t\n"}`, "value"},
		{key("query"), `{"type":"api_key","value":"s3cr3t\u0085"}`, "value"},
		{key("cookie"), `{"type":"api_key","value":"s3cr3t!/+="}`, "-"},
		{key("cookie"), `{"type":"api_key","value":"s3cr3t;a"}`, "value"},
		{key("cookie"), `{"type":"api_key","value":"s3cr3t a"}`, "value"},
		{key("cookie"), `{"type":"api_key","value":"s3cr3t\""}`, "value"},
		{None{}, `{"type":"none","value":"s3cr3t"}`, ""},
		{None{}, `{}`, "type"},
		{Basic{}, `{"type":"basic","username":"u","password":"s3cr3t: é"}`, "-"},
		{Basic{}, `{"type":"basic","password":"s3cr3t"}`, "-"},
		{Basic{}, `{"type":"basic"}`, "password"},
		{Basic{}, `{"type":"basic","username":"","password":""}`, "password"},
		{Basic{}, `{"type":"basic","username":"s3cr3t:x","password":"p"}`, "username"},
		{Basic{}, `{"type":"basic","username":"s3cr3t\n","password":"p"}`, "username"},
		{Basic{}, `{"type":"basic","username":"u","password":"s3cr3t\u0000"}`, "password"},
		{Basic{}, `{"type":"basic","username":"u","password":null}`, "password"},
		{Bearer{}, `{"type":"bearer","token":"s3cr3t x"}`, "token"},
		{Bearer{}, `{"type":"bearer","token":"s3cr3t\n"}`, "token"},
		{Bearer{}, `{"type":"bearer"}`, "token"},
		{OAuth2{}, `{"type":"oauth2","access_token":"s3cr3t"}`, "-"},
		{OAuth2{}, `{"type":"oauth2","refresh_token":"s3cr3t"}`, "access_token"},
		{OAuth2{}, `{"type":"oauth2","access_token":"s3cr3t\r\n"}`, "access_token"},
		{OAuth2{}, `{"type":"oauth2","access_token":"a","refresh_token":"s3cr3t "}`, "refresh_token"},
		{OAuth2{}, `{"type":"oauth2","access_token":"a","scope":"s3cr3t\n"}`, "scope"},
		{OAuth2{}, `{"type":"oauth2","access_token":"a","expires_at":"1700000000"}`, "expires_at"},
		{OAuth2{}, `{"type":"oauth2","access_token":"a","expires_at":1.5}`, "expires_at"},
		{OAuth2{}, `{"type":"oauth2","access_token":"a","expires_at":1e9}`, "expires_at"},
		{OAuth2{}, `{"type":"oauth2","access_token":"a","expires_at":-1}`, "expires_at"},
		{OAuth2{}, `{"type":"oauth2","access_token":"a","expires_at":0}`, "expires_at"},
		{OAuth2{}, `{"type":"oauth2","access_token":"a","expires_at":null}`, "expires_at"},
		{OAuth2{}, `{"type":"oauth2","access_token":"a","expires_at":99999999999999999999}`, "expires_at"},
		{OAuth2{}, `{"type":"oauth2","access_token":"a","token_type":"bearer"}`, ""},
		{signed, `{"type":"hmac","key":"s3cr3t é\n"}`, "-"},
		{signed, `{"type":"hmac","key_base64":"AP8="}`, "-"},
		{signed, `{"type":"hmac"}`, "key"},
		{signed, `{"type":"hmac","key":""}`, "key"},
		{signed, `{"type":"hmac","key":"s3cr3t","key_base64":"AP8="}`, ""},
		{signed, `{"type":"hmac","key_base64":"s3cr3t"}`, "key_base64"},
		{signed, `{"type":"hmac","key_base64":"AP9="}`, "key_base64"},
		{signed, `{"type":"hmac","key_base64":""}`, "key_base64"},
		{Certificate{}, `{"type":"certificate"}`, "certificate"},
		{Certificate{}, `{"type":"certificate","certificate":"s3cr3t","key":"s3cr3t"}`, "certificate"},
		{Certificate{}, strings.Replace(certificateForm(t), `"key":"`, `"key":"s3cr3t","other":"`, 1), "certificate"},
		{Certificate{}, strings.Replace(certificateForm(t), `{`, `{"ca":"s3cr3t",`, 1), "ca"},
		{Certificate{}, certificateForm(t), "-"},
	} {
		a := newAuth(t, tc.scheme)
		c, err := a.Read(0, []byte(tc.form))
		if tc.field == "-" {
			if err != nil {
				t.Errorf("%s: %v", tc.form, err)
			}
			continue
		}
		var wrong *FieldError
		if !errors.As(err, &wrong) || wrong.Field != tc.field || !c.IsZero() || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%.100s: %v", tc.form, err)
		}
	}
}

// S40
func TestNothingPrintsASecret(t *testing.T) {
	const secret = "pl4nted"
	a := newAuth(t, Bearer{}, APIKey{Place{"query", "k"}}, HMAC{Place: Place{"header", "X-Sig"}, Inputs: []string{"body"}}, Certificate{})
	credentials := read(t, a, `{"type":"bearer","token":"pl4nted"}`, `{"type":"api_key","value":"pl4nted"}`, `{"type":"hmac","key":"pl4nted"}`, certificateForm(t))
	token := Token{Access: SecretOf(secret), Refresh: SecretOf(secret)}
	oauth2, err := NewOAuth2(token)
	if err != nil {
		t.Fatal(err)
	}
	client, _ := ClientCertificateOf(credentials)
	pair, _ := client.Get(nil)
	private := fmt.Sprint(pair.PrivateKey)[10:40]
	things := map[string]any{
		"credentials": credentials, "credential": oauth2, "pointer": &oauth2, "token": token, "secret": token.Access, "auth": a, "certificate": client,
		"inside": struct {
			c []Credential
			s Secret
			t Token
		}{credentials, token.Access, token},
	}
	for name, thing := range things {
		printed := ""
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t"} {
			printed += fmt.Sprintf(verb, thing)
		}
		encoded, _ := json.Marshal(thing)
		var logged bytes.Buffer
		slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "thing", thing)
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "thing", thing)
		all := printed + string(encoded) + logged.String()
		if strings.Contains(all, secret) || strings.Contains(all, fmt.Sprintf("%x", secret)) || strings.Contains(all, private) || strings.Contains(all, "PRIVATE KEY") {
			t.Errorf("%s: %s", name, all)
		}
	}
	if got := fmt.Sprint(oauth2, token.Access) + oauth2.String() + oauth2.GoString(); got != strings.Repeat("REDACTED", 2)[:8]+" REDACTEDREDACTEDREDACTED" {
		t.Errorf("%s", got)
	}
	if !SecretOf("").IsZero() || SecretOf("").Reveal() != "" || SecretOf("a").IsZero() {
		t.Error("zero")
	}
}
