package integration

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// calendar is the authorization server of the quickstart, and its API.
type calendar struct {
	t        *testing.T
	at       string
	callback string // where it sends browsers back
}

func newCalendar(t *testing.T) *calendar {
	ports := startQuickstart(t)
	return &calendar{t, ports.Replace("http://127.0.0.1:8089"), ports.Replace("http://localhost:8080/api/connect/v1/connectors/calendar/oauth2/callback")}
}

// post sends a form, as the client if it has a secret, and returns the status, where
// the browser is sent, and the body.
func (c *calendar) post(path, secret, form string) (status int, location *url.URL, body map[string]any) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.at+path, strings.NewReader(form))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret != "" {
		r.SetBasicAuth("planner", secret)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	_ = json.Unmarshal(text, &body) // pages have none
	location, err = res.Location()
	if err != nil {
		location = new(url.URL)
	}
	return res.StatusCode, location, body
}

// authorize is the path of the sign-in page.
func (c *calendar) authorize(client, redirect, responseType string) string {
	return "/authorize?" + url.Values{
		"client_id": {client}, "redirect_uri": {redirect}, "response_type": {responseType}, "scope": {"calendars.read everything"}, "state": {"a b&c"},
	}.Encode()
}

// code signs in.
func (c *calendar) code() string {
	c.t.Helper()
	status, location, _ := c.post(c.authorize("planner", c.callback, "code"), "", "account=alice@acme.example&scope=calendars.read&scope=events.read&scope=everything")
	query := location.Query()
	if status != http.StatusSeeOther || !strings.HasPrefix(location.String(), c.callback+"?") || query.Get("state") != "a b&c" || query.Get("iss") != c.at {
		c.t.Fatalf("%d %s", status, location)
	}
	return query.Get("code")
}

// token asks for one, and returns the answer or the error's code.
func (c *calendar) token(secret string, form ...string) (answer map[string]any, failed string) {
	c.t.Helper()
	values := make(url.Values)
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	status, _, body := c.post("/token", secret, values.Encode())
	failed, _ = body["error"].(string)
	if (status == http.StatusOK) != (failed == "") {
		c.t.Errorf("%d %v", status, body)
	}
	return body, failed
}

// get calls the API.
func (c *calendar) get(path string, token any) (status int, challenge string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.at+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token.(string))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode, res.Header.Get("WWW-Authenticate")
}

const plannerSecret = "demo-secret-of-the-planner"

// What the quickstart's calendar says it checks, it does.
func TestCalendarOfTheQuickstart(t *testing.T) {
	c := newCalendar(t)
	for what, path := range map[string]string{
		"another client":       c.authorize("other", c.callback, "code"),
		"another redirect URI": c.authorize("planner", c.callback+"/", "code"),
		"no code":              c.authorize("planner", c.callback, "token"),
		"nothing":              "/authorize",
	} {
		if status, location, _ := c.post(path, "", "account=alice@acme.example"); status != http.StatusBadRequest || location.String() != "" {
			t.Errorf("%s: %d to %s", what, status, location)
		}
	}
	if status, _, _ := c.post(c.authorize("planner", c.callback, "code"), "", "account=eve@acme.example"); status != http.StatusBadRequest {
		t.Errorf("an account that is not there: %d", status)
	}

	code := c.code()
	refused := func(what, want, secret string, form ...string) {
		t.Helper()
		if _, failed := c.token(secret, form...); failed != want {
			t.Errorf("%s: %q", what, failed)
		}
	}
	byCode := []string{"grant_type", "authorization_code", "code", code, "redirect_uri", c.callback}
	refused("no client", "invalid_client", "", byCode...)
	refused("a wrong secret", "invalid_client", "guess", byCode...)
	refused("another grant", "unsupported_grant_type", plannerSecret, "grant_type", "password")
	refused("another redirect URI", "invalid_grant", plannerSecret, "grant_type", "authorization_code", "code", code, "redirect_uri", c.callback+"/")
	refused("a forged code", "invalid_grant", plannerSecret, "grant_type", "authorization_code", "code", "a"+code, "redirect_uri", c.callback)
	refused("a code for a refresh token", "invalid_grant", plannerSecret, "grant_type", "refresh_token", "refresh_token", code)
	first, failed := c.token(plannerSecret, byCode...)
	if failed != "" || first["scope"] != "calendars.read" || first["token_type"] != "Bearer" { // what was not asked for, or is not there, is not granted
		t.Fatalf("%v", first)
	}
	refused("the code again", "invalid_grant", plannerSecret, byCode...)

	for path, want := range map[string]int{"/me": 200, "/calendars": 200, "/events": 403, "/nothing": 404} {
		if status, challenge := c.get(path, first["access_token"]); status != want || (status == 403) != strings.Contains(challenge, `error="insufficient_scope", scope="events.read"`) {
			t.Errorf("%s: %d %s", path, status, challenge)
		}
	}
	second, failed := c.token(plannerSecret, "grant_type", "refresh_token", "refresh_token", first["refresh_token"].(string))
	if failed != "" || second["scope"] != "calendars.read" {
		t.Fatalf("%v", second)
	}
	refused("the refresh token again", "invalid_grant", plannerSecret, "grant_type", "refresh_token", "refresh_token", first["refresh_token"].(string))
	for what, token := range map[string]any{"none": "", "a refresh token": second["refresh_token"], "a forged one": second["access_token"].(string) + "0"} {
		if status, challenge := c.get("/me", token); status != 401 || !strings.Contains(challenge, "invalid_token") {
			t.Errorf("%s: %d %s", what, status, challenge)
		}
	}

	if status, _, _ := c.post("/revoke", "", "token="+url.QueryEscape(second["refresh_token"].(string))); status != 401 {
		t.Errorf("nobody revokes: %d", status)
	}
	if status, _ := c.get("/me", second["access_token"]); status != 200 {
		t.Errorf("before it is revoked: %d", status)
	}
	for _, token := range []string{"unknown", second["refresh_token"].(string)} {
		if status, _, _ := c.post("/revoke", plannerSecret, "token="+url.QueryEscape(token)); status != 200 {
			t.Errorf("revoking: %d", status)
		}
	}
	if status, _ := c.get("/me", second["access_token"]); status != 401 {
		t.Errorf("after it is revoked: %d", status)
	}
	refused("of what is revoked", "invalid_grant", plannerSecret, "grant_type", "refresh_token", "refresh_token", second["refresh_token"].(string))
}
