package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Z1, Z6: the seed's request, and what reaches the service of it.
func TestAnyChannelSeed(t *testing.T) {
	ca := newAuthority(t)
	service := newService(t, ca, jsonAnswer(`{"liked": true}`))
	s := start(t, ca.openEgress(), channelWith(t, service, ""))
	const body = "{\n   \"liked\": \"true\"\n }"
	for _, path := range []string{"/api/v2/any_channel/proxy.json", "/api/v2/any_channel/proxy"} {
		got := s.do("POST", path+"?ticket_id=62&post_to_path=/like", body, asJSON, "Accept: application/json",
			"Cookie: session=1", "X-Own: 1", "X-Forwarded-For: 192.0.2.1")
		if got.StatusCode != 200 || got.body != `{"liked": true}` || got.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("answer %d %v %q", got.StatusCode, got.Header, got.body)
		}
		if got.Header.Get("Proxy-Status") != "" {
			t.Errorf("the service's answer has the edge's mark: %v", got.Header)
		}
		request := service.one(t)
		if requestLine(request) != "POST /like" {
			t.Errorf("request %q", requestLine(request))
		}
		lines := headerLines(request)
		slices.Sort(lines)
		for i, line := range lines {
			name, _, _ := strings.Cut(line, ":")
			lines[i] = name
		}
		if got := fmt.Sprint(lines); got != "[Accept Content-Length Content-Type Host User-Agent]" {
			t.Errorf("headers %s", got)
		}
		if metadata, clientData := sentFields(t, request); metadata != omniwear || clientData != body {
			t.Errorf("the service got %q and %q", metadata, clientData)
		}
	}
	for _, path := range []string{"/api/v2/any_channel/proxy.json/", "/api/v2/any_channel", "/API/v2/any_channel/proxy.json", "/api/v2/any_channel/proxy%2Ejson"} {
		if got := s.do("POST", path+"?ticket_id=62&post_to_path=/like", body, asJSON); got.StatusCode != 418 {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
}
