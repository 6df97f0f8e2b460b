package integration

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// helpdeskSite is channelWith with other sources of tickets.
func helpdeskSite(t *testing.T, service *upstream, sources string) string {
	t.Helper()
	site := channelWith(t, service, "")
	start := strings.Index(site, "tickets static {")
	end := start + strings.Index(site[start:], "}") + 1
	return site[:start] + sources + site[end:]
}

// names answers that a ticket belongs to an instance.
func names(instance string) func(*http.Request, net.Conn) {
	return jsonAnswer(`{"instance":"` + instance + `"}`)
}

// What the helpdesk is asked is the ticket and the agent, with the edge's own
// credentials and nothing of the app's.
func TestHTTPTicketsAsk(t *testing.T) {
	t.Setenv("HELPDESK_TOKEN", "t0ken")
	ca := newAuthority(t)
	service, helpdesk := newService(t, ca, jsonAnswer("{}")), newUpstream(t, names("omniwear"))
	s := start(t, "", "")
	for _, tc := range []struct{ source, line, header string }{
		{"/tickets/{ticket_id}", "GET /tickets/62", "X-Agent-Id: alice"},
		{"/tickets/{ticket_id} {\nagent_header X-Agent\n}", "GET /tickets/62", "X-Agent: alice"},
		{"/{agent_id}/tickets/{ticket_id}.json?t={ticket_id}&a={agent_id}&b=%2F", "GET /alice/tickets/62.json?t=62&a=alice&b=%2F", "X-Agent-Id: alice"},
		{"?{ticket_id}", "GET /?62", "X-Agent-Id: alice"},
		{"/{ticket_id} {\nheader Authorization \"Bearer {env.HELPDESK_TOKEN}\"\nheader x-extra \"a b\"\n}", "GET /62",
			"Authorization: Bearer t0ken, X-Agent-Id: alice, X-Extra: a b"},
	} {
		s.reload(ca.openEgress(), helpdeskSite(t, service, "tickets http "+helpdesk.url+tc.source))
		got := s.do("POST", like+"&secret=x", "{}", asJSON, "Cookie: session=1", "X-Agent-Id: mallory", "X-Agent: mallory", "X-Extra: mallory",
			"X-Forwarded-For: 192.0.2.1", "Accept-Language: de", "Referer: https://apps.example.com/", "User-Agent: app", "Accept: text/html")
		if got.StatusCode != 200 {
			t.Errorf("%s: %d %s", tc.source, got.StatusCode, got.body)
		}
		request := helpdesk.one(t)
		lines := slices.DeleteFunc(headerLines(request), func(line string) bool { return line == "Accept-Encoding: gzip" }) // net/http's own
		slices.Sort(lines)
		want := append(strings.Split(tc.header, ", "), "Accept: application/json", "Host: "+strings.TrimPrefix(helpdesk.url, "http://"), "User-Agent: caddy-connector")
		slices.Sort(want)
		if requestLine(request) != tc.line || !slices.Equal(lines, want) || !strings.HasSuffix(request, "\r\n\r\n") {
			t.Errorf("%s: asked %q", tc.source, request)
		}
		if request := service.one(t); strings.Contains(request, "t0ken") || strings.Contains(request, "alice") {
			t.Errorf("the service got %q", request)
		}
	}
	// the operator wrote the helpdesk's URL: it is not the guard's
	s.reload("", helpdeskSite(t, service, "tickets http "+helpdesk.url+"/{ticket_id}"))
	s.do("POST", like, "").isRefusal(t, 502, "BadGateway", "destination_ip_prohibited", "")
	helpdesk.one(t)
}

// No agent's id changes what is asked.
func TestHTTPTicketsAgentIDs(t *testing.T) {
	ca := newAuthority(t)
	service, helpdesk := newService(t, ca, jsonAnswer("{}")), newUpstream(t, names("omniwear"))
	site := helpdeskSite(t, service, "user {http.request.header.X-User}\n\t\t\ttickets http "+helpdesk.url+"/{agent_id}/x/{ticket_id}?{agent_id}")
	s := start(t, ca.openEgress(), site)
	for id, asked := range map[string]string{
		"alice": "/alice/x/62?alice", "alice@example.com": "/alice%40example.com/x/62?alice%40example.com", "a/b": "/a%2Fb/x/62?a%2Fb",
		"a?b": "/a%3Fb/x/62?a%3Fb", "a%2fb": "/a%252fb/x/62?a%252fb", "a#b": "/a%23b/x/62?a%23b", "a&b=c": "/a%26b%3Dc/x/62?a%26b%3Dc",
		"a+b": "/a%2Bb/x/62?a%2Bb", "a;b": "/a%3Bb/x/62?a%3Bb", "auth0|7": "/auth0%7C7/x/62?auth0%7C7", "%": "/%25/x/62?%25", "...": "/.../x/62?...",
		"{ticket_id}": "/%7Bticket_id%7D/x/62?%7Bticket_id%7D", "{env.HOME}": "/%7Benv.HOME%7D/x/62?%7Benv.HOME%7D", "//evil/": "/%2F%2Fevil%2F/x/62?%2F%2Fevil%2F",
		"..": "", ".": "", "../62": "", "a/../b": "", "..;a": "", "%2e%2e": "", "%252e.": "", `a\b`: "", `..\b`: "", "a%00b": "", "a%0d%0ab": "",
	} {
		got := s.do("POST", like, "", "X-User: "+id)
		if asked == "" {
			got.isRefusal(t, 403, "Forbidden", denied, "")
			if requests := append(helpdesk.seen(), service.seen()...); len(requests) != 0 {
				t.Errorf("%q: asked %q", id, requests)
			}
			continue
		}
		request := helpdesk.one(t)
		if requestLine(request) != "GET "+asked || !slices.Equal(headerValues(request, "X-Agent-Id"), []string{id}) || got.StatusCode != 200 {
			t.Errorf("%q: %d, asked %q", id, got.StatusCode, request)
		}
		service.one(t)
	}
	if logs := s.logs(); !strings.Contains(logs, "the agent's id cannot stand in the path") {
		t.Error("the log does not say why")
	}
	s.reload(ca.openEgress(), strings.Replace(site, "/{agent_id}/x/", "/x/", 1)) // in a query dots are just dots
	for _, id := range []string{"..", "../62", `a\b`} {
		if got := s.do("POST", like, "", "X-User: "+id); got.StatusCode != 200 {
			t.Errorf("%q: %d %s", id, got.StatusCode, got.body)
		}
	}
}

// What the helpdesk answers decides; where it has no answer, that is no fault of
// the agent's, and nothing is sent.
func TestHTTPTicketsAnswers(t *testing.T) {
	const (
		ok      = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
		good    = `{"instance":"omniwear"}`
		missing = "ticket_not_found"
		failed  = "ticket_source_failed"
		tooLate = "ticket_source_timeout"
	)
	statuses := func(header string, codes ...int) (wires []string) {
		for _, code := range codes {
			wires = append(wires, fmt.Sprintf("HTTP/1.1 %d A\r\n%sConnection: close\r\n\r\n%s", code, header, good))
		}
		return wires
	}
	ca := newAuthority(t)
	service, connections := countedService(t, ca, jsonAnswer("{}"))
	helpdesk := newUpstream(t, nil)
	s := start(t, ca.openEgress(), helpdeskSite(t, service, "tickets http "+helpdesk.url+"/{ticket_id}"))
	passed := int64(0)
	for _, tc := range []struct {
		reason, name, proxy string // or none
		status              int
		wires               []string
	}{
		{"", "", "", 200, []string{ok + good, ok + ` {"a":[1], "instance" : "omniwear"}` + "\n", ok + `{"instance":"omniwear","Instance":"asleep"}`, ok + good + strings.Repeat(" ", 64<<10-len(good))}},
		{missing, "RecordNotFound", "destination_not_found", 404, append(statuses("", 404, 403),
			ok+`{"instance":"asleep"}`, ok+`{"instance":"nobody"}`, ok+`{"instance":"Omniwear"}`)},
		{failed, "BadGateway", "http_protocol_error", 502, statuses("", 201, 204, 206, 400, 401, 410, 429, 500, 503, 999)},
		{failed, "BadGateway", "http_protocol_error", 502, statuses("Location: /62/moved\r\n", 301, 302, 307, 308)},
		{failed, "BadGateway", "http_protocol_error", 502, []string{
			ok, ok + "{}", ok + `{"Instance":"omniwear"}`, ok + `{"INSTANCE":"omniwear"}`, ok + `{"instance":"omniwear","instance":"asleep"}`, ok + "null", ok + "[]", ok + `"omniwear"`, ok + `{"instance":""}`, ok + `{"instance":1}`, ok + `{"instance":["omniwear"]}`,
			ok + `{"instance":"omniwear"`, ok + good + good, ok + "\ufeff" + good, ok + "<h1>evil</h1>", ok + good + strings.Repeat(" ", 64<<10-len(good)+1), "",
			"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + good, "SSH-2.0-evil\r\n\r\n", "HTTP/1.1 200 OK\r\nevil\r\n\r\n" + good,
		}},
	} {
		before := s.metrics()
		for _, wire := range tc.wires {
			helpdesk.answer = rawAnswer(wire)
			got := s.do("POST", like, "{}", asJSON)
			if tc.reason != "" {
				got.isRefusal(t, tc.status, tc.name, tc.proxy, "")
			} else if passed++; got.StatusCode != 200 {
				t.Errorf("%.100q: %d %s", wire, got.StatusCode, got.body)
			}
			if line := requestLine(helpdesk.one(t)); line != "GET /62" {
				t.Errorf("%.100q: then asked %s", wire, line)
			}
		}
		if tc.reason != "" {
			s.wantReasons(before, map[string]float64{tc.reason: float64(len(tc.wires))})
		}
	}
	if logs := s.logs(); strings.Contains(logs, "evil") || !strings.Contains(logs, "looking up a ticket failed") {
		t.Errorf("the log: %s", logs)
	}
	connections.want(t, passed)

	slow := func(wire string) string {
		return newUpstream(t, func(_ *http.Request, conn net.Conn) {
			_, _ = io.WriteString(conn, wire)
			_, _ = io.Copy(io.Discard, conn) // until the edge gives up
		}).url + "/{ticket_id} {\ntimeout 1s\n}"
	}
	stranger, known := newService(t, newAuthority(t), names("omniwear")), newService(t, ca, names("omniwear"))
	for source, reason := range map[string]string{
		"http://" + freeAddr(t) + "/{ticket_id}": failed, "http://no-such-host.invalid/{ticket_id}": failed, stranger.url + "/{ticket_id}": failed,
		slow(""): tooLate, slow(ok + good[:5]): tooLate,
		known.url + "/{ticket_id} {\ntransport http {\ntls_trust_pool file " + ca.file + "\n}\n}": "",
	} {
		s.reload(ca.openEgress(), helpdeskSite(t, service, "tickets http "+source))
		got := s.do("POST", like, "{}", asJSON)
		switch reason {
		case failed:
			got.isRefusal(t, 502, "BadGateway", "http_protocol_error", "")
		case tooLate:
			got.isRefusal(t, 504, "GatewayTimeout", "http_response_timeout", "")
		default:
			if passed++; got.StatusCode != 200 {
				t.Errorf("%s: %d %s", source, got.StatusCode, got.body)
			}
		}
		if reason != "" && !strings.Contains(s.logs(), `"ticket_id":"62","reason":"`+reason+`"`) {
			t.Errorf("%s is not in the log", reason)
		}
	}
	connections.want(t, passed)
}

// The sources are asked in their order, until one knows the ticket or says no.
func TestTicketSourcesInOrder(t *testing.T) {
	answer := func(status int) func(*http.Request, net.Conn) {
		return rawAnswer(fmt.Sprintf("HTTP/1.1 %d A\r\nConnection: close\r\n\r\n"+`{"instance":"omniwear"}`, status))
	}
	ca := newAuthority(t)
	service, first, second := newService(t, ca, jsonAnswer("{}")), newUpstream(t, nil), newUpstream(t, nil)
	s := start(t, ca.openEgress(), helpdeskSite(t, service, "tickets static {\n61 omniwear bob\n63 omniwear\n}\ntickets http "+first.url+"/{ticket_id}\ntickets http "+
		second.url+"/{ticket_id}\ntickets static {\n62 omniwear\n}"))
	for _, tc := range []struct {
		ticket        string
		first, second int // what they answer, or 0 where they are not asked
		want          int
	}{
		{"61", 0, 0, 404}, {"63", 0, 0, 200}, {"62", 200, 0, 200}, {"62", 403, 0, 404}, {"62", 500, 0, 502}, {"62", 302, 0, 502},
		{"62", 404, 200, 200}, {"62", 404, 403, 404}, {"62", 404, 500, 502}, {"62", 404, 404, 200}, {"64", 404, 404, 404},
	} {
		first.answer, second.answer = answer(tc.first), answer(tc.second)
		got := s.do("POST", proxyTo(tc.ticket, "/like"), "")
		asked, askedSecond, posted := len(first.seen()) == 1, len(second.seen()) == 1, len(service.seen()) == 1
		if got.StatusCode != tc.want || asked != (tc.first != 0) || askedSecond != (tc.second != 0) || posted != (tc.want == 200) {
			t.Errorf("%+v: %d, asked %v %v, posted %v", tc, got.StatusCode, asked, askedSecond, posted)
		}
	}
}

// An access counts for as long as the cache says, for the agent and the ticket
// that it was given to, with the handler that asked; by default for one request.
func TestHTTPTicketsCache(t *testing.T) {
	ca := newAuthority(t)
	service, helpdesk := newService(t, ca, jsonAnswer("{}")), newUpstream(t, names("omniwear"))
	site := helpdeskSite(t, service, "tickets http "+helpdesk.url+"/{ticket_id} {\nCACHE\n}")
	cached := strings.Replace(site, "CACHE", "cache 1h", 1)
	const bob = "Authorization: " + bobCredentials
	s := start(t, ca.openEgress(), strings.Replace(site, "CACHE", "", 1))
	ask := func(path string, status, asked int, header ...string) {
		t.Helper()
		got := s.do("POST", path, "", header...)
		if n := len(helpdesk.seen()); got.StatusCode != status || n != asked {
			t.Errorf("%s %s: %d %s, the helpdesk was asked %d times, want %d and %d", path, header, got.StatusCode, got.body, n, status, asked)
		}
	}
	for range 3 {
		ask(like, 200, 1)
	}
	s.reload(ca.openEgress(), cached)
	ask(like, 200, 1)
	ask(like, 200, 0)
	ask(like, 200, 1, bob)
	ask(like, 200, 0, bob)
	ask(proxyTo("63", "/like"), 200, 1)
	ask(like, 200, 0)
	s.reload(ca.openEgress(), cached)
	ask(like, 200, 1) // a new config begins with nothing

	// only what is good is kept, and nobody else's counts
	says := func(status int) func(*http.Request, net.Conn) {
		return rawAnswer(fmt.Sprintf("HTTP/1.1 %d A\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", status))
	}
	for said, status := range map[int]int{403: 404, 404: 404, 500: 502, 200: 502, 302: 502} {
		helpdesk.answer = says(said)
		ask(like, status, 1, bob)
		ask(like, status, 1, bob)
		ask(like, 200, 0) // alice has had her answer
	}
	helpdesk.answer = names("asleep") // whether an instance is active is the config's to say
	ask(proxyTo("64", "/like"), 404, 1)
	ask(proxyTo("64", "/like"), 404, 0)

	// what was revoked is seen when the time is over
	helpdesk.answer = names("omniwear")
	s.reload(ca.openEgress(), strings.Replace(site, "CACHE", "cache 300ms", 1))
	ask(like, 200, 1)
	helpdesk.answer = says(403)
	eventually(t, "the revocation", func() bool { return s.do("POST", like, "").StatusCode == 404 })
	helpdesk.seen()
	ask(like, 404, 1)
	helpdesk.answer = names("omniwear")
	ask(like, 200, 1)

	// each handler has its own
	block := cached[strings.Index(cached, "any_channel {"):strings.Index(cached, "respond ")]
	second := strings.Replace(block, "any_channel {", "any_channel {\n\t\t\tpath /second", 1)
	s.reload(ca.openEgress(), strings.Replace(cached, block, block+second, 1))
	for _, path := range []string{proxyPath, "/second"} {
		path = strings.Replace(like, proxyPath, path, 1)
		ask(path, 200, 1)
		ask(path, 200, 0)
	}
}

// An app that goes away while the helpdesk is asked is no fault of the
// helpdesk's.
func TestHTTPTicketsClientGone(t *testing.T) {
	arrived, gone := make(chan struct{}), make(chan struct{})
	helpdesk := newUpstream(t, func(_ *http.Request, conn net.Conn) {
		close(arrived)
		_, _ = io.Copy(io.Discard, conn) // until the edge closes it
		close(gone)
	})
	ca := newAuthority(t)
	service := newService(t, ca, jsonAnswer("{}"))
	s := start(t, ca.openEgress(), helpdeskSite(t, service, "tickets http "+helpdesk.url+"/{ticket_id} {\ntimeout 1h\n}"))
	conn := s.dial()
	fmt.Fprint(conn, posted(like, asJSON, "{}"))
	await(t, "the lookup", arrived)
	conn.Close()
	await(t, "the edge's hanging up", gone)
	eventually(t, "499 in the access log", func() bool { return strings.Contains(s.logs(), `"status":499`) })
	if logs := s.logs(); strings.Contains(logs, "looking up a ticket failed") || len(service.seen()) != 0 {
		t.Errorf("the log: %s", logs)
	}
}

var dateLine = regexp.MustCompile(`\r\nDate: [^\r]+`)

// Z2, Z3: an agent cannot tell a ticket of others, or of an instance that is
// switched off, from one that doesn't exist, whatever else the request asks.
func TestAnyChannelTicketsLookAlike(t *testing.T) {
	s, service, connections := startChannel(t, jsonAnswer("{}"), "")
	for _, path := range []string{"/like", "https://evil.example/", `\\evil`} {
		wires := make(map[string]bool)
		for _, ticket := range []string{"999", "63", "64"} {
			wire := s.wire(posted(proxyTo(ticket, path), asJSON, "{}"))
			if !strings.HasPrefix(wire, "HTTP/1.1 404 ") || !strings.Contains(wire, `"RecordNotFound"`) {
				t.Errorf("ticket %s: %q", ticket, wire)
			}
			wires[dateLine.ReplaceAllString(wire, "")] = true
		}
		if len(wires) != 1 {
			t.Errorf("the answers differ: %q", slices.Collect(maps.Keys(wires)))
		}
	}
	wantOnlyControl(t, s, service, connections)
	if got := s.do("POST", proxyTo("63", "/like"), "", "Authorization: "+bobCredentials); got.StatusCode != 200 {
		t.Errorf("bob: %d %s", got.StatusCode, got.body)
	}
}
