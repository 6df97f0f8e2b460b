package subscriptions

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

func TestSubscribe(t *testing.T) {
	e := start(t, site)
	body := `{"target_url":"https://hooks.example.com/in?a=1&b=2","resource_type":"project","resource_id":"p1",` +
		`"events":["task.update","task.create","task.create"],"ordered":true,"expires_at":"2999-01-02T03:04:05+01:00","more":{"x":[1]}}`
	got := e.do("alice", "POST", "/subscriptions", body)
	got.is(t, http.StatusCreated, "")
	if location := got.Header.Get("Location"); location != "/subscriptions/"+got.id() {
		t.Errorf("location %q", location)
	}
	if !validID(got.id()) {
		t.Errorf("id %q", got.id())
	}
	if !strings.Contains(got.text, "in?a=1&b=2") || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("answer %v %s", got.Header, got.text)
	}
	plain, _ := got.body["secret"].(string)
	if _, err := signature.ParseSecret(plain); err != nil || !strings.HasPrefix(plain, "whsec_") {
		t.Errorf("secret %q: %v", plain, err)
	}
	for name, want := range map[string]any{
		"resource_type": "project", "resource_id": "p1", "events": []any{"task.create", "task.update"}, "status": "active",
		"ordered": true, "expires_at": "2999-01-02T02:04:05Z",
	} {
		if !reflect.DeepEqual(got.body[name], want) {
			t.Errorf("%s: %v", name, got.body[name])
		}
	}
	created, err := time.Parse(time.RFC3339, got.body["created_at"].(string))
	if err != nil || time.Since(created).Abs() > time.Minute || got.body["updated_at"] != got.body["created_at"] {
		t.Errorf("created_at %v, updated_at %v", got.body["created_at"], got.body["updated_at"])
	}
	if len(got.body) != 18 {
		t.Errorf("members: %v", got.body)
	}

	// the secret is nowhere again
	delete(got.body, "secret")
	again := e.do("alice", "POST", "/subscriptions", body)
	again.is(t, http.StatusOK, "")
	shown := e.do("alice", "GET", "/subscriptions/"+got.id(), "")
	shown.is(t, http.StatusOK, "")
	for _, other := range []reply{again, shown} {
		if !reflect.DeepEqual(other.body, got.body) {
			t.Errorf("got %v, want %v", other.body, got.body)
		}
	}
	if head := e.do("alice", "HEAD", "/subscriptions/"+got.id(), ""); head.StatusCode != http.StatusOK || head.text != "" {
		t.Errorf("HEAD: %d %q", head.StatusCode, head.text)
	}
	if strings.Contains(e.logs(), plain) || slices.ContainsFunc(e.rows("SELECT sealed FROM connector_subscriptions"), func(row string) bool { return strings.Contains(row, plain[6:]) }) {
		t.Error("the secret can be read")
	}
}

func TestSubscribeTakesOtherNames(t *testing.T) {
	e := start(t, strings.Replace(site, "resource task {\n\t\t\tpublic\n\t\t}\n", "", 1))
	for i, name := range []string{"target_url", "url", "webhook_url", "callback_url", "hookUrl"} {
		url := fmt.Sprintf("https://h/%d", i)
		got := e.do("alice", "POST", "/subscriptions", members(name, url, "resource_id", 12, "event", "task.*", "expiration_date", "2999-01-01T00:00:00Z", "secret", nil))
		got.is(t, http.StatusCreated, "")
		for member, want := range map[string]any{
			"target_url": url, "resource_type": "project", "resource_id": "12", "events": []any{"task.*"}, "expires_at": "2999-01-01T00:00:00Z",
		} {
			if !reflect.DeepEqual(got.body[member], want) {
				t.Errorf("%s: %s is %v", name, member, got.body[member])
			}
		}
	}
}

func TestSubscribeRefuses(t *testing.T) {
	e := start(t, strings.Replace(site, "allow_http", "", 1))
	url := func(url any) []any { return []any{"target_url", url} }
	for name, test := range map[string]struct {
		change []any
		code   string
	}{
		"no target":              {url(nil), "target_url_invalid"},
		"target is a number":     {url(1), "target_url_invalid"},
		"http":                   {url("http://h/"), "target_url_invalid"},
		"other scheme":           {url("ftp://h/"), "target_url_invalid"},
		"no scheme":              {url("//h/"), "target_url_invalid"},
		"relative":               {url("/in"), "target_url_invalid"},
		"opaque":                 {url("https:h"), "target_url_invalid"},
		"no host":                {url("https:///in"), "target_url_invalid"},
		"port without host":      {url("https://:443/in"), "target_url_invalid"},
		"port zero":              {url("https://h:0/"), "target_url_invalid"},
		"port too large":         {url("https://h:65536/"), "target_url_invalid"},
		"empty port":             {url("https://h:/"), "target_url_invalid"},
		"user":                   {url("https://u@h/"), "target_url_invalid"},
		"empty user":             {url("https://@h/"), "target_url_invalid"},
		"password":               {url("https://u:p@h/"), "target_url_invalid"},
		"fragment":               {url("https://h/#f"), "target_url_invalid"},
		"empty fragment":         {url("https://h/#"), "target_url_invalid"},
		"space":                  {url("https://h/ x"), "target_url_invalid"},
		"line break":             {url("https://h/\r\nx"), "target_url_invalid"},
		"not ASCII":              {url("https://h/ü"), "target_url_invalid"},
		"bad escape":             {url("https://h%zz/"), "target_url_invalid"},
		"too long":               {url("https://h/" + strings.Repeat("x", 2048)), "target_url_invalid"},
		"resource type missing":  {[]any{"resource_type", nil}, "resource_type_unknown"},
		"resource type unknown":  {[]any{"resource_type", "team"}, "resource_type_unknown"},
		"resource type no text":  {[]any{"resource_type", 1}, "resource_type_unknown"},
		"resource missing":       {[]any{"resource_id", nil}, "resource_id_invalid"},
		"resource empty":         {[]any{"resource_id", ""}, "resource_id_invalid"},
		"resource too long":      {[]any{"resource_id", strings.Repeat("ü", 256)}, "resource_id_invalid"},
		"resource has NUL":       {[]any{"resource_id", "a\x00"}, "resource_id_invalid"},
		"resource is true":       {[]any{"resource_id", true}, "resource_id_invalid"},
		"resource is a fraction": {[]any{"resource_id", 1.5}, "resource_id_invalid"},
		"resource is an object":  {[]any{"resource_id", map[string]any{}}, "resource_id_invalid"},
		"events missing":         {[]any{"events", nil}, "events_missing"},
		"events empty":           {[]any{"events", []string{}}, "events_missing"},
		"events a text":          {[]any{"events", "task.create"}, "events_missing"},
		"events of numbers":      {[]any{"events", []any{"task.create", 1}}, "events_unknown"},
		"event unknown":          {[]any{"events", []string{"task.create", "task.made"}}, "events_unknown"},
		"event not a type":       {[]any{"events", []string{"Task.create"}}, "events_unknown"},
		"event empty":            {[]any{"events", []string{""}}, "events_unknown"},
		"wildcard of nothing":    {[]any{"events", []string{"team.*"}}, "events_unknown"},
		"wildcard too deep":      {[]any{"events", []string{"task.create.*"}}, "events_unknown"},
		"wildcard in front":      {[]any{"events", []string{"*.create"}}, "events_unknown"},
		"secret no text":         {[]any{"secret", 1}, "secret_invalid"},
		"secret empty":           {[]any{"secret", ""}, "secret_invalid"},
		"secret too short":       {[]any{"secret", "whsec_AAAA"}, "secret_invalid"},
		"secret without prefix":  {[]any{"secret", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "secret_invalid"},
		"secret is a key pair":   {[]any{"secret", signature.NewKeyPair().Reveal()}, "secret_invalid"},
		"ordered is a text":      {[]any{"ordered", "true"}, "ordered_invalid"},
		"ordered is a number":    {[]any{"ordered", 1}, "ordered_invalid"},
		"expiry is no time":      {[]any{"expires_at", "tomorrow"}, "expires_at_invalid"},
		"expiry is a number":     {[]any{"expires_at", 32503680000}, "expires_at_invalid"},
		"expiry is past":         {[]any{"expires_at", "2020-01-01T00:00:00Z"}, "expires_at_invalid"},
		"expiry is long past":    {[]any{"expires_at", "0001-01-01T00:00:00Z"}, "expires_at_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			pairs := append([]any{"target_url", target, "resource_type", "project", "resource_id", "p1", "events", []string{"*"}}, test.change...)
			e.do("alice", "POST", "/subscriptions", members(pairs...)).is(t, http.StatusUnprocessableEntity, test.code)
		})
	}
	if rows := e.rows("SELECT id FROM connector_subscriptions"); len(rows) > 0 {
		t.Errorf("rows: %q", rows)
	}
}

func TestSubscribeRefusesBodies(t *testing.T) {
	e := start(t, strings.Replace(site, "allow_http", "max_body 1KiB", 1))
	valid := members("target_url", target, "resource_type", "project", "resource_id", "p1", "events", []string{"*"})
	for name, test := range map[string]struct {
		body, header string
		status       int
		code         string
	}{
		"no type":       {valid, "Content-Type: ", 415, "media_type_unsupported"},
		"form":          {valid, "Content-Type: application/x-www-form-urlencoded", 415, "media_type_unsupported"},
		"text":          {valid, "Content-Type: text/plain", 415, "media_type_unsupported"},
		"lines":         {valid, "Content-Type: application/x-ndjson", 415, "media_type_unsupported"},
		"latin1":        {valid, "Content-Type: application/json; charset=iso-8859-1", 415, "media_type_unsupported"},
		"compressed":    {valid, "Content-Encoding: gzip", 415, "media_type_unsupported"},
		"empty":         {"", "Content-Type: application/json", 400, "body_invalid"},
		"not JSON":      {"{", "X: y", 400, "body_invalid"},
		"array":         {"[" + valid + "]", "X: y", 400, "body_invalid"},
		"null":          {"null", "X: y", 400, "body_invalid"},
		"text in JSON":  {`"x"`, "X: y", 400, "body_invalid"},
		"two":           {valid + valid, "X: y", 400, "body_invalid"},
		"not UTF-8":     {strings.Replace(valid, "p1", "\xff", 1), "X: y", 400, "body_invalid"},
		"too large":     {strings.Repeat(" ", 1025) + valid, "X: y", 413, "body_too_large"},
		"charset utf-8": {valid, "Content-Type: application/json; charset=UTF-8", 201, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e.do("alice", "POST", "/subscriptions", test.body, test.header).is(t, test.status, test.code)
		})
	}
}

func TestTheSameAgain(t *testing.T) {
	e := start(t, site)
	first := e.subscribe("alice", "p1", "events", []string{"task.create", "task.update"})
	again := func(pairs ...any) reply {
		t.Helper()
		pairs = append([]any{"target_url", target, "resource_type", "project", "resource_id", "p1", "events", []string{"task.update", "task.create"}}, pairs...)
		return e.do("alice", "POST", "/subscriptions", members(pairs...))
	}
	// only its end changes
	for _, expiry := range []any{"2999-01-01T00:00:00Z", nil} {
		got := again("expires_at", expiry, "ordered", true)
		got.is(t, http.StatusOK, "")
		if got.id() != first.id() || got.body["expires_at"] != expiry || got.body["ordered"] != false || got.body["secret"] != nil || got.Header.Get("Location") != "" {
			t.Errorf("answer %v", got.body)
		}
	}
	for name, pairs := range map[string][]any{
		"target":   {"target_url", target + "2"},
		"type":     {"resource_type", "task"},
		"resource": {"resource_id", "p2"},
		"events":   {"events", []string{"task.create"}},
	} {
		got := again(pairs...)
		if got.is(t, http.StatusCreated, ""); got.id() == first.id() {
			t.Errorf("another %s is the same", name)
		}
	}
	if other := e.subscribe("bob", "p1", "events", []string{"task.create", "task.update"}); other.id() == first.id() {
		t.Error("another owner's is the same")
	}
	// one that has ended is over
	e.exec("UPDATE connector_subscriptions SET status = 'ended' WHERE id = $1", first.id())
	got := again()
	got.is(t, http.StatusCreated, "")
	if got.id() == first.id() {
		t.Error("the subscription that has ended is there again")
	}
}

func TestLimit(t *testing.T) {
	e := start(t, site)
	var ids []string
	for i := range 5 {
		ids = append(ids, e.subscribe("alice", fmt.Sprint(i)).id())
	}
	body := members("target_url", target, "resource_type", "project", "resource_id", "another", "events", []string{"*"})
	e.do("alice", "POST", "/subscriptions", body).is(t, http.StatusConflict, "limit_reached")
	e.do("alice", "POST", "/subscriptions", strings.Replace(body, "another", "3", 1)).is(t, http.StatusOK, "")
	e.subscribe("bob", "another")
	// neither a deleted one counts nor one that has ended
	e.do("alice", "DELETE", "/subscriptions/"+ids[0], "").is(t, http.StatusNoContent, "")
	e.subscribe("alice", "another")
	e.exec("UPDATE connector_subscriptions SET status = 'ended' WHERE id = $1", ids[1])
	e.subscribe("alice", "yet another")
	e.do("alice", "POST", "/subscriptions", strings.Replace(body, "another", "last", 1)).is(t, http.StatusConflict, "limit_reached")
}
