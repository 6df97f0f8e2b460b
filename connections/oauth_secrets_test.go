package connections

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// logFilter is what docs/connections.md tells to have in the log.
func logFilter(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/connections.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)\tlog default \{\n(\t\tformat filter \{.*?\n\t\t\})\n`).FindSubmatch(text)
	if found == nil {
		t.Fatal("docs/connections.md has no filter")
	}
	return string(found[1])
}

// leaks is an edge whose answers are kept, to look for secrets in them.
type leaks struct {
	*edge
	*wild
	t  *testing.T
	mu sync.Mutex

	answers strings.Builder
}

// note keeps an answer, but for what is in it on purpose, as it is written there.
func (l *leaks) note(got reply, allowed ...string) reply {
	text := fmt.Sprintln(got.Status, got.Header, got.text, got.Trailer)
	for _, written := range allowed {
		if written == "" || !strings.Contains(text, written) {
			l.t.Errorf("%q is not in %s", written, text)
			continue
		}
		text = strings.ReplaceAll(text, written, "")
	}
	l.keep(text)
	return got
}

func (l *leaks) keep(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers.WriteString(text)
}

// as makes a request of a user's, or, with a key, of its owner's.
func (l *leaks) as(user, method, path, body string, header ...string) reply {
	l.t.Helper()
	return l.note(l.do(user, method, path, body, header...))
}

const ownersKey = "owners-key/of+3=abcdef"

// site has an API for each of the ways in which the token endpoint answers, and one
// for each other grant.
func (l *leaks) site() string {
	site := "public_url " + public + "\nreturn_to https://app.example.com/done\napi_key acme {env.WILD_KEY}\n"
	for i, mode := range append(modes(), "hangs") {
		style, secret := "header", "{env.WILD_SECRET}"
		if i%2 == 1 {
			style, secret = "body", "{env.WILD_SECRET_2}"
		}
		client := "revoke_url " + l.url + "/revoke/" + mode + "\nclient_id \"a client:of/ours\"\nclient_secret " + secret + "\nauth_style " + style + "\nscopes read\n"
		for grant, more := range map[string]string{
			"": "authorize_url " + l.url + "/authorize/" + mode + "\nissuer " + l.url + "/issuer\n", "password": "grant password\n", "client_credentials": "grant client_credentials\n",
		} {
			if grant != "" && mode != "good" && mode != "revoked" && mode != "failing" {
				continue
			}
			site += at(mode+grant, l.url+"/api", "auth oauth2 {\ntoken_url "+l.url+"/token/"+mode+"\n"+client+more+"}\ntest GET /word")
		}
	}
	return site
}

// flow is a sign-in, with what is secret of it.
type flow struct {
	*browser
	api, state, code string
}

// begin goes as far as the sign-in page.
func (l *leaks) begin(api, user, body string, header ...string) *flow {
	l.t.Helper()
	got := l.do(user, "POST", connect+api+"/oauth2/initialise", body, header...)
	got.is(l.t, http.StatusCreated, "")
	link := got.body["url"].(string)
	_, ticket, _ := strings.Cut(link, "flow=")
	l.note(got, l.know(l.t, "flow "+api, ticket))
	f := &flow{browser: &browser{e: l.edge, user: user}, api: api, code: l.plant("code")}
	at := f.open(link)
	at.is(l.t, http.StatusSeeOther, "")
	location, _ := url.Parse(at.Header.Get("Location"))
	f.state = l.know(l.t, "state "+api, location.Query().Get("state"))
	if api == "word" {
		f.code = l.plantWord("code")
	}
	for _, value := range f.cookies {
		l.note(at, f.state, l.know(l.t, "cookie "+api, value))
	}
	return f
}

// back returns where the API sends the browser, with parameters in place of others.
func (l *leaks) back(f *flow, pairs ...string) string {
	query := url.Values{"state": {f.state}, "code": {f.code}, "iss": {l.url + "/issuer"}}
	for i := 0; i < len(pairs); i += 2 {
		if query.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			query.Del(pairs[i])
		}
	}
	return public + connect + f.api + "/oauth2/callback?" + query.Encode()
}

// imported makes a connection of tokens that have expired.
func (l *leaks) imported(api string) (id string) {
	l.t.Helper()
	credential := jsonObject{
		"type": "oauth2", "access_token": l.plant("access token"), "refresh_token": l.plant("refresh token"), "expires_at": 1000, "obtained_at": 100,
	}
	if api == "word" {
		credential["refresh_token"] = l.plantWord("refresh token")
	}
	if strings.HasSuffix(api, "password") {
		credential["username"], credential["password"] = "alice", l.plant("password")
	}
	got := l.as("alice", "POST", connect+api+"/connections", toJSON(jsonObject{"name": "imported", "credentials": []any{credential}}))
	got.is(l.t, http.StatusCreated, "")
	return got.id()
}

// S24, S40: what is secret in OAuth 2.0 is in no log of any level, no answer of the
// edge that is not for it, no document of the admin API, and not in the database as
// it is, whatever an authorization server or an API does with it.
func TestSecretsOfOAuth(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		w := newWild(t)
		l := &leaks{edge: e, wild: w, t: t}
		clients := []string{w.plant("client secret"), w.plant("client secret")}
		for i, name := range []string{"WILD_SECRET", "WILD_SECRET_2"} {
			t.Setenv(name, clients[i])
		}
		t.Setenv("WILD_KEY", w.know(t, "owner's key", ownersKey))
		e.logged = logFilter(t)
		e.start(l.site())

		var slow sync.WaitGroup
		slow.Go(func() { l.hangs() })
		good := l.refreshes()
		l.signIns()
		l.refusedCallbacks()
		l.confirms()
		l.echoes(good)
		soon(t, "a request that hangs", func() bool { return w.hanging() > 0 })
		l.admin()
		slow.Wait()
		stored := e.stored()
		e.load(l.site())
		l.echoes(good)
		l.call(good, "GET", "/good", "X-Connector-Force-Refresh-Credential", "true")
		prints := l.printer(good)
		l.admin()
		l.deletes()
		stored += e.stored()
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		prints()
		stored += e.stored()
		adapted, err := adapt(":80 {\nroute {\nconnections {\n" + l.site() + "}\n}\n}\n")
		if err != nil {
			t.Fatal(err)
		}
		l.scan(map[string]string{"a log": e.logs(), "an answer": l.answers.String(), "the adapted config": string(adapted), "the database": stored})
		l.wasTested(clients, stored)
	})
}

// scan looks for all secrets in all places.
func (l *leaks) scan(places map[string]string) {
	l.t.Helper()
	l.wild.mu.Lock()
	defer l.wild.mu.Unlock()
	for place, text := range places {
		l.secrets.Check(l.t, place, text)
	}
	var kinds []string
	for _, name := range l.secrets.Names() {
		kind, _, _ := strings.Cut(name, " ")
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	want := []string{"access", "client", "code", "confirmation", "cookie", "flow", "id", "owner's", "password", "refresh", "state", "verifier"}
	if kinds = slices.Compact(kinds); !slices.Equal(kinds, want) {
		l.t.Errorf("looked for %q", kinds)
	}
}

// wasTested fails the test where nothing was there to leak.
func (l *leaks) wasTested(clients []string, stored string) {
	l.t.Helper()
	sent := l.sent()
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape("a client:of/ours") + ":" + url.QueryEscape(clients[0])))
	for _, want := range []string{
		"Basic " + basic, "client_secret=" + url.QueryEscape(clients[1]), "grant_type=refresh_token", "grant_type=authorization_code", "grant_type=password",
		"grant_type=client_credentials", "code_verifier=", "/revoke/good", "/revoke/failing", "/revoke/hangs", "token_type_hint=refresh_token", "/api/early",
	} {
		if !strings.Contains(sent, want) {
			l.t.Errorf("%q was not sent, so nothing was tested", want)
		}
	}
	logs := l.logs()
	for _, want := range []string{
		"an API could not be called", "revoking a token failed", "no token (broken)", "no token (transient)", "no token (misconfigured)", "malformed answer",
		`authorize?REDACTED`, `callback?REDACTED`, `state=REDACTED`, `confirmation=REDACTED`, `"level":"debug"`, `X-Echo`,
	} {
		if !strings.Contains(logs, want) {
			l.t.Errorf("the log lacks %q, so nothing was tested", want)
		}
	}
	for _, want := range []string{
		`"reason":"invalid_grant"`, "connection_reauth_required", "credential_refresh_failed", "token_unavailable", "flow_invalid", "You are connected", "begin anew", `"scopes_missing"`,
		"REDACTED", "upstream_failed", "{env.WILD_SECRET}", "caddy_connections_requests_total", "goroutine ",
	} {
		if !strings.Contains(l.answers.String(), want) {
			l.t.Errorf("%q is in no answer, so nothing was tested", want)
		}
	}
	if !strings.Contains(stored, "imported") {
		l.t.Error("the database was not looked at")
	}
}
