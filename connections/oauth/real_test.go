package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
	"github.com/f737063d/caddy-connector/internal/egress"
)

const redirectURI = "https://edge.example.com/callback"

// start starts a real authorization server, and returns its client.
func start(t *testing.T, c oauthtest.Config, change func(*Config)) (*oauthtest.Server, string, *Client) {
	t.Helper()
	c.RedirectURIs, c.Issuer = []string{redirectURI}, "https://as.example.com"
	c.ClientSecret = "s3cr3t&of=the+client%"
	as := oauthtest.New(c)
	listening := httptest.NewServer(as)
	t.Cleanup(listening.Close)
	config := Config{
		AuthorizeURL: listening.URL + "/authorize", TokenURL: listening.URL + "/token", RevokeURL: listening.URL + "/revoke", Issuer: c.Issuer,
		ClientID: "client", ClientSecret: credential.SecretOf(c.ClientSecret), Scopes: []string{"read"},
	}
	if change != nil {
		change(&config)
	}
	client, err := New(config, onLoopback(t))
	if err != nil {
		t.Fatal(err)
	}
	return as, listening.URL, client
}

func onLoopback(t *testing.T) http.RoundTripper {
	transport := egress.NewTransport(egress.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// connect is the whole authorization, with alice at the sign-in page.
func connect(t *testing.T, client *Client) credential.Token {
	t.Helper()
	a := Authorization{State: NewState(), Verifier: NewVerifier(), RedirectURI: redirectURI}
	token, err := client.Exchange(t.Context(), CodeExchange{Code: authorized(t, client, a, "wonderland"), Verifier: a.Verifier, RedirectURI: redirectURI})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func authorized(t *testing.T, client *Client, a Authorization, password string) credential.Secret {
	t.Helper()
	answer := callback(t, client, a, password)
	code, err := client.Code(answer, a.State)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func callback(t *testing.T, client *Client, a Authorization, password string) Callback {
	t.Helper()
	at, err := client.AuthorizeURL(a)
	if err != nil {
		t.Fatal(err)
	}
	back, err := oauthtest.SignIn(t.Context(), at, "alice", password)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := ReadCallback(back.RawQuery)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// who asks the API whose a token is.
func who(t *testing.T, server string, token credential.Token) (user, scope string) {
	t.Helper()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server+"/me", nil)
	r.Header.Set("Authorization", "Bearer "+token.Access.Reveal())
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var me struct{ User, Client, Scope string }
	if err := json.NewDecoder(res.Body).Decode(&me); err != nil {
		t.Fatal(err)
	}
	return me.User + me.Client, me.Scope
}

func TestRealGrant(t *testing.T) {
	for _, style := range []string{AuthHeader, AuthBody} {
		as, server, client := start(t, oauthtest.Config{}, func(c *Config) { c.AuthStyle = style })
		first := connect(t, client)
		if user, scope := who(t, server, first); user != "aliceclient" || scope != "read" || first.Scope != "read" || time.Until(first.Expires) < 50*time.Minute {
			t.Errorf("%s %s %+v", user, scope, first)
		}
		second, err := client.Refresh(t.Context(), first)
		if err != nil || second.Refresh.Reveal() == first.Refresh.Reveal() || second.Scope != "read" {
			t.Fatal(second, err)
		}
		if user, _ := who(t, server, second); user != "aliceclient" {
			t.Error(user)
		}
		// the server takes a second use for theft
		if _, err := client.Refresh(t.Context(), first); kindOf(err) != Reauth || as.Reuses() != 1 {
			t.Error(err)
		}
		if _, err := client.Refresh(t.Context(), second); kindOf(err) != Reauth {
			t.Error(err)
		}
		if user, _ := who(t, server, second); user != "" {
			t.Error("the grant is not revoked")
		}

		third := connect(t, client)
		if err := client.Revoke(t.Context(), third); err != nil {
			t.Error(err)
		}
		if user, _ := who(t, server, third); user != "" {
			t.Error("the token is not revoked")
		}
		if err := client.Revoke(t.Context(), third); err != nil {
			t.Error(err)
		}
	}
}

// S32, S33: a code is of no use to who lacks the verifier, or a second time.
func TestRealCode(t *testing.T) {
	_, _, client := start(t, oauthtest.Config{}, nil)
	a := Authorization{State: NewState(), Verifier: NewVerifier(), RedirectURI: redirectURI}
	for name, change := range map[string]func(*CodeExchange){
		"another verifier": func(e *CodeExchange) { e.Verifier = NewVerifier() },
		"no verifier":      func(e *CodeExchange) { e.Verifier = credential.Secret{} },
		"another redirect": func(e *CodeExchange) { e.RedirectURI += "2" },
	} {
		e := CodeExchange{Code: authorized(t, client, a, "wonderland"), Verifier: a.Verifier, RedirectURI: redirectURI}
		change(&e)
		if token, err := client.Exchange(t.Context(), e); err == nil {
			t.Errorf("%s: %+v", name, token)
		}
	}
	e := CodeExchange{Code: authorized(t, client, a, "wonderland"), Verifier: a.Verifier, RedirectURI: redirectURI}
	if _, err := client.Exchange(t.Context(), e); err != nil {
		t.Error(err)
	}
	if _, err := client.Exchange(t.Context(), e); kindOf(err) != Reauth {
		t.Error(err)
	}
	// the user denies, and what can't be asked for
	if _, err := client.Code(callback(t, client, a, ""), a.State); kindOf(err) != Reauth {
		t.Error(err)
	}
	a.Scopes = []string{"everything"}
	if _, err := client.Code(callback(t, client, a, "wonderland"), a.State); kindOf(err) != Misconfigured {
		t.Error(err)
	}
	// another redirect URI gets nothing, and neither does who doesn't know the user
	a.Scopes, a.RedirectURI = nil, "https://evil.example.com/"
	at, _ := client.AuthorizeURL(a)
	if back, err := oauthtest.SignIn(t.Context(), at, "alice", "wonderland"); err == nil {
		t.Error(back)
	}
	a.RedirectURI = redirectURI
	at, _ = client.AuthorizeURL(a)
	if back, err := oauthtest.SignIn(t.Context(), at, "alice", "wrong"); err == nil {
		t.Error(back)
	}
}

func TestRealOtherGrants(t *testing.T) {
	_, server, client := start(t, oauthtest.Config{}, func(c *Config) { c.Grant, c.AuthorizeURL, c.Issuer = ClientCredentials, "", "" })
	token, err := client.ClientCredentials(t.Context())
	if err != nil || !token.Refresh.IsZero() {
		t.Fatal(token, err)
	}
	if user, scope := who(t, server, token); user != "client" || scope != "read" {
		t.Error(user, scope)
	}
	_, server, client = start(t, oauthtest.Config{}, func(c *Config) { c.Grant, c.AuthorizeURL, c.Issuer = Password, "", "" })
	token, err = client.Password(t.Context(), credential.SecretOf("alice"), credential.SecretOf("wonderland"))
	if err != nil {
		t.Fatal(err)
	}
	if user, _ := who(t, server, token); user != "aliceclient" {
		t.Error(user)
	}
	if _, err := client.Password(t.Context(), credential.SecretOf("alice"), credential.SecretOf("wrong")); kindOf(err) != Reauth {
		t.Error(err)
	}
	_, _, stranger := start(t, oauthtest.Config{}, func(c *Config) {
		c.Grant, c.AuthorizeURL, c.Issuer, c.ClientSecret = ClientCredentials, "", "", credential.SecretOf("wrong")
	})
	if _, err := stranger.ClientCredentials(t.Context()); kindOf(err) != Misconfigured {
		t.Error(err)
	}
}

// S36, over the network: at expiry, 200 calls on three nodes are one refresh, and
// no refresh token is sent twice.
func TestRealRefresh(t *testing.T) {
	as, server, client := start(t, oauthtest.Config{}, nil)
	token := connect(t, client)
	token.Expires = time.Now().Add(-time.Second)
	m := &memory{row: &row{Record: Record{Version: 1, Token: token, Source: client.Source()}}}
	as.Slow(50 * time.Millisecond)
	have := m.present()
	var nodes [3]*Refresher
	for i := range nodes {
		nodes[i] = NewRefresher(m)
		defer nodes[i].Close(context.Background())
	}
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			if rec, err := nodes[i%3].Token(t.Context(), id, have); err != nil || rec.Version != 2 {
				t.Error(rec, err)
			}
		})
	}
	all.Wait()
	if user, _ := who(t, server, m.present().Token); as.Calls()["refresh_token"] != 1 || as.Reuses() != 0 || user != "aliceclient" {
		t.Errorf("%v, %d reuses, %s", as.Calls(), as.Reuses(), user)
	}
	// the server is busy, and then the user wants no more
	as.Fail(1, 429, "30")
	var e *Error
	nodes[0].Forget(id)
	if _, err := nodes[0].Force(t.Context(), id); !errors.As(err, &e) || e.Kind != Transient || e.RetryAfter < 25*time.Second || e.RetryAfter > 30*time.Second {
		t.Error(err)
	}
	as.RevokeAll()
	m.row.until = time.Time{}
	nodes[1].Forget(id)
	if _, err := nodes[1].Force(t.Context(), id); kindOf(err) != Reauth || m.present().Reauth != "invalid_grant" {
		t.Error(err)
	}
}

func TestBrokenServers(t *testing.T) {
	kinds := map[string]Kind{
		"hangs": Transient, "huge": Broken, "expires_in text": 0, "expires_in negative": 0, "expires_in endless": 0, "200 with an error": Reauth, "form": 0,
		"page": Broken, "no content type": Broken, "cut": Broken, "line break": Broken, "redirect": Broken, "busy": Transient, "down": Transient,
	}
	for name, handler := range oauthtest.Broken() {
		server := httptest.NewServer(handler)
		c := validConfig()
		c.TokenURL = server.URL
		client, err := New(c, onLoopback(t))
		if err != nil {
			t.Fatal(err)
		}
		patience := time.Minute
		if name == "hangs" {
			patience = 200 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		token, err := client.Refresh(ctx, oldToken)
		cancel()
		want, ok := kinds[name]
		if !ok || kindOf(err) != want || (err == nil) != (want == 0) || err == nil && token.Access.Reveal() != "token" {
			t.Errorf("%s: %+v %v", name, token, err)
		}
		var e *Error
		if errors.As(err, &e) && (name == "busy" || name == "down") && e.RetryAfter != 30*time.Second {
			t.Errorf("%s: %s", name, e.RetryAfter)
		}
		server.Close()
	}
	// S22: an endpoint that leads inside is not asked
	inside, asked := serve(t, &reply{200, jsonType, `{"access_token":"a"}`, nil})
	c := validConfig()
	c.TokenURL = inside
	client, err := New(c, egress.NewTransport(egress.Config{}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Refresh(t.Context(), oldToken)
	if r, _ := asked(); kindOf(err) != Misconfigured || r != nil {
		t.Error(err)
	}
}
