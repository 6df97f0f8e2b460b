package integration

import (
	"strconv"
	"strings"
	"testing"
)

// Z2: who isn't known, or not by a name that can be passed on, gets nothing sent.
func TestAnyChannelUsers(t *testing.T) {
	ca := newAuthority(t)
	service, connections := countedService(t, ca, jsonAnswer("{}"))
	site := channelWith(t, service, "")
	s := start(t, ca.openEgress(), strings.Replace(site, accounts, "", 1)) // nobody authenticates
	got := s.do("POST", like, "")
	got.isRefusal(t, 401, "Couldn't authenticate you", denied, "")
	if got.body != `{"error":"Couldn't authenticate you"}` || got.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("%v %s", got.Header, got.body)
	}
	s.reload(ca.openEgress(), strings.Replace(site, "any_channel {", "any_channel {\n\t\t\tuser {http.request.header.X-User}", 1))
	for _, user := range []string{"a b", "a\tb", "ü", "a\u00a0b", strings.Repeat("a", 256)} {
		s.do("POST", like, "", "X-User: "+user).isRefusal(t, 403, "Forbidden", denied, "")
	}
	s.do("POST", like, "").isRefusal(t, 401, "Couldn't authenticate you", denied, "")
	s.reload(ca.openEgress(), site)
	for _, credentials := range []string{"none", "Basic YWxpY2U6Ym9i" /* alice:bob */, "Basic !", "Bearer x"} {
		if got := s.do("POST", like, "", "Authorization: "+credentials); got.StatusCode != 401 {
			t.Errorf("%s: %d %s", credentials, got.StatusCode, got.body)
		}
	}
	wantOnlyControl(t, s, service, connections)
}

// The edge's own pages, pages of trusted origins, and what is no browser may post.
func TestAnyChannelOrigins(t *testing.T) {
	s, service, _ := startChannel(t, jsonAnswer("{}"), "trusted_origins https://apps.example.com https://apps.example.com:8443")
	const crossSite = "Sec-Fetch-Site: cross-site\r\n"
	for header, status := range map[string]int{
		"Sec-Fetch-Site: same-origin":                  200,
		"Sec-Fetch-Site: none":                         200,
		"Origin: http://" + s.addr:                     200,
		"Origin: https://apps.example.com":             200,
		"Origin: https://apps.example.com:8443":        200,
		crossSite + "Origin: https://apps.example.com": 200,
		crossSite: 403,
		crossSite + "Referer: https://apps.example.com":                  403,
		crossSite + "Origin: http://" + s.addr:                           403,
		crossSite + "Origin: http://apps.example.com":                    403,
		crossSite + "Origin: https://apps.example.com:444":               403,
		crossSite + "Origin: https://apps.example.com.evil.example":      403,
		crossSite + "Origin: https://evil.example/apps.example.com":      403,
		crossSite + "X-Forwarded-Host: x\r\nOrigin: https://x":           403,
		crossSite + "Origin: null":                                       403,
		"Sec-Fetch-Site: same-site\r\nOrigin: https://other.example.com": 403,
	} {
		if got := s.do("POST", like, "{}", append(headerOf(header), asJSON)...); got.StatusCode != status || len(service.seen()) != 1-status/403 {
			t.Errorf("%s: %d %s", header, got.StatusCode, got.body)
		}
	}
}

// Z8: the requests of an instance are limited; those that come too early, or
// cannot be sent, don't count.
func TestAnyChannelRateLimit(t *testing.T) {
	ca := newAuthority(t)
	service := newService(t, ca, jsonAnswer("{}"))
	limited := func(limit string) string {
		site := strings.Replace(channelWith(t, service, ""), "instance omniwear {", "instance omniwear {\n\t\t\t\trate_limit "+limit, 1)
		return strings.Replace(strings.Replace(site, "inactive", "", 1), "64 asleep", "64 asleep\n\t\t\t\t65 omniwear", 1)
	}
	s := start(t, ca.openEgress(), limited("2 1h"))
	for _, request := range []string{proxyTo("63", "/like"), proxyTo("62", "http://x/"), proxyTo("999", "/like")} {
		for range 3 {
			s.do("POST", request, "")
		}
	}
	for _, ticket := range []string{"62", "65"} { // the instance's tickets share its limit
		if got := s.do("POST", proxyTo(ticket, "/like"), ""); got.StatusCode != 200 {
			t.Errorf("ticket %s: %d %s", ticket, got.StatusCode, got.body)
		}
	}
	service.seen()
	for range 5 {
		got := s.do("POST", like, "")
		got.isRefusal(t, 429, "TooManyRequests", denied, "")
		// half of the window, less what has passed
		if seconds, err := strconv.Atoi(got.Header.Get("Retry-After")); err != nil || seconds < 900 || seconds > 1800 {
			t.Errorf("Retry-After %q", got.Header.Get("Retry-After"))
		}
	}
	if requests := service.seen(); len(requests) != 0 {
		t.Errorf("the service saw %q", requests)
	}
	if got := s.do("POST", proxyTo("64", "/like"), ""); got.StatusCode != 200 {
		t.Errorf("another instance: %d %s", got.StatusCode, got.body)
	}
	s.reload(ca.openEgress(), limited("1 200ms"))
	early := ""
	eventually(t, "a request that comes too early", func() bool {
		got := s.do("POST", like, "")
		early = got.Header.Get("Retry-After")
		return got.StatusCode == 429
	})
	if early != "1" { // never 0, which would be now
		t.Errorf("Retry-After %q", early)
	}
	eventually(t, "one that doesn't", func() bool { return s.do("POST", like, "").StatusCode == 200 })
}
