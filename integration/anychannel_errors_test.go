package integration

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	proxyPath = "/api/v2/any_channel/proxy.json"
	like      = proxyPath + "?ticket_id=62&post_to_path=/like"

	// types of RFC 9209
	denied = "http_request_denied"
	faulty = "http_request_error"
)

// startChannel starts an edge with any_channel before a service whose connections
// are counted.
func startChannel(t *testing.T, answer func(*http.Request, net.Conn), more string) (*server, *upstream, *countingListener) {
	t.Helper()
	ca := newAuthority(t)
	service, connections := countedService(t, ca, answer)
	return start(t, ca.openEgress(), channelWith(t, service, more)), service, connections
}

// reload is load, at an address where no server of the config before can still
// take a connection.
func (s *server) reload(options, sites string) {
	s.t.Helper()
	s.addr = freeAddr(s.t)
	s.load(options, sites)
}

// isRefusal is isEnvelope, with the type in Proxy-Status and, where a parameter
// is at fault, "parameter fault".
func (a answer) isRefusal(t *testing.T, status int, name, proxyError, details string) {
	t.Helper()
	a.isEnvelope(t, status, name)
	var envelope struct {
		Details map[string][]struct{ Description, Error string }
	}
	_ = json.Unmarshal([]byte(a.body), &envelope)
	var got []string
	for parameter, faults := range envelope.Details {
		for _, fault := range faults {
			got = append(got, parameter+" "+fault.Error)
			if !strings.HasPrefix(fault.Description, parameter+": ") {
				t.Errorf("description %q", fault.Description)
			}
		}
	}
	if strings.Join(got, ", ") != details || a.Header.Get("Proxy-Status") != "caddy-connector; error="+proxyError ||
		a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("answer %d %v %q, want %s %q", a.StatusCode, a.Header, a.body, proxyError, details)
	}
}

// wantReasons checks what the metrics have counted as rejected since before.
func (s *server) wantReasons(before, want map[string]float64) {
	s.t.Helper()
	got := make(map[string]float64)
	for series, value := range s.metrics() {
		if reason, ok := strings.CutPrefix(series, `caddy_any_channel_rejections_total{reason="`); ok && value > before[series] {
			got[strings.TrimSuffix(reason, `"}`)] = value - before[series]
		}
	}
	if !maps.Equal(got, want) {
		s.t.Errorf("rejections %v, want %v", got, want)
	}
}

// wantOnlyControl wants the service to have seen nothing yet. It would see.
func wantOnlyControl(t *testing.T, s *server, service *upstream, connections *countingListener) {
	t.Helper()
	if got := s.do("POST", like, ""); got.StatusCode != 200 {
		t.Errorf("the control: %d %s", got.StatusCode, got.body)
	}
	if line := requestLine(service.one(t)); line != "POST /like" {
		t.Errorf("the service saw %s", line)
	}
	connections.want(t, 1) // they are accepted in the order in which they were made
}

// posted is a request of alice's, over a connection of its own. Its body goes in
// chunks.
func posted(target, header, body string) string {
	return "POST " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " + aliceCredentials + "\r\n" + header +
		"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(body) + "0\r\n\r\n"
}

// headerOf splits lines of the wire.
func headerOf(lines string) []string {
	return slices.DeleteFunc(strings.Split(lines, "\r\n"), func(line string) bool { return line == "" })
}

type sent struct{ method, target, body, header string }

// Z1-Z5, Z8: what is wrong with a request is told in Zendesk's envelope, and
// nothing is sent.
func TestAnyChannelRequestErrors(t *testing.T) {
	const query, record, invalid = "ticket_id=62&post_to_path=", "RecordInvalid", "InvalidParameter"
	targets := func(queries ...string) (all []sent) {
		for _, query := range queries {
			all = append(all, sent{"POST", proxyPath + "?" + query, "", ""})
		}
		return all
	}
	headers := func(body string, headers ...string) (all []sent) {
		for _, header := range headers {
			all = append(all, sent{"POST", like, body, header})
		}
		return all
	}
	bodies := func(bodies ...string) (all []sent) {
		for _, body := range bodies {
			all = append(all, sent{"POST", like, body, asJSON})
		}
		return all
	}
	s, service, connections := startChannel(t, jsonAnswer("{}"), "max_body 20000B")
	before, want := s.metrics(), make(map[string]float64)
	large := `"` + strings.Repeat("x", 19_999) + `"`
	for _, tc := range []struct {
		status                       int
		reason, name, proxy, details string
		requests                     []sent
	}{
		{405, "method_not_allowed", "MethodNotAllowed", denied, "", []sent{
			{"GET", like, "", "X-HTTP-Method-Override: POST"}, {"PUT", like, "{}", asJSON}, {"PATCH", like, "{}", asJSON},
			{"DELETE", proxyPath, "", ""}, {"OPTIONS", like, "", "Access-Control-Request-Method: POST"}, {"post", like, "", ""},
		}},
		{403, "cross_origin", "Forbidden", denied, "", append(headers("{}", asJSON+"\r\nSec-Fetch-Site: cross-site",
			asJSON+"\r\nSec-Fetch-Site: same-site", asJSON+"\r\nOrigin: https://evil.example", asJSON+"\r\nOrigin: null"),
			sent{"POST", like, "", "Sec-Fetch-Site: cross-site"})},
		{400, "ticket_id_missing", invalid, faulty, "ticket_id BlankValue", targets("", "post_to_path=/like", "ticket_id=&post_to_path=/like")},
		{400, "ticket_id_repeated", invalid, faulty, "ticket_id InvalidValue", targets(query+"/like&ticket_id=62", query+"/like&ticket_id=")},
		{422, "ticket_id_invalid", record, faulty, "ticket_id InvalidValue", targets("post_to_path=/&ticket_id=062",
			"post_to_path=/&ticket_id=evil", "post_to_path=/&ticket_id=%zz", "post_to_path=/&ticket_id=62/../63", "post_to_path=/&ticket_id=+62")},
		{404, "ticket_not_found", "RecordNotFound", "destination_not_found", "", targets("ticket_id=65&post_to_path=/like")},
		{422, "post_to_path_missing", record, faulty, "post_to_path BlankValue", targets("ticket_id=62", query)},
		{400, "post_to_path_repeated", invalid, faulty, "post_to_path InvalidValue", targets(query + "/like&post_to_path=/like")},
		{422, "post_to_path_too_long", record, faulty, "post_to_path TooLong", targets(query + "/" + strings.Repeat("%C3%BC", 511))},
		{422, "post_to_path_invalid", record, faulty, "post_to_path InvalidValue", targets(query+"https://evil.example/", query+"/%zz")},
		{415, "media_type_unsupported", "UnsupportedMediaType", faulty, "", append(headers("{}", "", "Content-Type: text/plain",
			"Content-Type: application/x-www-form-urlencoded", "Content-Type: multipart/form-data; boundary=x", "Content-Type: application/problem+json",
			"Content-Type: text/plain; application/json", asJSON+"; charset=utf-16", asJSON+"; charset=iso-8859-1", asJSON+", text/plain",
			asJSON+"\r\nContent-Encoding: gzip", asJSON+"\r\nContent-Encoding: identity, br"), sent{"POST", like, " ", "Content-Type: text/plain"})},
		{400, "body_invalid", "UnparsableRequest", faulty, "", bodies("evil", `{"a":`, `{"a":1,}`, "{} {}", "\ufeff{}", "\"\xff\"", "{}\x00",
			"{}\u00a0", "\v", "NaN", "'a'", "\"\n\"", strings.Repeat("[", 10_000)+"1"+strings.Repeat("]", 9_999))},
		{413, "body_too_large", "PayloadTooLarge", faulty, "", bodies(large, strings.Repeat(" ", 20_001))},
	} {
		for _, request := range tc.requests {
			got := s.do(request.method, request.target, request.body, headerOf(request.header)...)
			got.isRefusal(t, tc.status, tc.name, tc.proxy, tc.details)
			if allow := got.Header.Get("Allow"); (tc.status == 405) != (allow == "POST") {
				t.Errorf("%s: Allow %q", request.method, allow)
			}
			if strings.Contains(got.body+fmt.Sprint(got.Header), "evil") {
				t.Errorf("the answer repeats the request: %v %s", got.Header, got.body)
			}
			want[tc.reason]++
		}
	}
	s.raw(posted(like, asJSON, large)).isRefusal(t, 413, "PayloadTooLarge", faulty, "")
	want["body_too_large"]++
	s.wantReasons(before, want)
	wantOnlyControl(t, s, service, connections)
}

// Z7, Z8: what is no answer in JSON is 502. The service is asked once, no
// redirect is followed, and of what it said nothing is passed on.
func TestAnyChannelBadAnswers(t *testing.T) {
	const (
		ok       = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
		chunks   = ok + "Transfer-Encoding: chunked\r\n\r\n"
		protocol = "http_protocol_error"
	)
	s, service, connections := startChannel(t, nil, "max_body 1000B")
	elsewhere := newUpstream(t, nil)
	status := func(line string) string { return "HTTP/1.1 " + line + " A\r\nConnection: close\r\n" }
	moved := func(code string) string { return status(code) + "Location: /target\r\nContent-Length: 2\r\n\r\n{}" }
	abroad := func(code string) string {
		return status(code) + "Location: " + elsewhere.url + "\r\nContent-Length: 2\r\n\r\n{}"
	}
	tooMuch := `"` + strings.Repeat("x", 999) + `"`
	asked := int64(0)
	for _, tc := range []struct {
		reason, proxy string
		wires         []string
	}{
		{"service_answer_invalid", protocol, []string{
			ok + "Content-Type: text/plain\r\n\r\nhello", ok + asJSON + "\r\n\r\nhello", ok + "\r\n\ufeff{}", ok + "\r\n\"\xff\"",
			ok + "\r\n{\x00}\x00", ok + "\r\n{} {}", ok + "\r\n{\"a\":", ok + "\r\n'a'", ok + "Content-Encoding: gzip\r\n\r\n" + gzipped(t, "{}"),
			status("500") + "Content-Type: text/html\r\n\r\n<h1>evil</h1>", status("404") + "\r\n", status("500") + "\r\n",
			status("600") + "\r\n{}", status("999") + "\r\n{}", "HTTP/1.1 101 A\r\nConnection: Upgrade\r\nUpgrade: evil\r\n\r\n{}",
		}},
		{"service_redirected", protocol, []string{
			moved("300"), moved("301"), abroad("301"), moved("302"), abroad("302"), moved("303"), moved("304"), moved("307"), abroad("307"), moved("308"),
		}},
		{"service_answer_too_large", "http_response_body_size", []string{
			ok + "\r\n" + tooMuch, ok + "Content-Length: 1001\r\n\r\n" + tooMuch, chunks + chunk(tooMuch) + "0\r\n\r\n", status("400") + "\r\n" + tooMuch,
		}},
		{"service_failed", "connection_terminated", []string{
			"", "HTTP/1.1 200 OK\r\nX-Evil: b", "HTTP/1.1 100 Continue\r\n\r\n", ok + "Content-Length: 100\r\n\r\n{}", chunks + chunk("{}"),
		}},
		{"service_failed", protocol, []string{
			"SSH-2.0-evil\r\n\r\n", "HTTP/1.1 200 OK\r\nevil\r\n\r\n{}", "HTTP/1.1 evil OK\r\n\r\n{}", chunks + "evil\r\n",
			ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", ok + "X-Evil: " + strings.Repeat("x", 70<<10) + "\r\n\r\n{}",
		}},
	} {
		before := s.metrics()
		for _, wire := range tc.wires {
			service.answer = rawAnswer(wire)
			got := s.do("POST", like, "{}", asJSON)
			got.isRefusal(t, 502, "BadGateway", tc.proxy, "")
			if strings.Contains(strings.ToLower(got.body+fmt.Sprint(got.Header)), "evil") || got.Header.Get("Location") != "" {
				t.Errorf("the answer repeats the service's: %v %s", got.Header, got.body)
			}
			if line := requestLine(service.one(t)); line != "POST /like" {
				t.Errorf("%.100q: the service was asked %s", wire, line)
			}
			asked++
		}
		s.wantReasons(before, map[string]float64{tc.reason: float64(len(tc.wires))})
	}
	connections.want(t, asked)
	if requests := elsewhere.seen(); len(requests) != 0 {
		t.Errorf("redirects were followed: %q", requests)
	}
}

// Z8: a service that takes too long is given up, wherever it hangs.
func TestAnyChannelLateAnswers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	given := make(chan struct{})
	hanging := func(wire string, more string) func(*http.Request, net.Conn) {
		return func(_ *http.Request, conn net.Conn) {
			_, err := io.WriteString(conn, wire)
			for ; err == nil && more != ""; _, err = io.WriteString(conn, more) {
				time.Sleep(20 * time.Millisecond) // what is tested: never idle for long, and never done
			}
			_, _ = io.Copy(io.Discard, conn)
			given <- struct{}{}
		}
	}
	s, service, _ := startChannel(t, nil, "timeout 1s")
	before := s.metrics()
	lates := []func(*http.Request, net.Conn){
		hanging("", ""), hanging("HTTP/1.1 100 Continue\r\n\r\n", ""), hanging(ok+"X-A: b\r\n", ""), hanging(ok+"Content-Length: 100\r\n\r\n{}", ""),
		hanging(ok+"\r\n{}", ""), hanging(ok+"\r\n{}", " "), hanging(ok+"X-A: ", "b"), hanging("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
	}
	for _, late := range lates {
		service.answer = late
		s.do("POST", like, "{}", asJSON).isRefusal(t, 504, "GatewayTimeout", "http_response_timeout", "")
		await(t, "the edge's hanging up", given)
		service.one(t)
	}
	s.wantReasons(before, map[string]float64{"service_timeout": float64(len(lates))})
}

// Z8: a service that cannot be reached, or is not who it should be, gets no
// request.
func TestAnyChannelUnreachable(t *testing.T) {
	ca := newAuthority(t)
	const unreachable, certificate, protocol, prohibited = "service_unreachable", "tls_certificate_error", "tls_protocol_error", "destination_ip_prohibited"
	over := func(change func(*tls.Config), names ...string) *upstream {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		config := ca.serverConfig(t, names...)
		change(config)
		u := serveUpstream(t, tls.NewListener(listener, config), jsonAnswer("{}"))
		u.url = "https://" + listener.Addr().String()
		return u
	}
	at := func(url string) *upstream { return &upstream{url: strings.Replace(url, "http:", "https:", 1)} }
	guarded, connections := countedService(t, ca, jsonAnswer("{}"))
	guardedAt := func(host string) *upstream { return at("https://" + host + ":" + portOf(guarded.url)) }
	plain := listen(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
	})
	silent := listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	const noPool = "connector {\n\t\tegress {\n\t\t\tallow 127.0.0.1\n\t\t}\n\t}"
	open := ca.openEgress()
	for what, tc := range map[string]struct {
		service       *upstream
		options       string
		status        int
		reason, proxy string
	}{
		"nothing listens":      {at("https://" + freeAddr(t)), open, 502, unreachable, "connection_refused"},
		"no such host":         {at("https://no-such-host.invalid"), open, 502, unreachable, "dns_error"},
		"guard":                {guarded, "", 502, unreachable, prohibited},
		"guard, by name":       {guardedAt("localhost"), "", 502, unreachable, prohibited},
		"guard, in IPv6":       {guardedAt("[::ffff:127.0.0.1]"), "", 502, unreachable, prohibited},
		"guard, IPv6 loopback": {guardedAt("[::1]"), open, 502, unreachable, prohibited},
		"unknown authority":    {newService(t, newAuthority(t), nil), open, 502, unreachable, certificate},
		"system's authorities": {newService(t, ca, nil), noPool, 502, unreachable, certificate},
		"another name":         {over(func(*tls.Config) {}, "localhost", "127.0.0.2"), open, 502, unreachable, certificate},
		"old TLS":              {over(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, "127.0.0.1"), open, 502, unreachable, protocol},
		"wants a certificate":  {over(func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }, "127.0.0.1"), open, 502, unreachable, protocol},
		"no TLS there":         {at(plain), open, 502, unreachable, protocol},
		"no handshake":         {at(silent), open, 504, "service_timeout", "http_response_timeout"},
	} {
		t.Run(what, func(t *testing.T) {
			name, more := "BadGateway", ""
			if tc.status == 504 {
				name, more = "GatewayTimeout", "timeout 1s"
			}
			s := start(t, tc.options, channelWith(t, tc.service, more))
			before := s.metrics()
			got := s.do("POST", like, "{}", asJSON)
			got.isRefusal(t, tc.status, name, tc.proxy, "")
			s.wantReasons(before, map[string]float64{tc.reason: 1})
			for _, leak := range []string{"127.0.0", "::1", "dial", "lookup", "x509", "tls:", "invalid"} {
				if strings.Contains(got.body+fmt.Sprint(got.Header), leak) {
					t.Errorf("the answer tells %q: %v %s", leak, got.Header, got.body)
				}
			}
			if requests := tc.service.seen(); len(requests) != 0 {
				t.Errorf("the service saw %q", requests)
			}
			if logs := s.logs(); !strings.Contains(logs, "integration service failed") || !strings.Contains(logs, `"reason":"`+tc.reason+`"`) {
				t.Errorf("the log: %s", logs)
			}
		})
	}
	connections.want(t, 0)
}

// Z7: an answer in JSON is passed back with its status and its bytes, and of its
// header only when to come again. An empty success is 204.
func TestAnyChannelAnswers(t *testing.T) {
	const (
		foreign = "Content-Type: text/html\r\nSet-Cookie: evil=1\r\nWWW-Authenticate: Basic realm=evil\r\nLocation: /evil\r\nServer: evil\r\n" +
			"Access-Control-Allow-Origin: *\r\nStrict-Transport-Security: max-age=1\r\nServer-Timing: evil\r\nCache-Control: public\r\n" +
			"Proxy-Status: caddy-connector; error=evil\r\nClear-Site-Data: *\r\nRefresh: 0; url=/evil\r\nETag: \"evil\"\r\nX-Evil: 1\r\nAge: 1\r\n"
		odd   = " {\"id\" : 9007199254740993, \"id\":18446744073709551615,\"f\":1.0E+2 ,\"s\":\"\\u00e9é\u2028<b>\\/\"}\r\n\n"
		later = "Fri, 21 Oct 2044 07:28:00 GMT"
	)
	s, service, _ := startChannel(t, nil, "")
	before := s.metrics()
	for _, tc := range []struct {
		status     int
		body       string
		wantStatus int
		retryAfter string // of the service
		wantRetry  string
	}{
		{200, odd, 200, "", ""}, {200, "null", 200, "5", ""}, {201, "1", 201, "", ""}, {202, `"x"`, 202, "", ""}, {299, "[]", 299, "", ""},
		{400, odd, 400, "", ""}, {401, "{}", 401, "", ""}, {403, "{}", 403, "", ""}, {404, odd, 404, "", ""}, {422, odd, 422, "5", ""},
		{500, odd, 500, "5", ""}, {503, odd, 503, "120", "120"}, {504, "{}", 504, "", ""}, {599, "{}", 599, "", ""},
		{429, odd, 429, "", ""}, {429, odd, 429, "0", "0"}, {429, odd, 429, later, later}, {503, odd, 503, "Friday, 21-Oct-44 07:28:00 GMT", later},
		{429, odd, 429, "soon", ""}, {429, odd, 429, "-1", ""}, {429, odd, 429, "+5", ""}, {429, odd, 429, "1.5", ""}, {429, odd, 429, "5, 6", ""},
		{429, odd, 429, "99999999999", ""}, {503, odd, 503, "Fri, 32 Oct 2044 07:28:00 GMT", ""},
		{200, "", 204, "5", ""}, {201, "", 204, "", ""}, {202, "", 204, "", ""}, {204, "", 204, "", ""}, {205, "", 204, "", ""}, {200, " \r\n", 204, "", ""},
	} {
		header := foreign
		if tc.retryAfter != "" {
			header += "Retry-After: " + tc.retryAfter + "\r\n"
		}
		service.answer = rawAnswer(fmt.Sprintf("HTTP/1.1 103 A\r\nLink: </evil>\r\n\r\nHTTP/1.1 %d A\r\nConnection: close\r\n%s\r\n%s", tc.status, header, tc.body))
		got := s.do("POST", like, "{}", asJSON)
		want := "[Content-Length Content-Type Date Server X-Content-Type-Options]"
		switch {
		case tc.wantStatus == 204:
			want, tc.body = "[Date Server]", ""
		case tc.wantRetry != "":
			want = "[Content-Length Content-Type Date Retry-After Server X-Content-Type-Options]"
		}
		if tc.wantStatus != 204 && got.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("Content-Type %q", got.Header.Get("Content-Type"))
		}
		got.Header.Del("Connection") // the client's wish
		if names := fmt.Sprint(slices.Sorted(maps.Keys(got.Header))); got.StatusCode != tc.wantStatus || got.body != tc.body ||
			names != want || got.Header.Get("Retry-After") != tc.wantRetry || strings.Contains(fmt.Sprint(got.Header), "evil") {
			t.Errorf("%d %q, Retry-After %q became %d %q %v", tc.status, tc.body, tc.retryAfter, got.StatusCode, got.body, got.Header)
		}
	}
	s.wantReasons(before, map[string]float64{})
}

// An app that goes away takes its request with it, and that is no fault of the
// service's.
func TestAnyChannelClientGone(t *testing.T) {
	arrived, gone := make(chan struct{}), make(chan struct{})
	s, _, _ := startChannel(t, func(_ *http.Request, conn net.Conn) {
		close(arrived)
		_, _ = io.Copy(io.Discard, conn) // until the edge closes it
		close(gone)
	}, "timeout 1h")
	before := s.metrics()
	conn := s.dial()
	fmt.Fprint(conn, posted(like, asJSON, "{}"))
	await(t, "the request", arrived)
	conn.Close()
	await(t, "the edge's hanging up", gone)
	eventually(t, "499 in the access log", func() bool { return strings.Contains(s.logs(), `"status":499`) })
	s.wantReasons(before, map[string]float64{"client_gone": 1})
	if logs := s.logs(); strings.Contains(logs, "integration service failed") {
		t.Errorf("the log: %s", logs)
	}
}
