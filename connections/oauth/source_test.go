package oauth

import (
	"testing"

	"github.com/f737063d/caddy-connector/connections/credential"
)

// Each grant has its own way to the next token.
func TestSource(t *testing.T) {
	answer := &reply{200, jsonType, `{"access_token":"a"}`, nil}
	alice := credential.SecretOf("alice")
	none := credential.Token{Access: credential.SecretOf("a")}
	for _, tc := range []struct {
		grant string
		old   credential.Token
		want  string // grant_type, or "": it can't
	}{
		{AuthorizationCode, oldToken, "refresh_token"},
		{AuthorizationCode, none, ""},
		{ClientCredentials, oldToken, "client_credentials"},
		{ClientCredentials, none, "client_credentials"},
		{Password, oldToken, "refresh_token"},
		{Password, none, "password"},
	} {
		client, asked := serving(t, answer, func(c *Config) {
			if c.Grant = tc.grant; tc.grant != AuthorizationCode {
				c.AuthorizeURL = ""
			}
		})
		source := client.Source()
		if tc.grant == Password {
			source = client.PasswordSource(alice, password)
		}
		_, err := source.Renew(t.Context(), tc.old)
		_, form := asked()
		if source.Renews(tc.old) != (tc.want != "") || (err == nil) != (tc.want != "") || form.Get("grant_type") != tc.want {
			t.Errorf("%+v: %v %s", tc, err, form)
		}
	}
	client, asked := serving(t, &reply{400, jsonType, `{"error":"invalid_grant"}`, nil}, func(c *Config) { c.Grant, c.AuthorizeURL = Password, "" })
	if _, err := client.PasswordSource(alice, password).Renew(t.Context(), oldToken); kindOf(err) != Reauth {
		t.Error(err)
	}
	if _, form := asked(); form.Get("username") != "alice" {
		t.Error("the password is not tried")
	}
	// what may be gone soon is no reason to send it
	client, asked = serving(t, &reply{503, "", "", nil}, func(c *Config) { c.Grant, c.AuthorizeURL = Password, "" })
	if _, err := client.PasswordSource(alice, password).Renew(t.Context(), oldToken); kindOf(err) != Transient {
		t.Error(err)
	}
	if _, form := asked(); form.Get("grant_type") != "refresh_token" {
		t.Error(form)
	}
}
