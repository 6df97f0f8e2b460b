package connections

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A connection makes no more requests than it may; others are their own.
func TestRateLimit(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, a.block("zendesk", "auth none\nrate_limit 2")+a.block("free", "auth none"))
	id, other := e.connected("alice", "zendesk", named("a", "")), e.connected("alice", "zendesk", named("b", ""))
	limited, began := 0, time.Now()
	for range 20 {
		got := e.call("alice", "GET", id, "/x", "")
		if got.StatusCode != http.StatusTooManyRequests {
			continue
		}
		limited++
		if got.is(t, http.StatusTooManyRequests, "rate_limited"); got.Header.Get("Retry-After") != "1" {
			t.Errorf("%v", got.Header)
		}
	}
	seen, elapsed := len(a.seen()), time.Since(began)
	if seen != 20-limited || float64(seen) > 2+1+2*elapsed.Seconds() {
		t.Errorf("%d were limited in %v, and the API was asked %d times", limited, elapsed, seen)
	}
	e.call("alice", "GET", other, "/x", "").is(t, 200, "")
	free := e.connected("alice", "free", named("a", ""))
	for range 20 {
		e.call("alice", "GET", free, "/x", "").is(t, 200, "")
	}
}

// A change of the connection is no way around its limit, and what is remembered of
// connections has a bound.
func TestRateLimitOutlivesChanges(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, a.block("zendesk", "auth none\nrate_limit 3"))
	id := e.connected("alice", "zendesk", named("a", ""))
	began := time.Now()
	for i := range 20 {
		e.call("alice", "GET", id, "/x", "")
		e.do("alice", "PUT", connect+"zendesk/connections/"+id, `{"id":"`+id+`","name":"`+fmt.Sprintf("a%d", i)+`"}`).is(t, 200, "")
	}
	if n, elapsed := len(a.seen()), time.Since(began); float64(n) > 3+1+3*elapsed.Seconds() {
		t.Errorf("%d requests came in %v", n, elapsed)
	}

	var l limiters
	busy := l.of("busy", 3)
	busy.AllowN(time.Now(), 3)
	for i := range maxLimiters + 5 {
		l.of(fmt.Sprint(i), 3)
	}
	if len(l.by) > maxLimiters {
		t.Errorf("%d are remembered", len(l.by))
	}
	for i := range maxLimiters {
		l.of(fmt.Sprint(i), 3).AllowN(time.Now(), 3)
	}
	if l.of("new", 3); len(l.by) > maxLimiters {
		t.Errorf("%d busy ones are remembered", len(l.by))
	}
}

// Larger bodies are refused, however they come; what was held of them is nothing
// that an API sees as a whole.
func TestMaxBody(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, "max_body 100KB\n"+a.block("zendesk", "auth none")+a.block("signed", "auth hmac header X-S {\ninputs body\n}"))
	id := e.connected("alice", "zendesk", named("a", ""))
	signed := e.connected("alice", "signed", named("a", `,"credentials":[{"type":"hmac","key":"s3cret-key"}]`))
	const limit = 100_000
	for _, id := range []string{id, signed} {
		for _, method := range []string{"POST", "PUT"} {
			for _, size := range []int{limit, limit + 1, 2 * limit} {
				body, status := string(pattern(size)), http.StatusOK
				if size > limit {
					status = http.StatusRequestEntityTooLarge
				}
				for way, send := range map[string]func(string) ([]string, string){"known": known, "chunked": chunked} {
					lines, sent := send(body)
					got := e.raw(method, proxied(id, "/x"), lines, sent)
					if got.StatusCode != status || status != 200 && got.body["code"] != "body_too_large" {
						t.Errorf("%s of %d, %s: %d %s", method, size, way, got.StatusCode, got.text)
					}
				}
			}
		}
	}
	for _, r := range a.seen() {
		if r.ContentLength > limit || len(r.body) > limit || r.cut == nil && len(r.body) < limit {
			t.Errorf("%d bytes came", len(r.body))
		}
	}
}

// Who sends credentials in plain text is told so when the config is loaded.
func TestPlainTextIsWarnedOf(t *testing.T) {
	const warning = "credentials are sent to an API without TLS"
	var apis strings.Builder
	for i, url := range []string{
		"http://127.0.0.1:8000", "http://localhost/x", "http://[::1]:80/{{a}}", "https://api.example", "https://{{a}}.api.example", // 0 to 4
		"http://api.example", "http://{{a}}.api.example:8000", "http://10.0.0.1", "http://localhost.example", // 5 to 8
	} {
		apis.WriteString(at(fmt.Sprintf("api%d", i), url, "auth none"))
	}
	e := start(t, apis.String())
	for i := range 9 {
		name := fmt.Sprintf(`"api":"api%d"`, i)
		told := false
		for line := range strings.SplitSeq(e.logs(), "\n") {
			told = told || strings.Contains(line, warning) && strings.Contains(line, name) && strings.Contains(line, `"level":"warn"`)
		}
		if told != (i >= 5) {
			t.Errorf("%s: %v", name, told)
		}
	}
}
