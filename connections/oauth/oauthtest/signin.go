package oauthtest

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-oauth2/oauth2/v4/errors"
)

var page = template.Must(template.New("sign-in").Parse(`<!doctype html>
<title>Sign in</title>
<h1>{{.Client}} asks for access</h1>
<p>To: {{.Scope}}</p>{{if .Wrong}}
<p role="alert">This name and password are not known.</p>{{end}}
<form method="post">
<label>Name <input name="username" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny" formnovalidate>Deny</button>
</form>
`))

// authorize is the authorization endpoint. Where its errors go to is checked
// first: the library redirects them anywhere.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if query.Get("client_id") != s.config.ClientID || !slices.Contains(s.config.RedirectURIs, query.Get("redirect_uri")) {
		http.Error(w, "unknown client or redirect URI", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grants.begin("")
	if err := s.oauth.HandleAuthorizeRequest(&named{w, s.config.Issuer}, r); err != nil {
		http.Error(w, "the request is not valid", http.StatusBadRequest)
	}
}

// signIn returns the user who has signed in and allowed what is asked for, or
// shows the page.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) (string, error) {
	name, password := r.PostFormValue("username"), r.PostFormValue("password")
	known := s.knows(name, password)
	switch {
	case !s.has(r.FormValue("scope")):
		return "", errors.ErrInvalidScope
	case r.Method == http.MethodPost && r.PostFormValue("decision") == "deny":
		return "", errors.ErrAccessDenied
	case r.Method == http.MethodPost && r.PostFormValue("decision") == "allow" && known:
		return name, nil
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	return "", page.Execute(w, map[string]any{
		"Client": r.FormValue("client_id"), "Scope": r.FormValue("scope"), "Wrong": r.Method == http.MethodPost && !known,
	})
}

func (s *Server) password(_ context.Context, _, name, password string) (string, error) {
	if !s.knows(name, password) {
		return "", errors.ErrInvalidGrant
	}
	return name, nil
}

// named adds the issuer to a redirect.
type named struct {
	http.ResponseWriter
	issuer string
}

func (w *named) WriteHeader(status int) {
	if u, err := url.Parse(w.Header().Get("Location")); err == nil && w.issuer != "" && u.Host != "" {
		query := u.Query()
		query.Set("iss", w.issuer)
		u.RawQuery = query.Encode()
		w.Header().Set("Location", u.String())
	}
	w.ResponseWriter.WriteHeader(status)
}

// SignIn does what a user does at an authorize URL, and returns where the server
// sends the browser then. With an empty password, the user denies.
func SignIn(ctx context.Context, authorizeURL, name, password string) (*url.URL, error) {
	form := url.Values{"username": {name}, "password": {password}, "decision": {"allow"}}
	if password == "" {
		form.Set("decision", "deny")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, authorizeURL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultTransport.RoundTrip(r) // it follows no redirect
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusFound {
		return nil, fmt.Errorf("the sign-in page answers %s", res.Status)
	}
	return res.Location()
}
