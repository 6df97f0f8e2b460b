package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

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

// What a ticket of others, of an instance that is switched off or is of no
// integration is answered, is what an unknown one is, byte for byte.
func TestDatabaseTicketsLookAlike(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		ca := newAuthority(t)
		service, connections := countedService(t, ca, jsonAnswer("{}"))
		s := start(t, ca.withDatabase(database), databaseSite(service))
		s.put("/instances/omniwear", `{"integration":"instagram","metadata":"x"}`, 201)
		s.put("/instances/asleep", `{"integration":"instagram","metadata":"x","active":false}`, 201)
		s.put("/instances/foreign", `{"integration":"none","metadata":"x"}`, 201)
		for id, link := range map[string]string{
			"62": `{"instance":"omniwear"}`, "63": `{"instance":"omniwear","agents":["bob"]}`, "64": `{"instance":"asleep"}`, "65": `{"instance":"foreign"}`,
		} {
			s.put("/tickets/"+id, link, 201)
		}
		wires := make(map[string]bool)
		for _, id := range []string{"999", "63", "64", "65"} {
			wires[dateLine.ReplaceAllString(s.wire(posted(proxyTo(id, "/like"), asJSON, "{}")), "")] = true
		}
		for wire := range wires {
			if len(wires) != 1 || !strings.HasPrefix(wire, "HTTP/1.1 404 ") || !strings.Contains(wire, `"RecordNotFound"`) {
				t.Errorf("%q", wire)
			}
		}
		wantOnlyControl(t, s, service, connections)
	})
}

// Tickets in the database stand beside other sources, and its instances beside
// the config's of the same name.
func TestDatabaseTicketsAmongOthers(t *testing.T) {
	ca := newAuthority(t)
	service := newService(t, ca, jsonAnswer("{}"))
	site := helpdeskSite(t, service, "tickets static {\n61 omniwear bob\n}\ntickets database\ntickets static {\n62 omniwear\n63 omniwear\n64 omniwear\n}")
	s := start(t, ca.withDatabase("database sqlite "+filepath.Join(t.TempDir(), "edge.db")), site)
	s.put("/instances/omniwear", `{"integration":"instagram","metadata":"of the database"}`, 201)
	s.put("/tickets/61", `{"instance":"omniwear"}`, 201)
	s.put("/tickets/62", `{"instance":"omniwear"}`, 201)
	s.put("/tickets/63", `{"instance":"omniwear","agents":["bob"]}`, 201)
	for id, want := range map[string]string{"61": "", "62": "of the database", "63": "", "64": omniwear, "65": ""} {
		got := s.do("POST", proxyTo(id, "/like"), "")
		if want == "" {
			got.isRefusal(t, 404, "RecordNotFound", "destination_not_found", "")
		} else if sent, _ := sentFields(t, service.one(t)); sent != want {
			t.Errorf("ticket %s: the service got %q, want %q", id, sent, want)
		}
	}
	if requests := service.seen(); len(requests) != 0 {
		t.Errorf("the service saw %q", requests)
	}
}

// A database server that is away is a matter of seconds: 503 says so, and when
// it is back, so is everything.
func TestDatabaseTicketsNotReady(t *testing.T) {
	server := pgtest.New(t)
	t.Setenv("EDGE_DATABASE", server.Database(t))
	t.Setenv("EDGE_KEYS", keys(1))
	ca := newAuthority(t)
	service := newService(t, ca, jsonAnswer("{}"))
	s := start(t, ca.withDatabase("database postgres {env.EDGE_DATABASE}\nencryption_keys {env.EDGE_KEYS}"), databaseSite(service))
	s.put("/instances/omniwear", `{"integration":"instagram","metadata":"x"}`, 201)
	s.put("/tickets/62", `{"instance":"omniwear"}`, 201)
	server.Stop(t)
	before := s.metrics()
	got := s.do("POST", like, "{}", asJSON)
	got.isRefusal(t, 503, "ServiceUnavailable", "proxy_internal_error", "")
	s.wantReasons(before, map[string]float64{"database_not_ready": 1})
	for _, tc := range [][3]string{
		{"GET", "/instances"}, {"GET", "/instances/omniwear"}, {"PUT", "/instances/omniwear", `{"integration":"instagram"}`}, {"DELETE", "/instances/omniwear"},
		{"GET", "/tickets?instance=omniwear"}, {"GET", "/tickets/62"}, {"PUT", "/tickets/62", `{"instance":"omniwear"}`}, {"DELETE", "/tickets/62"},
	} {
		told := s.toAdmin(tc[0], below+tc[1], tc[2])
		told.isAdminError(t, 503, "not_ready")
		if told.Header.Get("Retry-After") != "2" || got.Header.Get("Retry-After") != "2" {
			t.Errorf("%s: %v, %v", tc, told.Header, got.Header)
		}
	}
	server.Restart(t)
	eventually(t, "the database", func() bool { return s.do("POST", like, "{}", asJSON).StatusCode == 200 })
	logs := s.logs()
	if strings.Contains(logs, pgtest.Password) {
		t.Error("the log has the password")
	}
	for _, want := range []string{`"logger":"admin.api.any_channel","msg":"the database cannot be used"`, `"ticket_id":"62","reason":"database_not_ready"`} {
		if !strings.Contains(logs, want) {
			t.Errorf("the log lacks %s", want)
		}
	}
}

// `caddy validate` opens no database; a config whose handlers need none has no
// instances.
func TestDatabaseTicketsNeedNothingToValidate(t *testing.T) {
	ca := newAuthority(t)
	service := newService(t, ca, jsonAnswer("{}"))
	file := filepath.Join(t.TempDir(), "sub", "edge.db")
	config, err := adapt("{\n" + ca.withDatabase("database sqlite "+file) + "\n}\n" + strings.ReplaceAll(databaseSite(service), "EDGE", "http://:"+portOf(freeAddr(t))))
	if err != nil {
		t.Fatal(err)
	}
	var parsed caddy.Config
	if err := json.Unmarshal(config, &parsed); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&parsed); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(file)); !os.IsNotExist(err) {
		t.Errorf("validating made something: %v", err)
	}
	s := start(t, ca.openEgress(), channelWith(t, service, ""))
	for _, path := range []string{"/instances", "/instances/omniwear", "/tickets?instance=omniwear", "/tickets/62"} {
		s.toAdmin("GET", below+path, "").isAdminError(t, 404, "database_unused")
	}
}

// Z11: metadata that was sealed with an old key is sealed with the new one, and
// then does without the old one.
func TestDatabaseTicketsKeyRotation(t *testing.T) {
	ca := newAuthority(t)
	service := newService(t, ca, jsonAnswer("{}"))
	file := filepath.Join(t.TempDir(), "edge.db")
	load := func(s *server, ring string) {
		t.Helper()
		t.Setenv("EDGE_KEYS", ring)
		s.reload(ca.withDatabase("database sqlite "+file+"\nencryption_keys {env.EDGE_KEYS}"), databaseSite(service))
	}
	s := start(t, "", "EDGE {\n}")
	load(s, keys(1))
	s.put("/instances/omniwear", `{"integration":"instagram","metadata":`+quoted(omniwear)+`}`, 201)
	s.put("/tickets/62", `{"instance":"omniwear"}`, 201)
	load(s, keys(2)+" "+keys(1))
	want := func(reencrypted string) {
		t.Helper()
		if got := s.toAdmin("POST", "/connector/keys/rotate", ""); got.body != `{"reencrypted":`+reencrypted+"}\n" {
			t.Errorf("%d %s, want %s", got.StatusCode, got.body, reencrypted)
		}
		s.do("POST", like, "")
		if got, _ := sentFields(t, service.one(t)); got != omniwear {
			t.Errorf("the service got %q", got)
		}
	}
	want("1")
	want("0")
	load(s, keys(2))
	want("0")
}
