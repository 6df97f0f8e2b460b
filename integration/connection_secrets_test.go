package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/internal/leaktest"
)

// What subscribers and publishers are told of a connection, and what is kept of
// that, has nothing of its credentials, nor of what an authorization server has
// said of them.
func TestEventsOfConnectionsHaveNoSecrets(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		secrets := map[string]string{}
		for _, name := range []string{"client secret", "access token", "refresh token", "new access token", "new refresh token", "bearer token"} {
			secrets[name] = "pl4nted/" + strings.ReplaceAll(name, " ", "-") + `+=~<%41&"\>?of-` + fmt.Sprint(len(secrets))
		}
		var planted leaktest.Scanner
		all := ""
		for name, secret := range secrets {
			planted.Add(name, secret)
			all += secret + " "
		}
		t.Setenv("EDGE_KEYS", keys(1))
		t.Setenv("CLIENT_SECRET", secrets["client secret"])
		database, _, _ = strings.Cut(database, "\n")
		hook := newUpstream(t, nil)
		told, _ := json.Marshal(map[string]string{"error": "invalid_grant", "error_description": all, "error_uri": all, "access_token": secrets["access token"]})
		as := newUpstream(t, func(r *http.Request, conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 400 "+all+"\r\nConnection: close\r\nX-Echo: "+all+"\r\nContent-Type: application/json\r\n\r\n"+string(told))
		})
		s := start(t, "connector {\n"+database+"\nencryption_keys {env.EDGE_KEYS}\negress {\nallow 127.0.0.1\n}\n}", `EDGE {
	log
	route {
		connections {
			user {http.request.header.X-User}
			public_url https://edge.example.com
			api crm {
				base_url `+as.url+`
				auth oauth2 {
					authorize_url `+as.url+`/authorize
					token_url `+as.url+`/token
					revoke_url `+as.url+`/revoke
					client_id client
					client_secret {env.CLIENT_SECRET}
				}
			}
			api plain {
				base_url `+as.url+`
				auth bearer
			}
		}
`+hearing+`
	}
}`)
		const connectors = "/api/connect/v1/connectors/"
		answers := ""
		do := func(method, path, body string, status int) answer {
			t.Helper()
			got := s.do(method, path, body, "X-User: alice", "Content-Type: application/json")
			if answers += fmt.Sprintln(got.Status, got.Header, got.body); got.StatusCode != status {
				t.Fatalf("%s %s: %d %s", method, path, got.StatusCode, got.body)
			}
			return got
		}
		token := func(access, refresh string, expires int) string {
			encoded, _ := json.Marshal(map[string]any{"type": "oauth2", "access_token": secrets[access], "refresh_token": secrets[refresh], "expires_at": expires})
			return string(encoded)
		}
		hooked := s.do("POST", "/subscriptions", fmt.Sprintf(`{"target_url":%q,"resource_type":"connection","resource_id":"*","events":["connection.*"]}`, hook.url), "X-User: alice", "Content-Type: application/json")
		made := do("POST", connectors+"crm/connections", `{"name":"mine","credentials":[`+token("access token", "refresh token", 1000)+`]}`, http.StatusCreated)
		one := made.Header.Get("Location")
		do("GET", "/api/proxy/v1/"+strings.TrimPrefix(one, connectors+"crm/connections/")+"/x", "", http.StatusFailedDependency)
		do("PUT", one+"/credentials/0", token("new access token", "new refresh token", 1<<32), http.StatusOK)
		do("DELETE", one, "", http.StatusNoContent)
		bearer, _ := json.Marshal(map[string]string{"type": "bearer", "token": secrets["bearer token"]})
		do("POST", connectors+"plain/connections", `{"name":"plain","credentials":[`+string(bearer)+`]}`, http.StatusCreated)

		var requests []string
		eventually(t, "five pushes", func() bool {
			requests = append(requests, hook.seen()...)
			return len(requests) >= 5
		})
		pushed := strings.Join(requests, "\n")
		listed := do("GET", "/subscriptions/"+regexp.MustCompile(`sub_\w+|$`).FindString(hooked.body)+"/deliveries", "", http.StatusOK).body
		for _, id := range regexp.MustCompile(`dlv_\d+`).FindAllString(listed, -1) {
			do("GET", "/deliveries/"+id, "", http.StatusOK)
		}
		for _, want := range []string{`"connection.created"`, `"connection.reauth_required"`, `"reason":"invalid_grant"`, `"connection.recovered"`, `"connection.deleted"`} {
			if !strings.Contains(pushed, want) {
				t.Errorf("%s was not pushed: %s", want, pushed)
			}
		}
		rows := everythingIn(t, database)
		if !strings.Contains(rows, "connection.reauth_required") {
			t.Error("the events were not found, so nothing was tested")
		}
		if sent := strings.Join(as.seen(), "\n"); !strings.Contains(sent, "POST /revoke") || !strings.Contains(sent, "grant_type=refresh_token") {
			t.Errorf("the authorization server got %q", sent)
		}
		for place, text := range map[string]string{"a push": pushed, "an answer": answers, "a log": s.logs(), "the database": rows} {
			planted.Check(t, place, text)
		}
	})
}
