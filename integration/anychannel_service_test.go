package integration

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// serviceSites are an edge and, behind it, an integration service's own Caddy in
// front of an app.
func serviceSites(t *testing.T, app *upstream, receiver string) (options, sites string) {
	t.Helper()
	t.Setenv("OMNIWEAR_METADATA", omniwear)
	t.Setenv("OMNIWEAR_TOKEN", "s3cr3t+of/omniwear=&% ü")
	service := portOf(freeAddr(t))
	options = `skip_install_trust
	connector {
		egress {
			allow 127.0.0.1
			trust_pool pki_root local
		}
	}`
	sites = fmt.Sprintf(`EDGE {
	log
	%s
	any_channel {
		integration instagram {
			manifest https://localhost:%s/manifest.json
			poll off
		}
		instance omniwear {
			integration instagram
			metadata {env.OMNIWEAR_METADATA}
		}
		tickets static {
			62 omniwear
		}
	}
}
https://localhost:%s {
	log
	tls internal
	any_channel_service %s
	reverse_proxy %s {
		header_up X-Account {http.any_channel_service.instance_metadata.account}
		header_up X-Id {http.any_channel_service.client_data.id}
		header_up X-Deep {http.any_channel_service.client_data.a.1.b}
		header_up X-None "[{http.any_channel_service.client_data.none}]"
	}
}
`, accounts, service, service, receiver, app.url)
	return options, sites
}

// Z12: the service's end gets what the app sent, byte for byte, and has it as
// placeholders; the app behind it gets the edge's request as it was.
func TestAnyChannelService(t *testing.T) {
	app := newUpstream(t, jsonAnswer(`{"ok":true}`))
	options, sites := serviceSites(t, app, "{\n\t\tsecret token {env.OMNIWEAR_TOKEN}\n\t}")
	s := start(t, options, sites)
	eventually(t, "the service's certificate", func() bool {
		return s.do("POST", proxyTo("62", "/"), "", asJSON).StatusCode == 200
	})
	app.seen()
	const body = " {\t\"id\":9007199254740993, \"a\":[0,{\"b\":\"+&%=;{env.OMNIWEAR_TOKEN}\"}],\"e\":\"🎉\\r\\n\"}\n"
	if got := s.do("POST", proxyTo("62", "/like?x={env.HOME}"), body, asJSON); got.StatusCode != 200 || got.body != `{"ok":true}` {
		t.Fatalf("answer %d %s", got.StatusCode, got.body)
	}
	request := app.one(t)
	if requestLine(request) != "POST /like?x=%7Benv.HOME%7D" {
		t.Errorf("request %q", requestLine(request))
	}
	if metadata, clientData := sentFields(t, request); metadata != omniwear || clientData != body {
		t.Errorf("the app got %q and %q", metadata, clientData)
	}
	for name, want := range map[string]string{
		"X-Account": "omniwear", "X-Id": "9007199254740993", "X-Deep": "+&%=;{env.OMNIWEAR_TOKEN}", "X-None": "[]",
	} {
		if got := headerValues(request, name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	// a line break cannot become a header: the app gets no request at all
	if got := s.do("POST", proxyTo("62", "/like"), `{"id":"1\r\nX-Account: other"}`, asJSON); got.StatusCode != 502 {
		t.Errorf("a line break for a header: %d %s", got.StatusCode, got.body)
	}
	if requests := app.seen(); len(requests) != 0 {
		t.Errorf("the app got %q", requests)
	}
	logs := s.logs()
	wantNoSecret(t, "the log", logs, "s3cr3t+of/omniwear=&% ü")
	wantNoSecret(t, "the log", logs, omniwear)
}

// Who reaches the service without the edge has no secret, and is told nothing.
func TestAnyChannelServiceAsksForItsSecret(t *testing.T) {
	app := newUpstream(t, nil)
	_, sites := serviceSites(t, app, "{\n\t\tsecret token {env.OTHER_TOKEN} {env.OLD_TOKEN}\n\t}")
	sites = strings.Replace(sites, "\ttls internal\n", "", 1)
	sites = strings.Replace(sites, "https://localhost:", "http://localhost:", 2)
	sites = strings.Replace(sites, "manifest http:", "manifest https:", 1)
	t.Setenv("OTHER_TOKEN", "other")
	t.Setenv("OLD_TOKEN", "old")
	s := start(t, "", sites)
	_, after, _ := strings.Cut(sites, "http://localhost:")
	direct := &server{t: t, addr: "localhost:" + after[:strings.Index(after, " ")]}
	const counter = `caddy_any_channel_service_requests_total{result="secret_invalid"} `
	before := metric(t, s, counter)
	for metadata, status := range map[string]int{
		`{"token":"other"}`: 200, `{"token":"old"}`: 200,
		`{"token":"guess"}`: 401, `{"token":""}`: 401, `{"token":["other"]}`: 401, `{}`: 401, ``: 401, `other`: 401,
	} {
		form := "client_data=&instance_metadata=" + url.QueryEscape(metadata)
		got := direct.do("POST", "/like", form, "Content-Type: application/x-www-form-urlencoded")
		if got.StatusCode != status || len(app.seen()) != map[int]int{200: 1, 401: 0}[status] {
			t.Errorf("%s: %d %s", metadata, got.StatusCode, got.body)
		}
	}
	if after := metric(t, s, counter); after != before+6 {
		t.Errorf("the metric went from %v to %v", before, after)
	}
}

// metric returns the value of a series, or 0.
func metric(t *testing.T, s *server, series string) (value float64) {
	t.Helper()
	_, rest, found := strings.Cut(s.fromAdmin("/metrics"), "\n"+series)
	if !found {
		return 0
	}
	if _, err := fmt.Sscan(rest, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// S35: no bytes of a request come back in an answer of the edge.
func TestAnyChannelReflectsNothing(t *testing.T) {
	ca := newAuthority(t)
	s := start(t, ca.openEgress(), channelWith(t, newService(t, ca, nil), ""))
	const evil = `<script>alert(1)</script>`
	for _, got := range []answer{
		s.do("POST", proxyTo(evil, "/like"), "", asJSON),
		s.do("POST", proxyTo("62", "https://evil.example/"+evil), "", asJSON),
		s.do("POST", proxyTo("62", "/like"), evil, asJSON),
		s.do("POST", proxyTo("62", "/like"), evil, "Content-Type: text/html"),
		s.do("PUT", proxyTo("62", "/like")+"&"+url.QueryEscape(evil), "", asJSON),
	} {
		if strings.Contains(got.body, "alert") || got.Header.Get("Content-Type") != "application/json; charset=utf-8" ||
			got.Header.Get("X-Content-Type-Options") != "nosniff" || got.StatusCode < 400 {
			t.Errorf("answer %d %v %q", got.StatusCode, got.Header, got.body)
		}
	}
}
