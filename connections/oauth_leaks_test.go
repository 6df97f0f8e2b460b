package connections

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/f737063d/caddy-connector/connections/credential"
)

// refreshes has a token refreshed from each token endpoint, and returns the
// connection that has got one.
func (l *leaks) refreshes() (good string) {
	l.t.Helper()
	names := modes()
	for _, mode := range []string{"good", "revoked", "failing"} {
		names = append(names, mode+"password", mode+"client_credentials")
	}
	for _, api := range names {
		id := l.imported(api)
		got := l.call(id, "GET", "/good")
		if works := strings.HasPrefix(api, "good"); works != (got.StatusCode == http.StatusOK) {
			l.t.Errorf("%s: refreshed, %d %s", api, got.StatusCode, got.text)
		}
		if api == "good" {
			good = id
		}
		l.as("alice", "POST", placeOf(api, id)+"/test", "")
		l.as("alice", "GET", placeOf(api, id), "")
		l.as("alice", "GET", connect+api+"/connections", "")
		l.as("alice", "GET", connect+api, "")
	}
	return good
}

// hangs has a token refreshed, and one revoked, that never are.
func (l *leaks) hangs() {
	id := l.imported("hangs")
	l.call(id, "GET", "/good")
	l.as("alice", "DELETE", placeOf("hangs", id), "")
}

// signIns has users sign in, and codes exchanged at each token endpoint.
func (l *leaks) signIns() {
	l.t.Helper()
	for _, mode := range modes() {
		f := l.begin(mode, "alice", `{"name":"signed in"}`)
		got := l.note(f.open(l.back(f)))
		if works := mode == "good"; works != (got.StatusCode == http.StatusOK) {
			l.t.Errorf("%s: signed in, %d %s", mode, got.StatusCode, got.text)
		}
		if again := l.note(f.open(l.back(f))); again.StatusCode != http.StatusBadRequest {
			l.t.Errorf("%s: the same once more, %d %s", mode, again.StatusCode, again.text)
		}
	}
	f := l.begin("good", "alice", `{"name":"sent on","returnTo":"/done"}`)
	l.note(f.open(l.back(f))).is(l.t, http.StatusSeeOther, "")
}

// refusedCallbacks has browsers come back with what is not right.
func (l *leaks) refusedCallbacks() {
	l.t.Helper()
	for what, change := range map[string][]string{
		"refused": {"code", "", "error", "access_denied", "error_description", "CODE"}, "code as error": {"code", "", "error", "CODE"}, "both": {"error", "CODE"},
		"no state": {"state", ""}, "another state": {"state", "CODE"}, "another issuer": {"iss", "CODE"}, "no issuer": {"iss", ""}, "no code": {"code", ""},
	} {
		f := l.begin("good", "alice", `{"name":"`+what+`"}`)
		for i := range change {
			change[i] = strings.ReplaceAll(change[i], "CODE", f.code)
		}
		if got := l.note(f.open(l.back(f, change...))); got.StatusCode < 400 {
			l.t.Errorf("%s: %d %s", what, got.StatusCode, got.text)
		}
	}
	f := l.begin("good", "alice", `{"name":"another browser"}`)
	for _, other := range []*browser{{e: l.edge, user: "alice"}, {e: l.edge, user: "bob", cookies: f.cookies}, {e: l.edge}} {
		l.note(other.open(l.back(f))).is(l.t, http.StatusBadRequest, "")
	}
	l.as("alice", "POST", connect+"good/oauth2/initialise", `{"name":"x","returnTo":"`+f.state+`"}`).is(l.t, http.StatusUnprocessableEntity, "return_to_invalid")
}

// confirms has a server begin, and give back what the browser brings.
func (l *leaks) confirms() {
	l.t.Helper()
	key := "Authorization: Bearer " + ownersKey
	f := l.begin("good", "", `{"name":"theirs","returnTo":"https://app.example.com/done"}`, key)
	got := f.open(l.back(f))
	got.is(l.t, http.StatusSeeOther, "")
	location, err := url.Parse(got.Header.Get("Location"))
	if err != nil {
		l.t.Fatal(err)
	}
	confirmation := l.know(l.t, "confirmation", location.Query().Get("confirmation"))
	l.note(got, confirmation)
	one := placeOf("good", location.Query().Get("connection"))
	l.as("alice", "POST", one+"/confirm", toJSON(jsonObject{"confirmation": confirmation})).is(l.t, http.StatusNotFound, "connection_unknown")
	l.as("", "POST", one+"/confirm", toJSON(jsonObject{confirmation: confirmation}), key).is(l.t, http.StatusUnprocessableEntity, "member_unknown")
	l.as("", "POST", one+"/confirm", toJSON(jsonObject{"confirmation": []string{confirmation}}), key).is(l.t, http.StatusBadRequest, "flow_invalid")
	l.as("", "GET", proxied(location.Query().Get("connection"), "/good"), "", key).is(l.t, http.StatusFailedDependency, "connection_unconfirmed")
	l.as("", "POST", one+"/confirm", toJSON(jsonObject{"confirmation": confirmation}), key).is(l.t, http.StatusOK, "")
	l.as("", "POST", one+"/confirm", toJSON(jsonObject{"confirmation": confirmation}), key).is(l.t, http.StatusBadRequest, "flow_invalid")
	l.as("", "GET", one, "", "Authorization: Bearer x"+ownersKey).is(l.t, http.StatusUnauthorized, "")
}

// call asks an API. What it says in its body is its own.
func (l *leaks) call(id, method, rest string, header ...string) reply {
	l.t.Helper()
	request, err := http.NewRequest(method, "http://"+l.addr+proxied(id, rest), nil)
	if err != nil {
		l.t.Error(err)
		return reply{}
	}
	request.Header.Set("X-User", "alice")
	if len(header) > 0 {
		request.Header.Set(header[0], header[1])
	}
	res, err := client.Do(request)
	if err != nil {
		return reply{} // it was cut short
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	got := decoded(reply{Response: res, text: string(text)})
	if res.Header.Get("Proxy-Status") == "" {
		got.text = ""
	}
	return l.note(got)
}

// echoes has an API tell its caller, in each way, with what it was called.
func (l *leaks) echoes(id string) {
	l.t.Helper()
	for _, mode := range modes() {
		for _, method := range []string{"GET", "POST"} {
			l.call(id, method, "/"+mode)
		}
	}
	l.as("alice", "GET", proxied(id, "/good/../x"), "")
	l.as("bob", "GET", proxied(id, "/good"), "").is(l.t, http.StatusNotFound, "connection_unknown")
}

// admin reads what Caddy's admin endpoint has.
func (l *leaks) admin() {
	l.t.Helper()
	for _, path := range []string{"/config/", "/metrics", "/debug/vars", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline", "/reverse_proxy/upstreams", "/connector/ready"} {
		l.keep(l.ask("GET", path))
	}
	l.keep(l.ask("POST", "/connector/keys/rotate"))
}

// printer returns what prints all that a panic or a log could print, once the edge
// is stopped: what others still write to cannot be printed.
func (l *leaks) printer(id string) func() {
	l.t.Helper()
	h := running(l.t)
	opened, err := h.store.Load(context.Background(), id)
	if err != nil {
		l.t.Fatal(err)
	}
	api := h.APIs[opened.API]
	ready, err := api.ready(opened)
	if err != nil {
		l.t.Fatal(err)
	}
	s := session{refresher: h.refresher, id: id, ready: ready}
	if _, err := s.credentials(context.Background()); err != nil {
		l.t.Fatal(err)
	}
	token, _ := s.put[api.oauthScheme].Token()
	ex := exchange{handler: h, connection: opened, api: api, ready: ready, start: time.Now()}
	return func() {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			for _, value := range []any{h, api, *api.oauth, api.oauth, opened, ready, *ready, s, &s, s.put, token, &token, *ready.api.Auth[api.oauthScheme].OAuth2, &ex, h.refresher} {
				fmt.Fprintf(&l.answers, verb+"\n", value)
			}
		}
		for _, value := range []any{s.put, token, ready.credentials, []credential.Secret{token.Access}} {
			l.answers.WriteString(toJSON(value))
		}
	}
}

// deletes has all connections deleted, and so their tokens revoked.
func (l *leaks) deletes() {
	l.t.Helper()
	for _, user := range []string{"alice", ""} {
		for api := range running(l.t).APIs {
			header := []string{}
			if user == "" {
				header = append(header, "Authorization: Bearer "+ownersKey)
			}
			list := l.as(user, "GET", connect+api+"/connections?first=100", "", header...)
			for _, each := range list.body["connections"].([]any) {
				id := each.(map[string]any)["id"].(string)
				l.as(user, "DELETE", placeOf(api, id), "", header...).is(l.t, http.StatusNoContent, "")
			}
		}
	}
}
