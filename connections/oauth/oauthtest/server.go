// Package oauthtest has a real OAuth 2.0 authorization server for tests, examples
// and demonstrations, and broken ones. What it knows is in memory.
//
// The protocol is that of github.com/go-oauth2/oauth2; this package adds what
// a strict provider does: the client always authenticates, PKCE with S256 is
// required, redirect URIs are compared exactly, a refresh token works once, and a
// second use of it revokes the whole grant (RFC 9700, section 4.14.2), unless the
// Config has a Leeway.
package oauthtest

import (
	"cmp"
	"crypto/subtle"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-oauth2/oauth2/v4"
	"github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/manage"
	"github.com/go-oauth2/oauth2/v4/server"
)

// Config is what a Server knows. The zero value is of use: see the defaults.
type Config struct {
	ClientID     string            // default: client
	ClientSecret string            // default: client-secret
	RedirectURIs []string          // of the client, exactly; none: no authorization
	Users        map[string]string // name and password; default: alice, wonderland
	Scopes       []string          // that can be asked for; default: read, write
	Lifetime     time.Duration     // of access tokens, in whole seconds; default: 1 h
	Issuer       string            // sent with codes, as iss (RFC 9207), or ""
	Leeway       time.Duration     // after its use, in which a refresh token may be used again; default: none
}

// Server is an http.Handler with the endpoints /authorize (a sign-in page),
// /token and /revoke, and with an API: /me answers who the bearer is.
type Server struct {
	config Config
	mux    *http.ServeMux
	oauth  *server.Server

	mu     sync.Mutex // one token request at a time
	grants *grants
	calls  map[string]int
	delay  time.Duration
	fail   failure
}

type failure struct {
	left       int
	status     int
	retryAfter string
}

// New returns a server.
func New(c Config) *Server {
	c.ClientID, c.ClientSecret = cmp.Or(c.ClientID, "client"), cmp.Or(c.ClientSecret, "client-secret")
	c.Lifetime = cmp.Or(c.Lifetime, time.Hour)
	if c.Users == nil {
		c.Users = map[string]string{"alice": "wonderland"}
	}
	if c.Scopes == nil {
		c.Scopes = []string{"read", "write"}
	}
	s := &Server{config: c, mux: http.NewServeMux(), grants: newGrants(c.Leeway), calls: make(map[string]int)}
	s.oauth = server.NewServer(&server.Config{
		TokenType: "Bearer", ForcePKCE: true,
		AllowedResponseTypes:        []oauth2.ResponseType{oauth2.Code},
		AllowedGrantTypes:           []oauth2.GrantType{oauth2.AuthorizationCode, oauth2.PasswordCredentials, oauth2.ClientCredentials, oauth2.Refreshing},
		AllowedCodeChallengeMethods: []oauth2.CodeChallengeMethod{oauth2.CodeChallengeS256},
	}, s.manager())
	s.oauth.ClientInfoHandler = clientOf
	s.oauth.UserAuthorizationHandler = s.signIn
	s.oauth.PasswordAuthorizationHandler = s.password
	s.oauth.ClientScopeHandler = func(r *oauth2.TokenGenerateRequest) (bool, error) { return s.has(r.Scope), nil }
	s.mux.HandleFunc("/authorize", s.authorize)
	s.mux.HandleFunc("POST /token", s.token)
	s.mux.HandleFunc("POST /revoke", s.revoke)
	s.mux.HandleFunc("GET /me", s.me)
	return s
}

func (s *Server) manager() *manage.Manager {
	m := manage.NewDefaultManager()
	forever := 365 * 24 * time.Hour
	user := &manage.Config{AccessTokenExp: s.config.Lifetime, RefreshTokenExp: forever, IsGenerateRefresh: true}
	m.SetAuthorizeCodeTokenCfg(user)
	m.SetPasswordTokenCfg(user)
	m.SetClientTokenCfg(&manage.Config{AccessTokenExp: s.config.Lifetime})
	m.SetRefreshTokenCfg(&manage.RefreshingConfig{AccessTokenExp: s.config.Lifetime, IsGenerateRefresh: true, IsResetRefreshTime: true, IsRemoveRefreshing: true})
	m.SetValidateURIHandler(func(_, uri string) error {
		if !slices.Contains(s.config.RedirectURIs, uri) {
			return errors.ErrInvalidRedirectURI
		}
		return nil
	})
	m.MapClientStorage(client{s.config.ClientID, s.config.ClientSecret})
	m.MapTokenStorage(s.grants)
	return m
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	s.mux.ServeHTTP(w, r)
}

// Calls returns how often the token endpoint was asked, by grant type.
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// Reuses returns how often a refresh token was sent a second time.
func (s *Server) Reuses() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grants.reuses
}

// RevokeAll ends all grants, as a user does who no longer wants them.
func (s *Server) RevokeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grants.revokeAll()
}

// Slow makes each answer of the token endpoint take that long.
func (s *Server) Slow(delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = delay
}

// Fail makes the next answers of the token endpoint have a status, and a
// Retry-After unless it is "".
func (s *Server) Fail(times, status int, retryAfter string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = failure{times, status, retryAfter}
}

func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls[r.PostFormValue("grant_type")]++
	delay := s.delay
	s.mu.Unlock()
	time.Sleep(delay)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail.left > 0 {
		s.fail.left--
		if s.fail.retryAfter != "" {
			w.Header().Set("Retry-After", s.fail.retryAfter)
		}
		w.WriteHeader(s.fail.status)
		return
	}
	if !s.authenticates(w, r) { // the library lets anybody refresh
		return
	}
	s.grants.begin(r.PostFormValue("refresh_token"))
	_ = s.oauth.HandleTokenRequest(w, r)
}

func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.authenticates(w, r) {
		s.grants.revoke(r.PostFormValue("token"))
	}
}

func (s *Server) me(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	token, err := s.oauth.ValidationBearerToken(r)
	s.mu.Unlock()
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
		return
	}
	answer(w, http.StatusOK, map[string]string{"user": token.GetUserID(), "client": token.GetClientID(), "scope": token.GetScope()})
}

// authenticates reports whether the request is the client's own, or refuses it.
func (s *Server) authenticates(w http.ResponseWriter, r *http.Request) bool {
	id, secret, err := clientOf(r)
	if err == nil && id == s.config.ClientID && same(secret, s.config.ClientSecret) {
		return true
	}
	w.Header().Set("WWW-Authenticate", "Basic")
	answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
	return false
}

// clientOf reads the client's authentication in either style, but not in both.
func clientOf(r *http.Request) (id, secret string, err error) {
	user, password, basic := r.BasicAuth()
	if !basic {
		return r.PostFormValue("client_id"), r.PostFormValue("client_secret"), nil
	}
	if r.PostFormValue("client_secret") != "" {
		return "", "", errors.ErrInvalidRequest
	}
	id, err = url.QueryUnescape(user)
	if secret, unescapeErr := url.QueryUnescape(password); err == nil && unescapeErr == nil {
		return id, secret, nil
	}
	return "", "", errors.ErrInvalidClient
}

// has reports whether all these scopes can be asked for.
func (s *Server) has(scope string) bool {
	for asked := range strings.FieldsSeq(scope) {
		if !slices.Contains(s.config.Scopes, asked) {
			return false
		}
	}
	return true
}

func (s *Server) knows(name, password string) bool {
	known, ok := s.config.Users[name]
	return ok && same(known, password)
}

func same(one, other string) bool { return subtle.ConstantTimeCompare([]byte(one), []byte(other)) == 1 }

func answer(w http.ResponseWriter, status int, body any) {
	encoded, _ := json.Marshal(body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(encoded)))
	w.WriteHeader(status)
	_, _ = w.Write(encoded)
}
