package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/datastore"
)

// isAdminError checks an error of the admin API.
func (a answer) isAdminError(t *testing.T, status int, code string) {
	t.Helper()
	var told struct{ Error, Code string }
	decoder := json.NewDecoder(strings.NewReader(a.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&told); err != nil || a.StatusCode != status || told.Code != code || told.Error == "" ||
		a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("answer %d %v %q, want %d %s", a.StatusCode, a.Header, a.body, status, code)
	}
}

// What the admin API refuses, it does not do.
func TestDatabaseAdminErrors(t *testing.T) {
	long := strings.Repeat("a", 65)
	agents := func(ids ...string) string {
		encoded, _ := json.Marshal(ids)
		return `{"instance":"omniwear","agents":` + string(encoded) + `}`
	}
	eachDatabase(t, func(t *testing.T, database string) {
		ca := newAuthority(t)
		s := start(t, ca.withDatabase(database), databaseSite(newService(t, ca, nil)))
		s.put("/instances/omniwear", `{"integration":"instagram","metadata":"x"}`, 201)
		s.put("/tickets/62", `{"instance":"omniwear"}`, 201)
		before := s.toAdmin("GET", below+"/instances", "").body + s.toAdmin("GET", below+"/tickets?instance=omniwear", "").body
		for _, tc := range []struct {
			status int
			code   string
			method string
			path   string
			bodies []string
		}{
			{400, "body_invalid", "PUT", "/instances/omniwear", []string{
				"x", "{", "null", "[]", `"x"`, `{"integration":"instagram",}`, `{"integration":"instagram"}{}`, "{\"integration\":\"\xff\"}",
				`{"integration":"instagram","integration":"instagram"}`, `{"integration":"instagram","metadata":"a","m\u0065tadata":"b"}`,
			}},
			{413, "body_too_large", "PUT", "/instances/omniwear", []string{`{"integration":"instagram"}` + strings.Repeat(" ", 64<<10)}},
			{422, "member_unknown", "PUT", "/instances/omniwear", []string{
				`{"integration":"instagram","Metadata":"x"}`, `{"integration":"instagram","name":"x"}`, `{"Integration":"instagram"}`, `{"":1}`,
			}},
			{422, "integration_invalid", "PUT", "/instances/omniwear", []string{
				"{}", `{"integration":null}`, `{"integration":""}`, `{"integration":1}`, `{"integration":"a b"}`, `{"integration":"a/b"}`, `{"integration":"` + long + `"}`,
				`{"integration":"a\u0000"}`, `{"integration":"\ud800"}`,
			}},
			{422, "active_invalid", "PUT", "/instances/omniwear", []string{
				`{"integration":"instagram","active":null}`, `{"integration":"instagram","active":1}`, `{"integration":"instagram","active":"false"}`,
			}},
			{422, "metadata_invalid", "PUT", "/instances/omniwear", []string{
				`{"integration":"instagram","metadata":""}`, `{"integration":"instagram","metadata":null}`, `{"integration":"instagram","metadata":{"token":"x"}}`,
				`{"integration":"instagram","metadata":"\ud83d"}`,
			}},
			{422, "metadata_too_long", "PUT", "/instances/omniwear", []string{`{"integration":"instagram","metadata":"` + strings.Repeat("ü", 5001) + `"}`}},
			{422, "metadata_missing", "PUT", "/instances/new", []string{`{"integration":"instagram"}`, `{"integration":"instagram","active":false}`}},
			{422, "metadata_missing", "PUT", "/instances/omniwear", []string{`{"integration":"twitter"}`}},
			{422, "instance_name_invalid", "PUT", "/instances/" + long, []string{`{"integration":"instagram","metadata":"x"}`}},
			{422, "instance_name_invalid", "PUT", "/instances/a%2Fb", []string{`{"integration":"instagram","metadata":"x"}`}},
			{422, "instance_name_invalid", "PUT", "/instances/a%00", []string{`{"integration":"instagram","metadata":"x"}`}},
			{404, "instance_unknown", "GET", "/instances/Omniwear", []string{""}},
			{404, "instance_unknown", "GET", "/instances/a%00%ff", []string{""}},
			{404, "instance_unknown", "DELETE", "/instances/new", []string{""}},
			{404, "instance_unknown", "DELETE", "/instances/a%00", []string{""}},
			{404, "instance_unknown", "GET", "/tickets", []string{""}},
			{404, "instance_unknown", "GET", "/tickets?instance=new", []string{""}},
			{404, "instance_unknown", "GET", "/tickets?instance=%00", []string{""}},
			{400, "body_invalid", "PUT", "/tickets/62", []string{"x", "[]", `{"instance":"omniwear","instance":"omniwear"}`}},
			{413, "body_too_large", "PUT", "/tickets/62", []string{`{"instance":"omniwear"}` + strings.Repeat(" ", 64<<10)}},
			{422, "member_unknown", "PUT", "/tickets/62", []string{`{"instance":"omniwear","Agents":["bob"]}`, `{"instance":"omniwear","agent":"bob"}`}},
			{422, "instance_name_invalid", "PUT", "/tickets/62", []string{"{}", `{"instance":1}`, `{"instance":""}`, `{"instance":"a b"}`}},
			{409, "instance_missing", "PUT", "/tickets/62", []string{`{"instance":"new"}`, `{"instance":"Omniwear"}`}},
			{409, "instance_missing", "PUT", "/tickets/63", []string{`{"instance":"new"}`}},
			{422, "agents_invalid", "PUT", "/tickets/62", []string{
				`{"instance":"omniwear","agents":null}`, `{"instance":"omniwear","agents":"bob"}`, `{"instance":"omniwear","agents":[1]}`, `{"instance":"omniwear","agents":[null]}`,
				agents(""), agents("a b"), agents("ü"), agents("a\x00"), agents(strings.Repeat("a", 256)), agents(make([]string, 501)...), `{"instance":"omniwear","agents":{}}`,
			}},
			{422, "ticket_id_invalid", "PUT", "/tickets/0", []string{`{"instance":"omniwear"}`}},
			{422, "ticket_id_invalid", "PUT", "/tickets/062", []string{`{"instance":"omniwear"}`}},
			{422, "ticket_id_invalid", "PUT", "/tickets/-1", []string{`{"instance":"omniwear"}`}},
			{422, "ticket_id_invalid", "PUT", "/tickets/" + strings.Repeat("9", 20), []string{`{"instance":"omniwear"}`}},
			{422, "ticket_id_invalid", "PUT", "/tickets/a", []string{`{"instance":"omniwear"}`}},
			{404, "ticket_unknown", "GET", "/tickets/63", []string{""}},
			{404, "ticket_unknown", "GET", "/tickets/a%00", []string{""}},
			{404, "ticket_unknown", "DELETE", "/tickets/63", []string{""}},
			{404, "ticket_unknown", "DELETE", "/tickets/a%00", []string{""}},
			{405, "method_not_allowed", "POST", "/instances", []string{"{}"}},
			{405, "method_not_allowed", "DELETE", "/instances", []string{""}},
			{405, "method_not_allowed", "PATCH", "/instances/omniwear", []string{"{}"}},
			{405, "method_not_allowed", "POST", "/tickets/62", []string{"{}"}},
			{405, "method_not_allowed", "PUT", "/tickets", []string{"{}"}},
			{400, "limit_invalid", "GET", "/instances?limit=0", []string{""}},
			{400, "limit_invalid", "GET", "/instances?limit=101", []string{""}},
			{400, "limit_invalid", "GET", "/tickets?instance=omniwear&limit=x", []string{""}},
			{400, "cursor_invalid", "GET", "/instances?cursor=%00", []string{""}},
			{400, "cursor_invalid", "GET", "/tickets?instance=omniwear&cursor=omniwear", []string{""}},
		} {
			for _, body := range tc.bodies {
				got := s.toAdmin(tc.method, below+tc.path, body)
				got.isAdminError(t, tc.status, tc.code)
				if t.Failed() {
					t.Fatalf("%s %s %.200s", tc.method, tc.path, body)
				}
				if tc.status == 405 && got.Header.Get("Allow") == "" {
					t.Errorf("%s %s: no Allow", tc.method, tc.path)
				}
			}
		}
		for _, header := range []string{"Content-Type: application/x-www-form-urlencoded", "X-None: x", "Content-Type: text/plain",
			"Content-Type: application/json; charset=latin1", asJSON + "\r\nContent-Encoding: gzip"} {
			s.toAdmin("PUT", below+"/instances/omniwear", `{"integration":"instagram"}`, header).isAdminError(t, 415, "media_type_unsupported")
		}
		if after := s.toAdmin("GET", below+"/instances", "").body + s.toAdmin("GET", below+"/tickets?instance=omniwear", "").body; after != before {
			t.Errorf("now %s, before %s", after, before)
		}
		if strings.Contains(s.logs(), "the database failed") {
			t.Error("the database was asked for what cannot be there")
		}
	})
}

// What the admin API shows of what it was told.
func TestDatabaseAdminShows(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		ca := newAuthority(t)
		s := start(t, ca.withDatabase(database), databaseSite(newService(t, ca, nil)))
		get := func(path string) (shown map[string]any) {
			t.Helper()
			got := s.toAdmin("GET", below+path, "")
			if err := json.Unmarshal([]byte(got.body), &shown); err != nil || got.StatusCode != 200 || got.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("%s: %d %v %s", path, got.StatusCode, got.Header, got.body)
			}
			return shown
		}
		times := func(shown map[string]any, names ...string) (all []time.Time) {
			t.Helper()
			for _, name := range names {
				at, err := time.Parse(time.RFC3339, shown[name].(string))
				if err != nil {
					t.Error(err)
				}
				all = append(all, at)
				delete(shown, name)
			}
			return all
		}
		const made, changed, sealed = "created_at", "updated_at", "metadata_updated_at"

		first := s.put("/instances/omniwear", `{"integration":"instagram","metadata":"x"}`, 201)
		if at := times(first, made, changed, sealed); !at[0].Equal(at[1]) || !at[1].Equal(at[2]) {
			t.Errorf("times %v", at)
		}
		if want := `map[active:true integration:instagram metadata_set:true name:omniwear]`; fmt.Sprint(first) != want {
			t.Errorf("%v, want %s", first, want)
		}
		time.Sleep(2 * time.Millisecond) // SQLite's clock has milliseconds
		second := s.put("/instances/omniwear", `{"integration":"instagram","active":false}`, 200)
		if fmt.Sprint(get("/instances/omniwear")) != fmt.Sprint(second) {
			t.Error("GET shows something else than PUT")
		}
		if at := times(second, made, changed, sealed); !at[1].After(at[0]) || !at[2].Equal(at[0]) {
			t.Errorf("without metadata: times %v", at)
		}
		if want := `map[active:false integration:instagram metadata_set:true name:omniwear]`; fmt.Sprint(second) != want {
			t.Errorf("%v, want %s", second, want)
		}
		time.Sleep(2 * time.Millisecond)
		if at := times(s.put("/instances/omniwear", `{"integration":"twitter","metadata":"y"}`, 200), made, changed, sealed); !at[2].After(at[0]) || !at[1].Equal(at[2]) {
			t.Errorf("with metadata: times %v", at)
		}

		link := s.put("/tickets/62", `{"instance":"omniwear","agents":["carol","bob","carol"]}`, 201)
		if fmt.Sprint(get("/tickets/62")) != fmt.Sprint(link) {
			t.Error("GET shows something else than PUT")
		}
		times(link, made, changed)
		if want := "map[agents:[bob carol] instance:omniwear ticket_id:62]"; fmt.Sprint(link) != want {
			t.Errorf("%v, want %s", link, want)
		}
		time.Sleep(2 * time.Millisecond)
		link = s.put("/tickets/62", `{"instance":"omniwear"}`, 200)
		if at := times(link, made, changed); !at[1].After(at[0]) || fmt.Sprint(link["agents"]) != "[]" {
			t.Errorf("%v, times %v", link, at)
		}

		for i := range 4 {
			s.put(fmt.Sprint("/instances/i", i), `{"integration":"instagram","metadata":"x"}`, 201)
			s.put(fmt.Sprint("/tickets/", 70+i), `{"instance":"omniwear"}`, 201)
		}
		var found []string
		pages := 0
		for _, list := range []struct{ path, key string }{{"/instances?limit=2", "name"}, {"/tickets?limit=2&instance=omniwear", "ticket_id"}} {
			for cursor := any(""); cursor != nil; pages++ {
				page := get(list.path + "&cursor=" + cursor.(string))
				for _, entry := range page["data"].([]any) {
					found = append(found, entry.(map[string]any)[list.key].(string))
				}
				cursor = page["next_cursor"]
			}
		}
		if want := []string{"i0", "i1", "i2", "i3", "omniwear", "62", "70", "71", "72", "73"}; !slices.Equal(found, want) || pages != 6 {
			t.Errorf("%q in %d pages, want %q", found, pages, want)
		}
		if got := s.toAdmin("GET", below+"/tickets?instance=i0", "").body; got != `{"data":[],"next_cursor":null}`+"\n" {
			t.Errorf("an empty list: %s", got)
		}
	})
}

// Z9: metadata is opaque; its limit holds where it is written and where it is
// used.
func TestDatabaseMetadata(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		ca := newAuthority(t)
		service := newService(t, ca, jsonAnswer("{}"))
		s := start(t, ca.withDatabase(database), databaseSite(service))
		s.put("/instances/omniwear", `{"integration":"instagram","metadata":"x"}`, 201)
		s.put("/tickets/62", `{"instance":"omniwear"}`, 201)
		escaped := `"` + strings.Repeat(`\ud83d\udc4d`, 5000) + `"`
		for _, encoded := range []string{
			quoted(strings.Repeat("x", 5000)), quoted(strings.Repeat("👍", 5000)), escaped, quoted(`<a b="c">&amp;</a>`), quoted("c3VyZS4="), quoted(" \t"), quoted("null"),
			quoted("line\r\nline\n\nü\u2028\ufeff\x00\ufffd"), quoted("{env.HOME} {file./etc/hostname}"), quoted("+&%=;%2B"), `"\u0000\/\ufffd"`,
		} {
			var want string
			if err := json.Unmarshal([]byte(encoded), &want); err != nil {
				t.Fatal(err)
			}
			s.put("/instances/omniwear", `{"integration":"instagram","metadata":`+encoded+`}`, 200)
			s.do("POST", like, "")
			if got, _ := sentFields(t, service.one(t)); got != want {
				t.Errorf("%.60s arrived as %.60q", encoded, got)
			}
		}

		// what another program has put there
		app, err := caddy.ActiveContext().App("connector")
		if err != nil {
			t.Fatal(err)
		}
		db, err := app.(*datastore.App).Database()
		if err != nil {
			t.Fatal(err)
		}
		ring, err := db.KeyRing()
		if err != nil {
			t.Fatal(err)
		}
		for i, plain := range []string{"", "s3cr3t\xff", "s3cr3t" + strings.Repeat("x", 4995)} {
			if err := db.Write(t.Context(), func(ctx context.Context, tx *datastore.Tx) error {
				_, err := tx.Exec(ctx, "UPDATE connector_instances SET sealed = $1", ring.Seal([]byte(plain), []byte("any_channel/instance/omniwear/instagram/metadata")))
				return err
			}); err != nil {
				t.Fatal(err)
			}
			s.do("POST", like, "").isRefusal(t, 502, "BadGateway", "http_protocol_error", "")
			if n := strings.Count(s.logs(), `"the metadata of a ticket's instance cannot be used","ticket_id":"62","instance":"omniwear"`); n != i+1 {
				t.Errorf("%.10q: %d lines in the log", plain, n)
			}
		}
		wantNoSecret(t, "the log", s.logs(), "s3cr3t")
		if requests := service.seen(); len(requests) != 0 {
			t.Errorf("the service saw %q", requests)
		}
	})
}
