package connections

import (
	"net/http"
	"strings"
	"testing"
)

const ulidOfNobody = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

// What is not as it has to be is refused, says why, and changes nothing.
func TestRefused(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, a.varied("varied", "auth api_key header X-Key")+a.block("two", "auth none\nauth basic")+a.block("plain", "auth none"))
	id := e.connected("alice", "varied", `{"name":"mine","variables":[{"name":"account","value":"1"}],"credentials":[{"type":"api_key","value":"k"}]}`)
	e.connected("alice", "varied", `{"name":"taken"}`)
	before := e.do("alice", "GET", connect+"varied/connections", "").text
	const varied, two = connect + "varied/connections", connect + "two/connections"
	one := placeOf("varied", id)
	put := func(members string) string { return `{"id":"` + id + `","name":"mine",` + members + "}" }
	variables := func(list string) string { return `{"name":"x","variables":` + list + "}" }
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		code               string
		header             []string
	}{
		"no object":          {"POST", varied, `[]`, 400, "body_invalid", nil},
		"two objects":        {"POST", varied, `{"name":"x"}{}`, 400, "body_invalid", nil},
		"member twice":       {"POST", varied, `{"name":"x","\u006eame":"y"}`, 400, "body_invalid", nil},
		"no UTF-8":           {"POST", varied, "{\"name\":\"\xff\"}", 400, "body_invalid", nil},
		"unknown member":     {"POST", varied, `{"name":"x","Variables":[]}`, 422, "member_unknown", nil},
		"id on create":       {"POST", varied, `{"name":"x","id":"` + ulidOfNobody + `"}`, 422, "member_unknown", nil},
		"form":               {"POST", varied, `{"name":"x"}`, 415, "media_type_unsupported", []string{"Content-Type: text/plain"}},
		"compressed":         {"POST", varied, `{"name":"x"}`, 415, "media_type_unsupported", []string{"Content-Encoding: gzip"}},
		"charset":            {"PUT", one, put(`"variables":[]`), 415, "media_type_unsupported", []string{"Content-Type: application/json;charset=utf-16"}},
		"credential as form": {"PUT", one + "/credentials/0", `{"type":"api_key","value":"k"}`, 415, "media_type_unsupported", []string{"Content-Type: text/plain"}},
		"too large":          {"POST", varied, `{"name":"` + strings.Repeat("x", maxRequest) + `"}`, 413, "body_too_large", nil},
		"credential large":   {"PUT", one + "/credentials/0", `{"type":"` + strings.Repeat("x", maxRequest) + `"}`, 413, "body_too_large", nil},

		"no name":        {"POST", varied, `{}`, 422, "name_invalid", nil},
		"empty name":     {"POST", varied, `{"name":""}`, 422, "name_invalid", nil},
		"no text":        {"POST", varied, `{"name":1}`, 422, "name_invalid", nil},
		"long name":      {"POST", varied, `{"name":"` + strings.Repeat("ä", maxName+1) + `"}`, 422, "name_invalid", nil},
		"control":        {"POST", varied, `{"name":"a\u0000b"}`, 422, "name_invalid", nil},
		"half a pair":    {"POST", varied, `{"name":"\ud83d"}`, 422, "name_invalid", nil},
		"taken":          {"POST", varied, `{"name":"taken"}`, 409, "name_taken", nil},
		"renamed":        {"PUT", one, `{"id":"` + id + `","name":"taken"}`, 409, "name_taken", nil},
		"update no name": {"PUT", one, `{"id":"` + id + `"}`, 422, "name_invalid", nil},

		"variables null":    {"POST", varied, variables(`null`), 422, "variables_invalid", nil},
		"variables object":  {"POST", varied, variables(`{"account":"1"}`), 422, "variables_invalid", nil},
		"variable null":     {"POST", varied, variables(`[null]`), 422, "variables_invalid", nil},
		"no value":          {"POST", varied, variables(`[{"name":"account"}]`), 422, "variables_invalid", nil},
		"value is a number": {"POST", varied, variables(`[{"name":"account","value":1}]`), 422, "variables_invalid", nil},
		"more of it":        {"POST", varied, variables(`[{"name":"account","value":"1","x":1}]`), 422, "variables_invalid", nil},
		"variable twice":    {"POST", varied, variables(`[{"name":"account","value":"1"},{"name":"account","value":"1"}]`), 422, "variables_invalid", nil},
		"too many":          {"POST", varied, variables(`[` + strings.Repeat(`{"name":"account","value":"1"},`, maxVariables) + `{}]`), 422, "variables_invalid", nil},
		"no such variable":  {"POST", varied, variables(`[{"name":"other","value":"1"}]`), 422, "connection_variable_unknown", nil},
		"by the pattern":    {"POST", varied, variables(`[{"name":"region","value":"eu1"}]`), 422, "connection_variable_invalid", nil},
		"out of the path":   {"POST", varied, variables(`[{"name":"account","value":"../x"}]`), 422, "connection_variable_invalid", nil},
		"update variables":  {"PUT", one, put(`"variables":[{"name":"account","value":".."}]`), 422, "connection_variable_invalid", nil},
		"variables no list": {"PUT", one, put(`"variables":null`), 422, "variables_invalid", nil},

		"no credentials":     {"POST", varied, `{"name":"x","credentials":null}`, 422, "credentials_invalid", nil},
		"too few":            {"POST", two, `{"name":"x","credentials":[null]}`, 422, "credentials_invalid", nil},
		"credentials object": {"POST", varied, `{"name":"x","credentials":{}}`, 422, "credentials_invalid", nil},
		"other type":         {"POST", varied, `{"name":"x","credentials":[{"type":"bearer","token":"t0p"}]}`, 422, "credential_invalid", nil},
		"member of another":  {"POST", varied, `{"name":"x","credentials":[{"type":"api_key","value":"v","token":"t0p"}]}`, 422, "credential_invalid", nil},
		"no key":             {"POST", varied, `{"name":"x","credentials":[{"type":"api_key"}]}`, 422, "credential_invalid", nil},
		"control in a key":   {"POST", varied, `{"name":"x","credentials":[{"type":"api_key","value":"a\r\nb"}]}`, 422, "credential_invalid", nil},
		"credential null":    {"PUT", one + "/credentials/0", `null`, 422, "credential_invalid", nil},
		"credential empty":   {"PUT", one + "/credentials/0", ``, 422, "credential_invalid", []string{"Content-Type: application/json"}},
		"credential list":    {"PUT", one + "/credentials/0", `[]`, 422, "credential_invalid", nil},
		"no such scheme":     {"PUT", one + "/credentials/1", `{"type":"api_key","value":"k"}`, 404, "credential_unknown", nil},
		"scheme 00":          {"PUT", one + "/credentials/00", `{"type":"api_key","value":"k"}`, 404, "credential_unknown", nil},
		"scheme -1":          {"PUT", one + "/credentials/-1", `{"type":"api_key","value":"k"}`, 404, "credential_unknown", nil},

		"no id":               {"PUT", one, `{"name":"mine"}`, 422, "id_invalid", nil},
		"other id":            {"PUT", one, `{"id":"` + ulidOfNobody + `","name":"mine"}`, 422, "id_invalid", nil},
		"id null":             {"PUT", one, `{"id":null,"name":"mine"}`, 422, "id_invalid", nil},
		"other connector":     {"PUT", one, put(`"connectorId":"two"`), 422, "id_invalid", nil},
		"other organisation":  {"PUT", one, put(`"organisationId":"bob"`), 422, "id_invalid", nil},
		"credentials changed": {"PUT", one, put(`"credentials":[{"type":"api_key","value":"new"}]`), 422, "credentials_immutable", nil},
		"type changed":        {"PUT", one, put(`"credentials":[{"type":"bearer"}]`), 422, "credentials_immutable", nil},
		"credentials removed": {"PUT", one, put(`"credentials":[]`), 422, "credentials_immutable", nil},
		"credentials added":   {"PUT", one, put(`"credentials":[{"type":"api_key"},{"type":"basic"}]`), 422, "credentials_immutable", nil},
		"credentials nothing": {"PUT", one, put(`"credentials":null`), 422, "credentials_immutable", nil},
		"update unknown":      {"PUT", one, put(`"owner":"bob"`), 422, "member_unknown", nil},

		"first 0":       {"GET", varied + "?first=0", "", 400, "first_invalid", nil},
		"first 101":     {"GET", varied + "?first=101", "", 400, "first_invalid", nil},
		"first nothing": {"GET", varied + "?first=", "", 400, "first_invalid", nil},
		"after":         {"GET", varied + "?after=x", "", 400, "cursor_invalid", nil},
		"before":        {"GET", varied + "?before=" + strings.ToLower(id), "", 400, "cursor_invalid", nil},
		"both":          {"GET", varied + "?before=" + id + "&after=" + id, "", 400, "cursor_invalid", nil},

		"test of a page":     {"POST", one + "/test", "", 403, "cross_origin", []string{"Sec-Fetch-Site: cross-site"}},
		"test with Basic":    {"POST", one + "/test", "", 403, "cross_origin", []string{"Origin: https://evil.example", "Authorization: Basic YTpi"}},
		"test of another":    {"POST", one + "/test", "", 403, "cross_origin", []string{"Origin: https://evil.example"}},
		"unknown connector":  {"GET", connect + "other", "", 404, "connector_unknown", nil},
		"of no connector":    {"POST", connect + "other/connections", `{"name":"x"}`, 404, "connector_unknown", nil},
		"of no organisation": {"GET", "/api/connect/v1/o/bob/connectors", "", 404, "organisation_unknown", nil},
		"broken escape":      {"GET", "/api/connect/v1/o/%61lic%25/connectors", "", 404, "organisation_unknown", nil},
	} {
		t.Run(name, func(t *testing.T) {
			e.do("alice", test.method, test.path, test.body, test.header...).is(t, test.status, test.code)
		})
	}
	if after := e.do("alice", "GET", connect+"varied/connections", "").text; after != before {
		t.Errorf("changed from %s to %s", before, after)
	}
	if len(a.seen()) > 0 {
		t.Error("the API was asked")
	}
	// what is just not too much
	e.connected("alice", "plain", `{"name":"`+strings.Repeat("😀", maxName)+`"}`)
}

func TestManageMethods(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, a.block("plain", "auth none"))
	one := placeOf("plain", ulidOfNobody)
	for path, allow := range map[string]string{
		"/api/connect/v1/connectors": "GET, HEAD", connect + "plain": "GET, HEAD", connect + "plain/connections": "GET, HEAD, POST",
		one: "DELETE, GET, HEAD, PUT", one + "/credentials/0": "PUT", one + "/test": "POST", "/api/connect/v1/openapi.json": "GET, HEAD",
		"/api/connect/v1/o/bob/connectors": "GET, HEAD",
	} {
		for _, method := range []string{"OPTIONS", "PATCH"} {
			got := e.do("alice", method, path, "")
			if got.is(t, http.StatusMethodNotAllowed, "method_not_allowed"); got.Header.Get("Allow") != allow {
				t.Errorf("%s: Allow %q, want %q", path, got.Header.Get("Allow"), allow)
			}
		}
	}
	for _, path := range []string{
		"/api/connect/v1", "/api/connect/v1/", "/api/connect/v1/connectors/", connect + "plain/", connect + "plain/connections/", one + "/", one + "/credentials",
		one + "/other", "/api/connect/v1/Connectors", "/api/connect/v1/%63onnectors", "/api/connect/v1//connectors", "/api/connect/v1/o//connectors",
		"/api/connect/v2/connectors", "/connect/v1/connectors", "/api/connect/v1/o/alice/o/alice/connectors",
	} {
		e.do("alice", "GET", path, "").is(t, 299, "")
	}
}

func TestNobody(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, a.block("plain", "auth none"))
	id := e.connected("alice", "plain", `{"name":"mine"}`)
	for _, request := range [][3]string{
		{"GET", "/api/connect/v1/connectors", ""}, {"GET", connect + "plain", ""}, {"GET", connect + "other", ""}, {"POST", connect + "plain/connections", `{"name":"x"}`},
		{"GET", placeOf("plain", id), ""}, {"DELETE", placeOf("plain", id), ""}, {"POST", placeOf("plain", id) + "/test", ""}, {"GET", "/api/connect/v1/o/alice/connectors", ""},
	} {
		e.do("", request[0], request[1], request[2]).is(t, http.StatusUnauthorized, "caller_missing")
		e.do("a b", request[0], request[1], request[2]).is(t, http.StatusForbidden, "user_invalid")
	}
}
