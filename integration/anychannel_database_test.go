package integration

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/internal/pgtest"
)

const below = "/connector/any_channel"

// eachDatabase runs a test with the option for an SQLite and for a PostgreSQL
// database, both new.
func eachDatabase(t *testing.T, test func(t *testing.T, database string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, "database sqlite "+filepath.Join(t.TempDir(), "edge.db")) })
	t.Run("postgres", func(t *testing.T) {
		t.Setenv("EDGE_DATABASE", pgtest.Start(t))
		t.Setenv("EDGE_KEYS", keys(1))
		test(t, "database postgres {env.EDGE_DATABASE}\nencryption_keys {env.EDGE_KEYS}")
	})
}

// keys returns an encryption key for tests.
func keys(n byte) string { return strings.Repeat(string('A'+rune(n)), 43) + "=" }

// withDatabase is openEgress, and the database.
func (a *authority) withDatabase(database string) string {
	return strings.Replace(a.openEgress(), "connector {", "connector {\n\t\t"+database, 1)
}

// databaseSite is a site whose tickets are in the database alone.
func databaseSite(service *upstream) string {
	return fmt.Sprintf("EDGE {\nlog\n%s\nroute {\nany_channel {\nintegration instagram {\nmanifest %s/int/ig/manifest.json\npoll off\n}\ntickets database\n}\n}\n}\n", accounts, service.url)
}

// admin sends a request to the admin API.
func (s *server) toAdmin(method, path, body string, header ...string) answer {
	s.t.Helper()
	if body != "" && len(header) == 0 {
		header = []string{asJSON}
	}
	return (&server{t: s.t, addr: s.admin}).do(method, path, body, append(header, "Authorization: none")...)
}

// put makes an instance or a ticket at the admin API.
func (s *server) put(path, body string, status int) map[string]any {
	s.t.Helper()
	got := s.toAdmin("PUT", below+path, body)
	var shown map[string]any
	if err := json.Unmarshal([]byte(got.body), &shown); err != nil || got.StatusCode != status {
		s.t.Fatalf("PUT %s %s: %d %s", path, body, got.StatusCode, got.body)
	}
	return shown
}

// quoted is a text in JSON.
func quoted(text string) string {
	encoded, _ := json.Marshal(text)
	return string(encoded)
}

// Z3, Z9, Z11: what the admin API is told counts for the next request.
func TestDatabaseTickets(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		ca := newAuthority(t)
		service := newService(t, ca, jsonAnswer(`{"ok":true}`))
		s := start(t, ca.withDatabase(database), databaseSite(service))
		ask := func(status int, header ...string) {
			t.Helper()
			got := s.do("POST", like, `{"liked": "true"}`, append(header, asJSON)...)
			if got.StatusCode != status {
				t.Errorf("%d %s, want %d", got.StatusCode, got.body, status)
			}
			if status == 404 {
				got.isRefusal(t, 404, "RecordNotFound", "destination_not_found", "")
			}
		}
		wantSent := func(metadata string) {
			t.Helper()
			if got, data := sentFields(t, service.one(t)); got != metadata || data != `{"liked": "true"}` {
				t.Errorf("the service got %q and %q, want %q", got, data, metadata)
			}
		}
		ask(404)
		s.put("/instances/omniwear", `{"integration":"instagram","metadata":`+quoted(omniwear)+`}`, 201)
		ask(404)
		s.put("/tickets/62", `{"instance":"omniwear"}`, 201)
		ask(200)
		wantSent(omniwear)

		s.put("/instances/omniwear", `{"integration":"instagram","metadata":"other"}`, 200)
		ask(200)
		wantSent("other")
		s.put("/instances/omniwear", `{"integration":"instagram","active":false}`, 200)
		ask(404)
		s.put("/instances/omniwear", `{"integration":"instagram"}`, 200) // the metadata stays
		ask(200)
		wantSent("other")

		s.put("/tickets/62", `{"instance":"omniwear","agents":["bob","carol"]}`, 200)
		ask(404)
		ask(200, "Authorization: "+bobCredentials)
		wantSent("other")
		s.put("/tickets/62", `{"instance":"omniwear","agents":["alice"]}`, 200)
		ask(404, "Authorization: "+bobCredentials)
		ask(200)
		wantSent("other")
		s.put("/instances/second", `{"integration":"instagram","metadata":"second"}`, 201)
		s.put("/tickets/62", `{"instance":"second","agents":[]}`, 200)
		ask(200, "Authorization: "+bobCredentials)
		wantSent("second")

		if got := s.toAdmin("DELETE", below+"/tickets/62", ""); got.StatusCode != 204 || got.body != "" {
			t.Errorf("%d %s", got.StatusCode, got.body)
		}
		ask(404)
		s.put("/tickets/62", `{"instance":"second"}`, 201)
		ask(200)
		wantSent("second")
		s.toAdmin("DELETE", below+"/instances/second", "")
		ask(404)
		s.put("/instances/second", `{"integration":"instagram","metadata":"second"}`, 201)
		ask(404) // its links went with it

		// an integration that is not in the config
		s.put("/instances/second", `{"integration":"twitter","metadata":"second"}`, 200)
		s.put("/tickets/62", `{"instance":"second"}`, 201)
		ask(404)
		if logs := s.logs(); strings.Count(logs, `"a ticket belongs to an integration that is not in the config","ticket_id":"62","instance":"second","integration":"twitter"`) != 1 {
			t.Error("the log does not name the integration")
		}
		if requests := service.seen(); len(requests) != 0 {
			t.Errorf("the service saw %q", requests)
		}
	})
}
