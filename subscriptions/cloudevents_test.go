package subscriptions

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/subscriptions/cloudevents"
)

const (
	cloudEvent = `{"specversion":"1.0","id":"1","source":"/app","type":"task.create","subject":"p1","data":{ "x": 1 }}`
	structured = "Content-Type: " + cloudevents.StructuredType + "; charset=UTF-8"
	batched    = "Content-Type: " + cloudevents.BatchType
)

// binary is cloudEvent's header in the binary mode, with other lines.
func binary(lines ...string) []string {
	return append([]string{"ce-specversion: 1.0", "ce-id: 1", "ce-source: /app", "ce-type: task.create", "ce-subject: p1"}, lines...)
}

func TestCloudEvents(t *testing.T) {
	e := start(t, site)
	e.subscribe("alice", "p1")
	e.subscribe("bob", "p1")
	id := cloudEventID("/app", "1")
	publish := func(duplicate bool, body string, header ...string) {
		t.Helper()
		got := e.do("app", "POST", "/events", body, header...)
		got.is(t, http.StatusAccepted, "")
		if got.id() != id || got.body["duplicate"] != duplicate || got.body["deliveries"] != 2.0 || !validEventID(got.id()) {
			t.Errorf("answer %s", got.text)
		}
	}
	publish(false, cloudEvent, structured)
	// the same in other modes, and with other content, is the same event
	publish(true, "\n{\"x\":1} ", binary()...)
	publish(true, `{}`, binary("Content-Type: application/vnd.app+json")...)
	publish(true, strings.Replace(cloudEvent, "{", `{"time":"2020-01-01T00:00:00Z","datacontenttype":"application/json",`, 1), structured, "Idempotency-Key: k")
	if bodies := e.bodies(); len(bodies) != 1 || !strings.HasSuffix(bodies[0], `"resource_id":"p1","data":{ "x": 1 }}`) || strings.Contains(bodies[0], "2020") {
		t.Errorf("bodies: %s", bodies)
	}

	// others with the same id, or the same source
	id = cloudEventID("/app", "2")
	publish(false, "\n { \"y\" : 2 } \r\n", binary("ce-id: 2", "ce-time: whenever")...)
	if bodies := e.rows("SELECT CAST(body AS TEXT) FROM connector_events WHERE id = $1", id); len(bodies) != 1 || !strings.HasSuffix(bodies[0], `"data":{ "y" : 2 }}`) {
		t.Errorf("bodies: %s", bodies)
	}
	id = cloudEventID("/%61pp", "2")
	publish(false, "{}", binary("ce-source: /%2561pp", "ce-id: 2")...)

	got := e.do("app", "POST", "/events", "{}", binary("ce-id: 3", "ce-accountid: bob")...)
	if got.is(t, http.StatusAccepted, ""); got.body["deliveries"] != 1.0 {
		t.Errorf("answer %s", got.text)
	}
	got = e.do("app", "POST", "/events", strings.Replace(cloudEvent, `"1"`, `"4","accountid":7`, 1), structured)
	if got.is(t, http.StatusAccepted, ""); got.body["deliveries"] != 0.0 {
		t.Errorf("answer %s", got.text)
	}
	for kind, want := range map[string]float64{"project": 2, "task": 0} {
		got := e.do("app", "POST", "/events", "{}", binary("ce-id: "+kind, "ce-resourcetype: "+kind)...)
		if got.is(t, http.StatusAccepted, ""); got.body["deliveries"] != want {
			t.Errorf("%s: answer %s", kind, got.text)
		}
	}
	got = e.do("app", "POST", "/events", "{}", binary("ce-id: 5", "ce-subject: p%C3%BC")...)
	got.is(t, http.StatusAccepted, "")
	if rows := e.rows("SELECT resource_id, account_id FROM connector_events WHERE resource_id = 'pü' OR account_id = '7'"); !slices.Equal(rows, []string{"p1|7", "pü|"}) {
		t.Errorf("rows: %q", rows)
	}
}

func TestCloudEventBatches(t *testing.T) {
	e := start(t, site)
	other := strings.Replace(cloudEvent, "/app", "/other", 1)
	for i, body := range []string{`[` + cloudEvent + `,` + other + `]`, ` [` + cloudEvent + `]`, `[]`} {
		got := e.do("app", "POST", "/events", body, batched)
		got.is(t, http.StatusAccepted, "")
		var results []Published
		if err := json.Unmarshal([]byte(got.text), &results); err != nil || len(results) != 2-i {
			t.Fatalf("%d: %s", i, got.text)
		}
		for _, result := range results {
			if result.Duplicate != (i > 0) {
				t.Errorf("%d: %s", i, got.text)
			}
		}
	}
	third := strings.Replace(cloudEvent, `"1"`, `"3"`, 1)
	for name, test := range map[string]struct{ body, code string }{
		"too many":   {"[" + third + "," + third + "," + third + "," + third + "]", "too_many_events"},
		"repeated":   {"[" + third + "," + third + "]", "event_id_repeated"},
		"no event":   {"[" + third + ",7]", "event_invalid"},
		"no id":      {"[" + third + `,{"specversion":"1.0"}]`, "cloudevent_attribute_missing"},
		"no subject": {"[" + third + "," + strings.Replace(cloudEvent, "subject", "other", 1) + "]", "event_resource_id_invalid"},
		"unknown":    {"[" + third + "," + strings.Replace(cloudEvent, "task.create", "com.example.x", 1) + "]", "event_type_unknown"},
	} {
		got := e.do("app", "POST", "/events", test.body, batched)
		got.is(t, http.StatusUnprocessableEntity, test.code)
		if name != "too many" && !strings.HasPrefix(got.body["message"].(string), "At index 1: ") {
			t.Errorf("%s: message %q", name, got.body["message"])
		}
	}
	for _, body := range []string{cloudEvent, "[", "", "null"} {
		e.do("app", "POST", "/events", body, batched).is(t, http.StatusBadRequest, "body_invalid")
	}
	if bodies := e.bodies(); len(bodies) != 2 {
		t.Errorf("published: %s", bodies)
	}
}

func TestCloudEventsThatAreRefused(t *testing.T) {
	e := start(t, site)
	for name, test := range map[string]struct {
		old, replacement string
		code             string
	}{
		"version missing":  {`"specversion":"1.0",`, ``, "cloudevent_attribute_missing"},
		"version 0.3":      {`"1.0"`, `"0.3"`, "cloudevent_specversion_unsupported"},
		"id missing":       {`"id":"1",`, ``, "cloudevent_attribute_missing"},
		"id a number":      {`"id":"1"`, `"id":1`, "cloudevent_attribute_invalid"},
		"source empty":     {`"/app"`, `""`, "cloudevent_attribute_invalid"},
		"type not ours":    {`task.create`, `Task Created`, "event_type_invalid"},
		"type unknown":     {`task.create`, `com.example.x`, "event_type_unknown"},
		"subject missing":  {`,"subject":"p1"`, ``, "event_resource_id_invalid"},
		"subject too long": {`"p1"`, `"` + strings.Repeat("p", 256) + `"`, "event_resource_id_invalid"},
		"account too long": {`"p1"`, `"p1","accountid":"` + strings.Repeat("p", 256) + `"`, "event_account_id_invalid"},
		"account a flag":   {`"p1"`, `"p1","accountid":true`, "cloudevent_attribute_invalid"},
		"resource type":    {`"p1"`, `"p1","resourcetype":"a b"`, "event_resource_type_invalid"},
		"reserved":         {`"p1"`, `"p1","resourcetype":"subscription"`, "event_resource_type_reserved"},
		"binary data":      {`"p1"`, `"p1","data_base64":"e30="`, "cloudevent_data_base64"},
		"data missing":     {`,"data":{ "x": 1 }`, ``, "event_data_invalid"},
		"data an array":    {`{ "x": 1 }`, `[]`, "event_data_invalid"},
		"data too large":   {`{ "x": 1 }`, `{"x":"` + strings.Repeat("x", 57) + `"}`, "event_data_too_large"},
	} {
		body := strings.Replace(cloudEvent, test.old, test.replacement, 1)
		if body == cloudEvent {
			t.Fatalf("%s is not wrong", name)
		}
		e.do("app", "POST", "/events", body, structured).is(t, http.StatusUnprocessableEntity, test.code)
	}
	for name, test := range map[string]struct {
		body   string
		header []string
		status int
		code   string
	}{
		"not JSON":             {"{", []string{structured}, 400, "body_invalid"},
		"an array":             {"[" + cloudEvent + "]", []string{structured}, 400, "body_invalid"},
		"not UTF-8":            {strings.Replace(cloudEvent, "p1", "\xff", 1), []string{structured}, 400, "body_invalid"},
		"other format":         {cloudEvent, binary("Content-Type: application/cloudevents+avro"), 415, "media_type_unsupported"},
		"other batch":          {cloudEvent, binary("Content-Type: application/cloudevents-batch+xml"), 415, "media_type_unsupported"},
		"other charset":        {cloudEvent, []string{"Content-Type: " + cloudevents.StructuredType + "; charset=latin1"}, 415, "media_type_unsupported"},
		"binary not JSON":      {"{", binary(), 400, "body_invalid"},
		"binary of text":       {"{}", binary("Content-Type: text/plain"), 415, "media_type_unsupported"},
		"binary of lines":      {event, binary("Content-Type: application/x-ndjson"), 202, ""}, // not of JSON
		"binary an array":      {"[]", binary(), 422, "event_data_invalid"},
		"binary without id":    {"{}", binary("ce-id: "), 422, "cloudevent_attribute_missing"},
		"binary malformed":     {"{}", binary("ce-subject: %C0%A0"), 422, "cloudevent_attribute_invalid"},
		"binary with its type": {"{}", binary("ce-datacontenttype: application/json"), 422, "cloudevent_attribute_invalid"},
		"binary too large":     {`{"x":"` + strings.Repeat("x", 57) + `"}`, binary(), 422, "event_data_too_large"},
		"other JSON":           {event, []string{"Content-Type: application/vnd.app+json"}, 415, "media_type_unsupported"},
		"ours, another field":  {event, []string{"ce-other: x"}, 202, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e.do("app", "POST", "/events", test.body, test.header...).is(t, test.status, test.code)
		})
	}
}

func TestTraceparent(t *testing.T) {
	const sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	const own = "00-11111111111111111111111111111111-2222222222222222-00"
	const traced = "00-0af7651916cd43dd8448eb211c80319c-"
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	e := start(t, site)
	kept := func(body string, header ...string) string {
		t.Helper()
		got := e.do("app", "POST", "/events", body, header...)
		got.is(t, http.StatusAccepted, "")
		return e.rows("SELECT traceparent FROM connector_events WHERE id = $1", got.id())[0]
	}
	for header, want := range map[string]string{
		"":                        "",
		sent:                      sent,
		"01" + sent[2:] + "-more": sent, // of a later version, what is known
		"00" + sent[2:] + "-more": "",
		"ff" + sent[2:]:           "",
		strings.ToUpper(sent):     "",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01": "",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01": "",
		sent[:54]: "",
		"x":       "",
	} {
		if got := kept(event, "Traceparent: "+header); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
	withOwn := strings.Replace(cloudEvent, "{", `{"traceparent":"`+own+`",`, 1)
	if got := kept(withOwn, structured, "Traceparent: "+sent); got != own {
		t.Errorf("of a CloudEvent: %q", got)
	}
	withOwn = strings.NewReplacer(`"1"`, `"2"`, own, "malformed").Replace(withOwn)
	if got := kept(withOwn, structured, "Traceparent: "+sent); got != sent {
		t.Errorf("of a CloudEvent with a malformed one: %q", got)
	}
	if got := kept("{}", binary("ce-id: 3", "ce-traceparent: "+own)...); got != own {
		t.Errorf("of a CloudEvent in the binary mode: %q", got)
	}

	// Caddy's span is a child of what was sent
	e.load("", strings.Replace(site, "route {", "tracing\nroute {", 1))
	if got := kept(event, "Traceparent: "+sent); !strings.HasPrefix(got, traced) || got == sent || len(got) != len(sent) {
		t.Errorf("traced: %q", got)
	}
	if got := kept(event); len(got) != len(sent) {
		t.Errorf("traced from here: %q", got)
	}
	// also where the header does not say so
	e.load("", strings.Replace(site, "route {", "tracing\nroute {\nrequest_header -Traceparent", 1))
	if got := kept(event, "Traceparent: "+sent); !strings.HasPrefix(got, traced) || got == sent {
		t.Errorf("traced, without the header field: %q", got)
	}
	// of two, nobody knows which is meant
	e.load("", strings.Replace(site, "route {", "route {\nrequest_header +Traceparent "+own, 1))
	if got := kept(event, "Traceparent: "+sent); got != "" {
		t.Errorf("sent twice: %q", got)
	}
}
