package connections

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/connections/oauth"
	"github.com/f737063d/caddy-connector/connections/vault"
	"github.com/f737063d/caddy-connector/internal/jsonanswer"
	"github.com/f737063d/caddy-connector/internal/rawpath"
	"github.com/f737063d/caddy-connector/internal/strictjson"
)

// How a user connects by OAuth2:
//
//  1. initialise: the app says what is to be connected, and gets a link, which works
//     once, for ten minutes.
//  2. authorize: the user's browser opens it. It gets a cookie, and goes to the
//     API's sign-in page.
//  3. callback: it comes back with a code. The cookie must be there.
//
// An attacker who begins must not have a victim go on, and sign in for the
// attacker's connection. If a user's session has begun, the edge knows the browser
// in the next two steps, and it must be the same user. If an API key or a token
// has begun, the edge does not know the browser, but the app does: it is sent
// there in the end, with a confirmation, and the app has to give that back, as the
// one whose session the browser has. Until then the connection cannot be used.

// cookiePrefix keeps other hosts and paths from setting the cookie (RFC 6265bis,
// section 4.1.3.2).
const cookiePrefix = "__Host-connection-"

// cookieOf returns the name of a flow's cookie: each has its own, since a user may
// sign in in several tabs.
func cookieOf(state string) string {
	hash := sha256.Sum256([]byte(state))
	return cookiePrefix + hex.EncodeToString(hash[:8])
}

// pending is what a flow is to bring about.
type pending struct {
	Name      string            `json:"name"`
	Variables map[string]string `json:"variables,omitempty"`
	Step      string            `json:"step"`              // authorize, callback or confirm
	Session   bool              `json:"session"`           // whether a user's session has begun
	Version   int64             `json:"version,omitempty"` // of the token that is to be confirmed
}

// initialise answers a link that the user's browser is to open.
func (c *call) initialise() (*answer, error) {
	if c.api.oauth == nil || c.api.oauth.Grant() != oauth.AuthorizationCode {
		return nil, errNoAuthorization
	}
	o, err := c.read("name", "variables", "connection", "returnTo")
	if err != nil {
		return nil, err
	}
	flow := vault.Flow{Owner: c.owner, API: c.api.name}
	begun := pending{Step: "authorize", Session: c.session}
	if encoded, again := o["connection"]; again {
		id, ok := strictjson.Text(encoded)
		if !ok || !vault.ValidID(id) || o["name"] != nil || o["variables"] != nil {
			return nil, errUnknown
		}
		c.id = id
		if _, err := c.known(); err != nil {
			return nil, err
		}
		flow.Connection = id
	} else {
		if begun.Name, err = o.name(); err != nil {
			return nil, err
		}
		if begun.Variables, err = o.variables(c.api.template); err != nil {
			return nil, err
		}
		if len(c.api.Auth) > 1 {
			return nil, errSeveralSchemes
		}
		// who has signed in should not learn only then that it was for nothing
		if err := c.handler.store.Room(c.request.Context(), c.owner, c.api.name, begun.Name, c.handler.MaxPerOwner); err != nil {
			return nil, err
		}
	}
	if encoded, given := o["returnTo"]; given {
		returnTo, ok := strictjson.Text(encoded)
		// a confirmation must get to the app, and not to whoever is behind a path of the
		// edge's that the caller has chosen
		if !ok || !c.handler.mayReturnTo(returnTo) || !c.session && !slices.Contains(c.handler.ReturnTo, returnTo) {
			return nil, errReturnTo
		}
		flow.ReturnTo = returnTo
	} else if !c.session {
		return nil, errReturnTo
	}
	ticket, err := c.handler.begin(c.request, flow, begun)
	if err != nil {
		return nil, err
	}
	link := c.handler.origin + c.handler.managePath + "/oauth2/authorize?flow=" + ticket
	return &answer{status: http.StatusCreated, body: struct {
		URL string `json:"url"`
	}{link}}, nil
}

// begin keeps a flow, and returns the secret that stands for it.
func (h *Handler) begin(r *http.Request, flow vault.Flow, begun pending) (state string, err error) {
	state = oauth.NewState()
	encoded, err := json.Marshal(begun)
	if err != nil {
		return "", err
	}
	flow.StateHash, flow.Data = sha256.Sum256([]byte(state)), credential.SecretOf(string(encoded))
	return state, h.store.BeginFlow(r.Context(), flow)
}

// take ends a flow that is at a step, and returns it.
func (h *Handler) take(r *http.Request, state, step string) (flow vault.Flow, begun pending, err error) {
	if state == "" {
		return flow, begun, errFlow
	}
	flow, err = h.store.TakeFlow(r.Context(), sha256.Sum256([]byte(state)))
	switch {
	case errors.Is(err, vault.ErrUnknown):
		return flow, begun, errFlow
	case err != nil:
		return flow, begun, err
	case json.Unmarshal([]byte(flow.Data.Reveal()), &begun) != nil || begun.Step != step:
		return flow, begun, errFlow
	}
	return flow, begun, nil
}

// mayGoOn reports whether a flow that a user's session has begun goes on in that
// user's browser.
func (h *Handler) mayGoOn(r *http.Request, flow vault.Flow, begun pending) bool {
	who, err := h.identify(r)
	if err == nil && who.session {
		return who.owner == flow.Owner || !begun.Session
	}
	return !begun.Session
}

// authorize sends the user's browser to the API's sign-in page.
func (h *Handler) authorize(w http.ResponseWriter, r *http.Request) error {
	flow, begun, err := h.take(r, r.URL.Query().Get("flow"), "authorize")
	if err != nil {
		return err
	}
	api := h.APIs[flow.API]
	if api == nil || api.oauth == nil || !h.mayGoOn(r, flow, begun) {
		return errFlow
	}
	browser := oauth.NewState() // as hard to guess
	begun.Step = "callback"
	flow.BrowserHash, flow.Verifier, flow.RedirectURI = sha256.Sum256([]byte(browser)), oauth.NewVerifier(), h.redirectURI(api)
	state, err := h.begin(r, flow, begun)
	if err != nil {
		return err
	}
	location, err := api.oauth.AuthorizeURL(oauth.Authorization{State: state, Verifier: flow.Verifier, RedirectURI: flow.RedirectURI})
	if err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieOf(state), Value: browser, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		MaxAge: int(vault.FlowLifetime.Seconds()),
	})
	leave(w, location)
	return nil
}

// redirectURI is where an API sends users back: each another one, so that what one
// authorization server answers cannot pass for the answer of another.
func (h *Handler) redirectURI(api *API) string {
	return h.origin + h.managePath + "/connectors/" + api.name + "/oauth2/callback"
}

// callback takes what the API's sign-in page has sent the browser back with.
func (h *Handler) callback(w http.ResponseWriter, r *http.Request, api *API) (err error) {
	presented, err := oauth.ReadCallback(r.URL.RawQuery)
	if err != nil {
		return errFlow
	}
	flow, begun, err := h.take(r, presented.State, "callback")
	if err != nil {
		return err
	}
	if flow.API != api.name || !sameBrowser(r, cookieOf(presented.State), flow.BrowserHash) || !h.mayGoOn(r, flow, begun) {
		return errFlow
	}
	dropCookie(w, cookieOf(presented.State))
	defer func() { err = returning(flow.ReturnTo, err) }()
	code, err := api.oauth.Code(presented, presented.State) // it is the state that the flow was found by
	if err != nil {
		return ofCallback(err)
	}
	token, err := api.oauth.Exchange(r.Context(), oauth.CodeExchange{Code: code, Verifier: flow.Verifier, RedirectURI: flow.RedirectURI})
	if err != nil {
		return ofCallback(err)
	}
	made, err := h.connect(r, api, flow, begun, token)
	if err != nil {
		h.revoke(r, api, token) // nobody has it
		return err
	}
	if flow.ReturnTo == "" {
		writePage(w, http.StatusOK, "Connected", "You are connected to "+api.name+". You can close this page.")
		return nil
	}
	added := "connection=" + made.ID
	if !begun.Session {
		confirmation, err := h.begin(r, vault.Flow{Owner: flow.Owner, API: api.name, Connection: made.ID},
			pending{Step: "confirm", Version: made.SecretVersion(api.oauthScheme)})
		if err != nil {
			return err
		}
		added += "&confirmation=" + confirmation
	}
	leave(w, withQuery(flow.ReturnTo, added))
	return nil
}

// connect keeps what a user has signed in for.
func (h *Handler) connect(r *http.Request, api *API, flow vault.Flow, begun pending, token credential.Token) (*vault.Connection, error) {
	made, err := credential.NewOAuth2(token)
	if err != nil {
		return nil, errAnswer
	}
	encoded, err := made.Encode()
	if err != nil {
		return nil, err
	}
	var found *vault.Connection
	if flow.Connection != "" {
		found, err = h.store.Get(r.Context(), flow.Owner, flow.Connection)
	} else {
		found, err = h.store.Create(r.Context(), vault.New{
			Owner: flow.Owner, API: api.name, Name: begun.Name, Variables: begun.Variables, Secrets: make([][]byte, len(api.Auth)),
		}, h.MaxPerOwner)
	}
	if err != nil {
		return nil, err
	}
	status := api.statusWith
	if !begun.Session {
		status = func(*vault.Connection, int) vault.Status { return vault.Unconfirmed }
	}
	return h.keep(r.Context(), found, api.oauthScheme, encoded, status)
}

// confirm says that it was the owner who has signed in: the app has the
// confirmation from the browser that the owner's session is in.
func (c *call) confirm() (*answer, error) {
	o, err := c.read("confirmation")
	if err != nil {
		return nil, err
	}
	if _, err := c.known(); err != nil {
		return nil, err
	}
	confirmation, _ := strictjson.Text(o["confirmation"])
	flow, begun, err := c.handler.take(c.request, confirmation, "confirm")
	if err != nil {
		return nil, err
	}
	if flow.Connection != c.id || flow.Owner != c.owner || c.api.oauth == nil {
		return nil, errFlow
	}
	kept, err := c.handler.store.Confirm(c.request.Context(), c.owner, c.id, c.api.oauthScheme, begun.Version, len(c.api.Auth))
	if errors.Is(err, vault.ErrStale) {
		err = errFlow // somebody has signed in since
	}
	return c.shown(kept, err)
}

func sameBrowser(r *http.Request, cookie string, want [32]byte) bool {
	cookies := r.CookiesNamed(cookie)
	if len(cookies) != 1 {
		return false
	}
	got := sha256.Sum256([]byte(cookies[0].Value))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

func dropCookie(w http.ResponseWriter, name string) {
	http.SetCookie(w, &http.Cookie{Name: name, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: -1})
}

// mayReturnTo reports whether a browser may be sent there in the end: to a path of
// the edge's own origin, or a URL that the config has.
func (h *Handler) mayReturnTo(location string) bool {
	if slices.Contains(h.ReturnTo, location) {
		return true
	}
	u, err := url.Parse(location)
	if err != nil || len(location) > 2048 || !strings.HasPrefix(location, "/") || u.Host != "" ||
		strings.ContainsFunc(location, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
		return false
	}
	// nor what somebody on the way makes one of that leads elsewhere
	return rawpath.Check(u.EscapedPath()) == nil && !strings.HasPrefix(u.Path, "//") && !strings.Contains(u.Path, " ")
}

// withQuery adds parameters to a URL.
func withQuery(location, parameters string) string {
	location, fragment, hasFragment := strings.Cut(location, "#")
	separator := "?"
	if strings.Contains(location, "?") {
		separator = "&"
	}
	location += separator + parameters
	if hasFragment {
		location += "#" + fragment
	}
	return location
}

// leave sends the browser on. What it came with is not for others.
func leave(w http.ResponseWriter, location string) {
	h := w.Header()
	h.Set("Location", location)
	h.Set("Referrer-Policy", "no-referrer")
	jsonanswer.Write(w, http.StatusSeeOther, nil)
}

// writePage is what the edge shows in a browser.
func writePage(w http.ResponseWriter, status int, title, text string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>%[1]s</title>
<body style="font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem"><h1>%[1]s</h1><p>%[2]s</p>
`, html.EscapeString(title), html.EscapeString(text))
}

// ofCallback is what a browser is shown where there is no token.
func ofCallback(err error) error {
	of, ok := errors.AsType[*oauth.Error](err)
	switch {
	case !ok:
		return errFlow
	case of.Kind == oauth.Reauth:
		return errNotGranted
	case of.Kind == oauth.Misconfigured:
		return errClient
	case of.Kind == oauth.Transient:
		return errNoToken
	}
	return errAnswer
}
