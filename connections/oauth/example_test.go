package oauth_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"net/netip"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/connections/oauth"
	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
	"github.com/f737063d/caddy-connector/internal/egress"
)

// A user connects: the edge keeps state and verifier while the user is at the
// server, and exchanges the code that comes back.
func Example() {
	const redirectURI = "https://edge.example.com/callback"
	server := httptest.NewServer(oauthtest.New(oauthtest.Config{RedirectURIs: []string{redirectURI}}))
	defer server.Close()
	transport := egress.NewTransport(egress.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	defer transport.CloseIdleConnections()

	client, err := oauth.New(oauth.Config{
		AuthorizeURL: server.URL + "/authorize", TokenURL: server.URL + "/token",
		ClientID: "client", ClientSecret: credential.SecretOf("client-secret"), Scopes: []string{"read"},
	}, transport)
	if err != nil {
		log.Fatal(err)
	}
	state, verifier := oauth.NewState(), oauth.NewVerifier()
	sendTo, err := client.AuthorizeURL(oauth.Authorization{State: state, Verifier: verifier, RedirectURI: redirectURI})
	if err != nil {
		log.Fatal(err)
	}

	back, err := oauthtest.SignIn(context.Background(), sendTo, "alice", "wonderland") // the user
	if err != nil {
		log.Fatal(err)
	}
	answer, err := oauth.ReadCallback(back.RawQuery)
	if err != nil {
		log.Fatal(err)
	}
	code, err := client.Code(answer, state)
	if err != nil {
		log.Fatal(err)
	}
	token, err := client.Exchange(context.Background(), oauth.CodeExchange{Code: code, Verifier: verifier, RedirectURI: redirectURI})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Access, token.Scope)

	next, err := client.Refresh(context.Background(), token)
	fmt.Println(next.Refresh.Reveal() != token.Refresh.Reveal(), err)
	// Output:
	// REDACTED read
	// true <nil>
}
