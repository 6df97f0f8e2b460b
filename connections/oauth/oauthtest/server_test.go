package oauthtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	callback  = "https://edge.example.com/callback"
	challenge = "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
	asks      = "/authorize?response_type=code&client_id=client&state=s&redirect_uri=" + callback
)

func ask(s *Server, method, target string, form url.Values, header http.Header) *http.Response {
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result()
}

// Who asks for a code, and how.
func TestAuthorize(t *testing.T) {
	s := New(Config{RedirectURIs: []string{callback}, Issuer: "https://as.example.com"})
	allow := url.Values{"username": {"alice"}, "password": {"wonderland"}, "decision": {"allow"}}
	deny := url.Values{"decision": {"deny"}}
	for _, tc := range []struct {
		method, target string
		form           url.Values
		status         int
		want           string // in the Location
	}{
		{"POST", asks + challenge, allow, 302, "code="},
		{"POST", asks + challenge, allow, 302, "iss=https%3A%2F%2Fas.example.com"},
		{"POST", asks + challenge, allow, 302, "state=s"},
		{"POST", asks + challenge, deny, 302, "error=access_denied"},
		{"POST", asks + challenge + "&scope=read+all", allow, 302, "error=invalid_scope"},
		{"GET", asks + challenge, nil, 200, ""},
		{"POST", asks + challenge, url.Values{"username": {"alice"}, "password": {"x"}, "decision": {"allow"}}, 200, ""},
		{"POST", asks + challenge, url.Values{"username": {"bob"}, "password": {""}, "decision": {"allow"}}, 200, ""},
		{"POST", asks + challenge, url.Values{"username": {"alice"}, "password": {"wonderland"}}, 200, ""},
		{"POST", asks, allow, 400, ""},
		{"POST", strings.Replace(asks+challenge, "S256", "plain", 1), allow, 400, ""},
		{"POST", strings.Replace(asks+challenge, "code&", "token&", 1), allow, 400, ""},
		{"POST", asks + "2" + challenge, allow, 400, ""},
		{"POST", strings.Replace(asks+challenge, "client_id=client", "client_id=other", 1), deny, 400, ""},
	} {
		res := ask(s, tc.method, tc.target, tc.form, nil)
		to := res.Header.Get("Location")
		if res.StatusCode != tc.status || !strings.Contains(to, tc.want) || (to == "") != (tc.want == "") || to != "" && !strings.HasPrefix(to, callback+"?") {
			t.Errorf("%s %s %s: %s %s", tc.method, tc.target, tc.form, res.Status, to)
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", asks+challenge+"&scope=", nil))
	if w.Header().Get("Content-Security-Policy") == "" || !strings.Contains(w.Body.String(), "client asks for access") {
		t.Error(w.Header(), w.Body)
	}
}

// Only the client gets, refreshes and revokes tokens, and they live as long as the
// config says.
func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Lifetime: time.Minute})
		password := url.Values{"grant_type": {"password"}, "username": {"alice"}, "password": {"wonderland"}, "scope": {"read"}}
		with := func(form url.Values, id, secret string) url.Values {
			form.Set("client_id", id)
			form.Set("client_secret", secret)
			return form
		}
		if res := ask(s, "POST", "/token", with(password, "client", "wrong"), nil); res.StatusCode != 401 {
			t.Error(res.Status)
		}
		both := http.Header{"Authorization": {"Basic Y2xpZW50OmNsaWVudC1zZWNyZXQ="}}
		if res := ask(s, "POST", "/token", with(password, "client", "client-secret"), both); res.StatusCode != 401 {
			t.Error(res.Status)
		}
		res := ask(s, "POST", "/token", with(password, "client", "client-secret"), nil)
		var token struct {
			Access  string `json:"access_token"`
			Refresh string `json:"refresh_token"`
			Expires int    `json:"expires_in"`
		}
		if err := json.NewDecoder(res.Body).Decode(&token); err != nil || token.Expires != 60 || token.Refresh == "" {
			t.Fatal(res.Status, token, err)
		}
		bearer := http.Header{"Authorization": {"Bearer " + token.Access}}
		if res := ask(s, "GET", "/me", nil, bearer); res.StatusCode != 200 {
			t.Error(res.Status)
		}
		refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.Refresh}}
		for _, path := range []string{"/token", "/revoke"} {
			if res := ask(s, "POST", path, refresh, nil); res.StatusCode != 401 {
				t.Error(path, res.Status)
			}
		}
		if time.Sleep(time.Minute + time.Second); ask(s, "GET", "/me", nil, bearer).StatusCode != 401 {
			t.Error("it lives for ever")
		}
		if res := ask(s, "POST", "/token", with(refresh, "client", "client-secret"), nil); res.StatusCode != 200 {
			t.Error(res.Status)
		}
		if calls := s.Calls(); calls["refresh_token"] != 2 || calls["password"] != 3 || s.Reuses() != 0 {
			t.Error(calls)
		}
	})
}

// A refresh token that was used works again only within the leeway, as does what
// it has brought; later it ends the grant.
func TestLeeway(t *testing.T) {
	for _, leeway := range []time.Duration{0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := New(Config{Leeway: leeway})
			get := func(form url.Values) (status int, access, refresh string) {
				form.Set("client_id", "client")
				form.Set("client_secret", "client-secret")
				res := ask(s, "POST", "/token", form, nil)
				var token struct {
					Access  string `json:"access_token"`
					Refresh string `json:"refresh_token"`
				}
				_ = json.NewDecoder(res.Body).Decode(&token)
				return res.StatusCode, token.Access, token.Refresh
			}
			refresh := func(token string) (status int, access, refresh string) {
				return get(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
			}
			_, _, first := get(url.Values{"grant_type": {"password"}, "username": {"alice"}, "password": {"wonderland"}, "scope": {"read"}})
			_, _, second := refresh(first)
			time.Sleep(leeway / 2)
			status, access, third := refresh(first)
			if want := map[bool]int{true: 200, false: 401}[leeway > 0]; status != want || s.Reuses() != 1 {
				t.Errorf("leeway %v: used again: %d, %d reuses", leeway, status, s.Reuses())
			}
			time.Sleep(leeway/2 + time.Second)
			if leeway > 0 {
				if status, _, _ := refresh(third); status != 200 {
					t.Errorf("what it has brought: %d", status)
				}
			}
			if status, _, _ := refresh(first); status != 401 {
				t.Errorf("later: %d", status)
			}
			if status, _, _ := refresh(second); status != 401 {
				t.Errorf("the grant goes on: %d", status)
			}
			if res := ask(s, "GET", "/me", nil, http.Header{"Authorization": {"Bearer " + access}}); res.StatusCode != 401 {
				t.Errorf("its access tokens go on: %s", res.Status)
			}
		})
	}
}
