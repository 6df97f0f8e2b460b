package oauth

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/connections/credential"
)

const clientSecret = "s3cr3t&of=the+client%"

func validConfig() Config {
	return Config{
		AuthorizeURL: "https://as.example.com/authorize", TokenURL: "https://as.example.com/token", RevokeURL: "https://as.example.com/revoke",
		ClientID: "id", ClientSecret: credential.SecretOf(clientSecret), Scopes: []string{"read", "write:all"},
	}
}

func TestConfig(t *testing.T) {
	for _, tc := range []struct {
		change func(*Config)
		want   string // in the error; "": there is none
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.Grant = "implicit" }, "grant must be"},
		{func(c *Config) { c.AuthStyle = "auto" }, "auth_style must be"},
		{func(c *Config) { c.AuthStyle = AuthBody }, ""},
		{func(c *Config) { c.ClientID = "" }, "client_id is missing"},
		{func(c *Config) { c.ClientID = "a\nb" }, "printable"},
		{func(c *Config) { c.ClientSecret = credential.SecretOf("a\x7fb") }, "printable"},
		{func(c *Config) { c.ClientSecret = credential.Secret{} }, ""},
		{func(c *Config) { c.AuthorizeURL = "" }, "authorize_url is missing"},
		{func(c *Config) { c.TokenURL = "" }, "token_url is missing"},
		{func(c *Config) { c.RevokeURL = "" }, ""},
		{func(c *Config) { c.AuthorizeURL = "http://as.example.com/" }, "authorize_url must begin with https://"},
		{func(c *Config) { c.TokenURL = "http://as.example.com/" }, "token_url must begin with https://"},
		{func(c *Config) { c.RevokeURL = "http://10.0.0.1/" }, "revoke_url must begin with https://"},
		{func(c *Config) { c.TokenURL = "http://127.0.0.1.example.com/" }, "must begin with https://"},
		{func(c *Config) { c.TokenURL = "http://127.8.0.1:8080/token" }, ""},
		{func(c *Config) { c.TokenURL = "http://[::1]:8080/token" }, ""},
		{func(c *Config) { c.TokenURL = "http://localhost/token" }, ""},
		{func(c *Config) { c.TokenURL = "ftp://as.example.com/" }, "must begin with https://"},
		{func(c *Config) { c.TokenURL = "//as.example.com/" }, "must begin with https://"},
		{func(c *Config) { c.TokenURL = "/token" }, "not a URL with a host"},
		{func(c *Config) { c.TokenURL = "https://:443/token" }, "not a URL with a host"},
		{func(c *Config) { c.TokenURL = "https://%zz/" }, "not a URL with a host"},
		{func(c *Config) { c.TokenURL = "https://u:" + clientSecret + "@as.example.com/" }, "token_url"},
		{func(c *Config) { c.TokenURL = "https://u@as.example.com/" }, "no user"},
		{func(c *Config) { c.TokenURL = "https://as.example.com/#" }, "no fragment"},
		{func(c *Config) { c.TokenURL = "https://as.example.com/?key=1" }, ""},
		{func(c *Config) { c.TokenURL = "https://as.example.com/?key=1&grant_type=x" }, "grant_type is the protocol's own"},
		{func(c *Config) { c.TokenURL = "https://as.example.com/?a;b" }, "cannot be parsed"},
		{func(c *Config) { c.AuthorizeURL += "?state=1" }, "state is the protocol's own"},
		{func(c *Config) { c.AuthorizeParams = url.Values{"prompt": {"consent"}} }, ""},
		{func(c *Config) { c.AuthorizeParams = url.Values{"code_challenge_method": {"plain"}} }, "code_challenge_method is the protocol's own"},
		{func(c *Config) { c.AuthorizeParams = url.Values{"request": {"x"}} }, "request is the protocol's own"},
		{func(c *Config) { c.AuthorizeParams = url.Values{"": {"x"}} }, "no name"},
		{func(c *Config) {
			c.AuthorizeURL, c.AuthorizeParams = c.AuthorizeURL+"?tenant=1", url.Values{"tenant": {"2"}}
		}, "tenant is in the URL"},
		{func(c *Config) { c.TokenParams = url.Values{"resource": {"a", "b"}} }, ""},
		{func(c *Config) { c.TokenParams = url.Values{"scope": {"x"}} }, "scope is the protocol's own"},
		{func(c *Config) { c.TokenParams = url.Values{"client_secret": {"x"}} }, "client_secret is the protocol's own"},
		{func(c *Config) { c.Scopes = []string{"a b"} }, "a scope"},
		{func(c *Config) { c.Scopes = []string{""} }, "a scope"},
		{func(c *Config) { c.Scopes = []string{`a"`} }, "a scope"},
		{func(c *Config) { c.Scopes = []string{"ä"} }, "a scope"},
		{func(c *Config) { c.Issuer = "https://as.example.com" }, ""},
		{func(c *Config) { c.Issuer = "as.example.com" }, "issuer"},
		{func(c *Config) { c.Issuer = "https://as.example.com/?" }, "issuer must have no query"},
		{func(c *Config) { c.Grant = ClientCredentials }, "authorize_url, its parameters and issuer are not for it"},
		{func(c *Config) { c.Grant, c.AuthorizeURL = ClientCredentials, "" }, ""},
		{func(c *Config) { c.Grant, c.AuthorizeURL = Password, "" }, ""},
		{func(c *Config) { c.Grant, c.AuthorizeURL, c.ClientSecret = ClientCredentials, "", credential.Secret{} }, "client_secret is missing"},
	} {
		c := validConfig()
		tc.change(&c)
		_, err := New(c, http.DefaultTransport)
		if (err == nil) != (tc.want == "") || err != nil && (!strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "s3cr3t")) {
			t.Errorf("%+v: %v, want %q", c, err, tc.want)
		}
		if strings.Contains(fmt.Sprintf("%+v %#v", c, c), clientSecret) && !strings.Contains(c.TokenURL, clientSecret) {
			t.Error("the secret is printed")
		}
	}
}
