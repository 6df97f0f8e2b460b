package integration

import (
	"fmt"
	"strings"
	"testing"

	_ "github.com/f737063d/caddy-connector/connections"
)

// hearing has users subscribe to what becomes of their connections.
const hearing = `
		subscriptions {
			user {http.request.header.X-User}
			event_types task.create
			resource task {
				public
			}
			allow_http
		}`

// Who has a webhook for their connections learns of each that is made or deleted,
// and of nobody else's.
func TestEventsOfConnections(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		t.Setenv("EDGE_KEYS", keys(1))
		database, _, _ = strings.Cut(database, "\n")
		hook := newUpstream(t, nil)
		s := start(t, "connector {\n"+database+"\nencryption_keys {env.EDGE_KEYS}\negress {\nallow 127.0.0.1\n}\n}", `EDGE {
	route {
		connections {
			user {http.request.header.X-User}
			api crm {
				base_url https://crm.example
				auth bearer
			}
		}
`+hearing+`
	}
}`)
		const all = "/api/connect/v1/connectors/crm/connections"
		as := func(user, method, path, body string) answer {
			t.Helper()
			got := s.do(method, path, body, "X-User: "+user, "Content-Type: application/json")
			if got.StatusCode >= 300 {
				t.Fatalf("%s: %d %s", path, got.StatusCode, got.body)
			}
			return got
		}
		as("alice", "POST", "/subscriptions", fmt.Sprintf(`{"target_url":%q,"resource_type":"connection","resource_id":"*","events":["connection.*"]}`, hook.url))
		as("bob", "POST", all, `{"name":"mine"}`)
		made := as("alice", "POST", all, `{"name":"mine","credentials":[{"type":"bearer","token":"s3cret-token"}]}`)
		as("alice", "DELETE", made.Header.Get("Location"), "")
		var requests []string
		eventually(t, "both pushes", func() bool {
			requests = append(requests, hook.seen()...)
			return len(requests) >= 2
		})
		pushed := strings.Join(requests, "\n")
		id := strings.TrimPrefix(made.Header.Get("Location"), all+"/")
		for _, want := range []string{`"type":"connection.created"`, `"type":"connection.deleted"`, `"resource_id":"` + id + `"`, `"connector_id":"crm"`} {
			if !strings.Contains(pushed, want) {
				t.Errorf("%s was not pushed: %s", want, pushed)
			}
		}
		if len(requests) != 2 || strings.Count(pushed, `"resource_id":"`+id+`"`) != 2 || strings.Contains(pushed, "s3cret") {
			t.Errorf("pushed: %s", pushed)
		}
	})
}
