package connections

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

// placeOf is the path of a connection.
func placeOf(api, id string) string { return connect + api + "/connections/" + id }

// varied is an API with variables in its base URL.
func (a *api) varied(name, more string) string {
	return "api " + name + ` {
	base_url ` + a.URL + `/{{region}}/{{account}}
	variable region {
		default eu
		pattern [a-z]{2}
		overridable
	}
	` + more + `
}
`
}

// text is one of an answer's members.
func (r reply) member(name string) string { found, _ := r.body[name].(string); return found }

func TestConnectors(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, a.block("plain", "auth none")+a.varied("varied", "auth api_key query key\nauth basic"))
	varied := `{"id":"varied","name":"varied","protocol":"http","baseUrl":"` + a.URL + `/{{region}}/{{account}}",` +
		`"authSchemeConfigs":[{"schemeType":"api_key","in":"query","name":"key"},{"schemeType":"basic"}],` +
		`"connectionVariables":[{"name":"account","overridable":false},{"name":"region","default":"eu","pattern":"[a-z]{2}","overridable":true}]}`
	plain := `{"id":"plain","name":"plain","protocol":"http","baseUrl":"` + a.URL + `/v2","authSchemeConfigs":[{"schemeType":"none"}],"connectionVariables":[]}`
	for path, want := range map[string]string{
		"connectors/varied": varied, "o/alice/connectors/varied": varied,
		"connectors": `{"totalCount":2,"connectors":[` + plain + "," + varied + "]}",
	} {
		got := e.do("alice", "GET", "/api/connect/v1/"+path, "")
		if got.is(t, http.StatusOK, ""); strings.TrimSpace(got.text) != want {
			t.Errorf("%s: %s, want %s", path, got.text, want)
		}
		head := e.do("alice", "HEAD", "/api/connect/v1/"+path, "")
		if head.is(t, http.StatusOK, ""); head.ContentLength != int64(len(got.text)) || head.text != "" {
			t.Errorf("%s: HEAD has %d bytes of %d", path, head.ContentLength, len(got.text))
		}
	}
}

// A connection is made, shown, changed and deleted, and no answer has its
// credential.
func TestManage(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		a := newAPI(t, nil)
		e.start(a.varied("varied", "auth api_key header X-Key"))
		const base = "/api/connect/v1/o/auth0%7Calice/connectors/varied/connections"
		const user = "auth0|alice"
		made := e.do(user, "POST", base, `{"name":"Ä 1","variables":[{"name":"region","value":"us"},{"name":"account","value":"a b"}],"credentials":[{"type":"api_key","value":"s3cret"}]}`)
		made.is(t, http.StatusCreated, "")
		id := made.id()
		if made.Header.Get("Location") != base+"/"+id {
			t.Errorf("Location %q", made.Header.Get("Location"))
		}
		want := `{"id":"` + id + `","name":"Ä 1","connectorId":"varied","organisationId":"auth0|alice","status":"active","credentials":[{"type":"api_key"}],` +
			`"variables":[{"name":"account","value":"a b"},{"name":"region","value":"us"}],"createdAt":"` + made.member("createdAt") + `","updatedAt":"` + made.member("createdAt") + "\"}\n"
		got := e.do(user, "GET", placeOf("varied", id), "")
		if made.text != want || got.text != want || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("made %s, got %s, want %s", made.text, got.text, want)
		}
		list := e.do(user, "GET", base, "")
		if list.text != `{"totalCount":1,"connections":[`+strings.TrimSpace(want)+"]}\n" {
			t.Errorf("list %s", list.text)
		}
		// what was shown can be sent back
		back := e.do(user, "PUT", placeOf("varied", id), got.text)
		if back.is(t, http.StatusOK, ""); back.text != want {
			t.Errorf("after no change: %s", back.text)
		}
		renamed := e.do(user, "PUT", placeOf("varied", id), strings.Replace(got.text, "Ä 1", "other", 1))
		if renamed.is(t, http.StatusOK, ""); renamed.member("name") != "other" || renamed.member("updatedAt") <= made.member("updatedAt") {
			t.Errorf("renamed: %s", renamed.text)
		}
		e.do(user, "PUT", placeOf("varied", id)+"/credentials/0", `{"type":"api_key","value":"n3w"}`).is(t, http.StatusOK, "")
		e.call(user, "GET", id, "/x", "").is(t, http.StatusOK, "")
		if asked := a.one(t); asked.Header.Get("X-Key") != "n3w" || asked.RequestURI != "/us/a%20b/x" {
			t.Errorf("asked %s with %v", asked.RequestURI, asked.Header)
		}
		e.do(user, "DELETE", base+"/"+id, "").is(t, http.StatusNoContent, "")
		e.do(user, "DELETE", base+"/"+id, "").is(t, http.StatusNotFound, "connection_unknown")
		e.do(user, "GET", placeOf("varied", id), "").is(t, http.StatusNotFound, "connection_unknown")
		e.connected(user, "varied", `{"name":"other"}`) // the name is free
	})
}

// The variables of an update replace all, or stay where it has none.
func TestVariables(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		a := newAPI(t, nil)
		e.start(a.varied("varied", "auth none"))
		id := e.connected("alice", "varied", `{"name":"mine","variables":[{"name":"account","value":"1"},{"name":"region","value":"us"}]}`)
		for _, step := range []struct {
			variables string
			path      string // that the API is asked for, or the code
		}{
			{``, "/us/1/x"},
			{`,"variables":[{"name":"account","value":"2"}]`, "/eu/2/x"},
			{``, "/eu/2/x"},
			{`,"variables":[]`, "connection_variable_missing"},
			{`,"variables":[{"name":"region","value":"us"},{"name":"account","value":"3"}]`, "/us/3/x"},
		} {
			e.do("alice", "PUT", placeOf("varied", id), `{"id":"`+id+`","name":"mine"`+step.variables+`}`).is(t, http.StatusOK, "")
			got := e.call("alice", "GET", id, "/x", "")
			if strings.HasPrefix(step.path, "/") {
				if got.is(t, http.StatusOK, ""); a.one(t).RequestURI != step.path {
					t.Errorf("after %s it was not asked for %s", step.variables, step.path)
				}
			} else {
				got.is(t, http.StatusUnprocessableEntity, step.path)
			}
		}
	})
}

// Pages lead forward and back over all connections of the caller's to the API,
// and over no others.
func TestPages(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		a := newAPI(t, nil)
		e.start(a.block("one", "auth none") + a.block("two", "auth none"))
		var want []string
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			want = append(want, e.connected("alice", "one", `{"name":"`+name+`"}`))
			e.connected("bob", "one", `{"name":"`+name+`"}`)
		}
		e.connected("alice", "two", `{"name":"a"}`)
		page := func(query string) (ids []string, next, prev string) {
			t.Helper()
			got := e.do("alice", "GET", connect+"one/connections?"+query, "")
			if got.is(t, http.StatusOK, ""); got.body["totalCount"] != 5.0 {
				t.Errorf("%s: total %v", query, got.body["totalCount"])
			}
			for _, found := range got.body["connections"].([]any) {
				ids = append(ids, found.(jsonObject)["id"].(string))
			}
			return ids, got.member("next"), got.member("prev")
		}
		for _, step := range []struct {
			query      string
			from, to   int
			next, prev bool
		}{
			{"", 0, 5, false, false},
			{"first=2", 0, 2, true, false},
			{"first=2&after=" + want[1], 2, 4, true, true},
			{"first=2&after=" + want[3], 4, 5, false, true},
			{"first=2&after=" + want[2], 3, 5, false, true},
			{"first=2&before=" + want[4], 2, 4, true, true},
			{"first=2&before=" + want[2], 0, 2, true, false},
			{"first=2&before=" + want[1], 0, 1, true, false},
			{"after=" + want[4], 5, 5, false, false},
			{"before=" + want[0], 0, 0, false, false},
		} {
			ids, next, prev := page(step.query)
			if !slices.Equal(ids, want[step.from:step.to]) {
				t.Errorf("%s: %v, want %v", step.query, ids, want[step.from:step.to])
			}
			if step.next && next != want[step.to-1] || !step.next && next != "" || step.prev && prev != want[step.from] || !step.prev && prev != "" {
				t.Errorf("%s: next %q, prev %q", step.query, next, prev)
			}
		}
	})
}

// Of what comes at the same time, all counts.
func TestAtTheSameTime(t *testing.T) {
	eachDatabase(t, func(t *testing.T, e *edge) {
		a := newAPI(t, nil)
		e.start(a.block("two", "auth api_key header X-Key\nauth basic") + a.block("plain", "auth none") + "max_per_owner 3")
		together := func(requests ...func() reply) (statuses []int) {
			got := make([]reply, len(requests))
			var group sync.WaitGroup
			for i, request := range requests {
				group.Go(func() { got[i] = request() })
			}
			group.Wait()
			for _, each := range got {
				statuses = append(statuses, each.StatusCode)
			}
			slices.Sort(statuses)
			return statuses
		}
		for range 5 {
			id := e.connected("alice", "two", `{"name":"mine"}`)
			put := func(scheme, credential string) func() reply {
				return func() reply { return e.do("alice", "PUT", placeOf("two", id)+"/credentials/"+scheme, credential) }
			}
			pending := e.do("alice", "GET", placeOf("two", id), "")
			if !strings.Contains(pending.text, `"status":"pending","credentials":[{"type":"api_key","missing":true},{"type":"basic","missing":true}]`) {
				t.Errorf("without credentials: %s", pending.text)
			}
			e.do("alice", "PUT", placeOf("two", id), pending.text).is(t, http.StatusOK, "")
			if got := together(put("0", `{"type":"api_key","value":"k"}`), put("1", `{"type":"basic","username":"u"}`)); !reflect.DeepEqual(got, []int{200, 200}) {
				t.Errorf("both credentials: %v", got)
			}
			if got := e.do("alice", "GET", placeOf("two", id), ""); !strings.Contains(got.text, `"status":"active","credentials":[{"type":"api_key"},{"type":"basic"}]`) {
				t.Errorf("with both credentials: %s", got.text)
			}
			e.do("alice", "DELETE", placeOf("two", id), "").is(t, http.StatusNoContent, "")
		}
		create := func(name string) func() reply {
			return func() reply { return e.do("bob", "POST", connect+"plain/connections", `{"name":"`+name+`"}`) }
		}
		if got := together(create("same"), create("same"), create("same")); !reflect.DeepEqual(got, []int{201, 409, 409}) {
			t.Errorf("of one name: %v", got)
		}
		if got := together(create("a"), create("b"), create("c"), create("d")); !reflect.DeepEqual(got, []int{201, 201, 409, 409}) {
			t.Errorf("over the limit: %v", got)
		}
		e.do("bob", "POST", connect+"plain/connections", `{"name":"e"}`).is(t, http.StatusConflict, "limit_reached")
	})
}
