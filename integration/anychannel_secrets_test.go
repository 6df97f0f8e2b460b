package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is planted. JSON and Caddyfiles quote nothing in these texts.
const (
	metadataSecret = "s3cr3t:of/metadata+1"
	helpdeskSecret = "s3cr3t:of/helpdesk+2" // in its header
	queryKeySecret = "s3cr3t:of.querykey.3" // in its URL
	sessionSecret  = "s3cr3t:of/session+4"  // the agent's own
)

// telling answers with what was sent, encoded and as it is, in the place of each
// %s. After "..." it says no more.
func telling(format string) func(*http.Request, net.Conn) {
	return func(_ *http.Request, conn net.Conn) {
		told := strings.Join([]string{url.QueryEscape(metadataSecret), metadataSecret, helpdeskSecret, queryKeySecret}, " ")
		_, _ = io.WriteString(conn, strings.ReplaceAll(format, "%s", told))
		if strings.HasSuffix(format, "...") {
			_, _ = io.Copy(io.Discard, conn) // until the edge gives up
		}
	}
}

// Z14, S24: metadata, the helpdesk's credentials and the agent's appear in no log
// of any level, in no document of the admin API, and in no answer, except where
// a service's JSON says them on purpose.
func TestAnyChannelSecretsNeverLeak(t *testing.T) {
	t.Setenv("LEAK_METADATA", `{"token":"`+metadataSecret+`","name":"ü \"x\""}`)
	t.Setenv("LEAK_HELPDESK", helpdeskSecret)
	t.Setenv("LEAK_KEY", queryKeySecret)

	// how services and helpdesks fail, by path
	const ok = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
	kinds := map[string]string{
		"/good":      ok + "X-Echo: %s\r\n\r\n{}",
		"/limited":   "HTTP/1.1 429 %s\r\nRetry-After: %s\r\nConnection: close\r\n\r\n{}",
		"/text":      ok + "\r\n%s",
		"/unclosed":  ok + "\r\n{\"instance\":\"%s",
		"/html":      "HTTP/1.1 500 %s\r\nX-Echo: %s\r\nConnection: close\r\n\r\n<h1>%s</h1>",
		"/header":    ok + "%s\r\n\r\n{}",
		"/name":      ok + "%s: x\r\n\r\n{}",
		"/status":    "HTTP/1.1 %s\r\n\r\n{}",
		"/protocol":  "%s\r\n\r\n{}",
		"/length":    ok + "Content-Length: %s\r\n\r\n{}",
		"/transfer":  ok + "Transfer-Encoding: %s\r\n\r\n{}",
		"/chunk":     ok + "Transfer-Encoding: chunked\r\n\r\n%s\r\n{}",
		"/trailer":   ok + "Transfer-Encoding: chunked\r\nTrailer: %s\r\n\r\n2\r\n{}\r\n0\r\n%s\r\n\r\n",
		"/encoding":  ok + "Content-Encoding: %s\r\n\r\n%s",
		"/cut":       ok + "Content-Length: 10000\r\n\r\n\"%s",
		"/large":     ok + "\r\n\"%s" + strings.Repeat("x", 70<<10) + "\"",
		"/moved":     "HTTP/1.1 302 %s\r\nLocation: https://evil.example/%s\r\nConnection: close\r\n\r\n%s",
		"/nowhere":   "HTTP/1.1 301 Moved\r\nLocation: ://%s\r\nConnection: close\r\n\r\n",
		"/upgrade":   "HTTP/1.1 101 %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n%s",
		"/hints":     "HTTP/1.1 103 %s\r\nLink: <%s>\r\n\r\n",
		"/closed":    "",
		"/late":      ok + "X-Echo: %s\r\n...",
		"/late-body": ok + "\r\n\"%s...",
	}
	echo := func(r *http.Request, conn net.Conn) {
		kind, ok := kinds[strings.TrimSuffix(r.URL.Path, "/62")]
		if !ok {
			kind = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + `{"instance":"%s"}`
		}
		telling(kind)(r, conn)
	}
	ca := newAuthority(t)
	service, stranger := newService(t, ca, echo), newService(t, newAuthority(t), echo)
	// a ticket's number says which instance it is of
	helpdesk := newUpstream(t, func(r *http.Request, conn net.Conn) { names("i"+r.URL.Path[1:])(r, conn) })
	broken := newUpstream(t, echo)

	integrations := ""
	for i, manifest := range []string{
		service.url, service.url + "/m\nencoding json", stranger.url, "https://" + freeAddr(t), "https://10.255.255.1", "https://no-such-host.invalid",
	} {
		integrations += fmt.Sprintf("integration s%[1]d {\nmanifest %[2]s\npoll off\n}\ninstance i%[1]d {\nintegration s%[1]d\nmetadata {env.LEAK_METADATA}\n}\n", i+1, manifest)
	}
	handlers := ""
	handle := func(path, helpdesk string) {
		handlers += fmt.Sprintf("any_channel {\npath %s\n%stimeout 700ms\nmax_body 64KiB\ntickets http %s/{ticket_id}?key={env.LEAK_KEY} {\n"+
			"header Authorization \"Bearer {env.LEAK_HELPDESK}\"\nagent_header X-Agent\ntimeout 700ms\n}\n}\n", path, integrations, helpdesk)
	}
	handle(proxyPath, helpdesk.url)
	for path := range kinds {
		handle("/broken"+path, broken.url+path)
	}
	handle("/broken/refused", "http://"+freeAddr(t))
	handle("/broken/stranger", stranger.url)
	handle("/broken/instance", broken.url)
	sites := "EDGE {\nlog\n" + accounts + "\nroute {\n" + handlers + "}\n}\n"
	s := start(t, ca.openEgress(), sites)

	var answers, onPurpose strings.Builder
	post := func(to io.Writer, target string) {
		got := s.do("POST", target, `{"liked": true}`, asJSON, "Authorization: "+aliceCredentials, "Cookie: session="+sessionSecret)
		fmt.Fprintln(to, target, got.Status, got.Header, got.body)
	}
	for path := range kinds {
		post(&answers, proxyTo("1", path))
		post(&answers, proxyTo("2", path))
		post(&answers, "/broken"+path+"?ticket_id=62&post_to_path=/good")
	}
	for _, ticket := range []string{"3", "4", "5", "6", "7"} { // 7 is of no instance in the config
		post(&answers, proxyTo(ticket, "/good"))
	}
	for _, path := range []string{"refused", "stranger", "instance"} {
		post(&answers, "/broken/"+path+"?ticket_id=62&post_to_path=/good")
	}
	post(&onPurpose, proxyTo("1", "/json"))
	for _, path := range []string{"/config/", "/metrics", "/reverse_proxy/upstreams", "/debug/vars", "/debug/pprof/goroutine?debug=2"} {
		fmt.Fprintln(&answers, path, s.fromAdmin(path))
	}
	adapted, err := adapt(strings.ReplaceAll(sites, "EDGE", ":1"))
	if err != nil {
		t.Fatal(err)
	}

	logs := s.logs()
	for _, secret := range []string{
		metadataSecret, os.Getenv("LEAK_METADATA"), helpdeskSecret, "Bearer " + helpdeskSecret, queryKeySecret, sessionSecret,
		strings.TrimPrefix(aliceCredentials, "Basic "),
	} {
		wantNoSecret(t, "a log", logs, secret)
		wantNoSecret(t, "an answer", answers.String(), secret)
		wantNoSecret(t, "the adapted config", string(adapted), secret)
	}
	for _, want := range []string{
		`"reason":"service_answer_invalid"`, `"reason":"service_answer_too_large"`, `"reason":"service_redirected"`, `"reason":"service_failed"`,
		`"reason":"service_timeout"`, `"reason":"service_unreachable"`, `"reason":"ticket_source_failed"`, `"reason":"ticket_source_timeout"`,
		"looking up a ticket failed", "integration service failed", "a ticket belongs to an instance that is not in the config", "handled request",
		"malformed answer", "the helpdesk's answer is malformed", "the helpdesk's answer is too large", `"instance":"i1"`, `"user_id":"alice"`,
	} {
		if !strings.Contains(logs, want) {
			t.Errorf("the log lacks %q, so nothing was tested", want)
		}
	}
	for _, want := range []string{
		"200 OK", "404 Not Found", "429 Too Many Requests", "502 Bad Gateway", "504 Gateway Timeout", `"metadata":"{env.LEAK_METADATA}"`,
		"caddy_any_channel_requests_total", "goroutine ",
	} {
		if !strings.Contains(answers.String(), want) {
			t.Errorf("%q is in no answer, so nothing was tested", want)
		}
	}
	if !strings.Contains(onPurpose.String(), metadataSecret) {
		t.Errorf("the service's own answer: %s", onPurpose.String())
	}
	asked := strings.Join(append(service.seen(), append(helpdesk.seen(), broken.seen()...)...), "")
	for _, want := range []string{url.QueryEscape(metadataSecret), `\"token\":\"` + metadataSecret, "Bearer " + helpdeskSecret, "?key=" + queryKeySecret} {
		if !strings.Contains(asked, want) {
			t.Errorf("%s was not in use", want)
		}
	}
}

// Z9: metadata is at most 5000 characters of UTF-8, and opaque. Where it cannot be
// used, the config does not load, and what it says is of which instance, not what.
func TestAnyChannelMetadata(t *testing.T) {
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "metadata")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "{file." + path + "}"
	}
	env := func(text string) string {
		name := fmt.Sprintf("METADATA_%d", len(os.Environ()))
		t.Setenv(name, text)
		return "{env." + name + "}"
	}
	ca := newAuthority(t)
	service := newService(t, ca, jsonAnswer("{}"))
	site := strings.Replace(channelWith(t, service, ""), "{env.OMNIWEAR_METADATA}", "PLANTED", 1)
	with := func(configured string) string { return strings.Replace(site, "PLANTED", configured, 1) }
	s := start(t, "", "EDGE {\n}")
	for _, configured := range []string{
		env(""), "{env.NO_SUCH_METADATA}", "s3cr3t{env.NO_SUCH_METADATA}", "{no.such.placeholder}", "{file./no/such/file}", file(""),
		file("s3cr3t\xff"), file("s3cr3t\xed\xa0\x80"), file("s3cr3t\xc0\xaf"), env("s3cr3t" + strings.Repeat("x", 4995)),
		file("s3cr3t" + strings.Repeat("ü", 4995)), env("s3cr3t" + strings.Repeat("👍", 4995)), strings.Repeat("s3cr3t", 834),
	} {
		err := s.tryLoad(ca.openEgress(), with(configured))
		if err == nil || !strings.Contains(err.Error(), `instance "omniwear": metadata: `) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%.60s: %v", configured, err)
		}
	}
	for _, metadata := range []string{
		strings.Repeat("x", 5000), strings.Repeat("ü", 5000), strings.Repeat("👍", 5000), "<a b=\"c\">&amp;</a>", "c3VyZS4=", " \t", "null",
		"line\r\nline\n\nü\u2028\ufeff", "{env.OMNIWEAR_METADATA}", `{"a":{"b":"{file./etc/hostname}"}}`, "+&%=;%2B",
	} {
		for _, configured := range []string{env(metadata), file(metadata + "\n")} {
			s.reload(ca.openEgress(), with(configured))
			s.do("POST", like, "{}", asJSON)
			if got, _ := sentFields(t, service.one(t)); got != metadata {
				t.Errorf("%s: %.60q arrived as %.60q", configured, metadata, got)
			}
		}
	}
	t.Setenv("TOKEN", "s3cr3t")
	s.reload(ca.openEgress(), with("`{\"token\":\"{env.TOKEN}\"}`"))
	s.do("POST", like, "{}", asJSON)
	if got, _ := sentFields(t, service.one(t)); got != `{"token":"s3cr3t"}` {
		t.Errorf("with a placeholder in it: %q", got)
	}
	const warning = "the metadata can be read in the config"
	before := s.logs()
	wantNoSecret(t, "the log", before, "s3cr3t")
	if strings.Contains(before, warning) {
		t.Error("warned of metadata that nobody can read")
	}
	s.reload(ca.openEgress(), with("`{\"token\":\""+metadataSecret+"\"}`"))
	s.do("POST", like, "{}", asJSON)
	if got, _ := sentFields(t, service.one(t)); got != `{"token":"`+metadataSecret+`"}` {
		t.Errorf("a literal: %q", got)
	}
	logs := strings.TrimPrefix(s.logs(), before)
	if strings.Count(logs, warning) != 1 || !strings.Contains(logs, `","instance":"omniwear"}`) {
		t.Error("a literal without its warning")
	}
	wantNoSecret(t, "the log", logs, metadataSecret)
}

// The helpdesk's credentials likewise.
func TestHTTPTicketsCredentials(t *testing.T) {
	t.Setenv("EMPTY_TOKEN", "")
	t.Setenv("BAD_TOKEN", "s3cr3t\r\nX-Injected: yes")
	ca := newAuthority(t)
	service, helpdesk := newService(t, ca, jsonAnswer("{}")), newUpstream(t, names("omniwear"))
	site := helpdeskSite(t, service, "tickets http "+helpdesk.url+"/{ticket_id} {\nheader Authorization TOKEN\n}")
	s := start(t, "", "EDGE {\n}")
	for _, configured := range []string{
		`"Bearer {env.EMPTY_TOKEN}"`, `"Bearer {env.NO_SUCH_TOKEN}"`, "{env.EMPTY_TOKEN}", "{env.BAD_TOKEN}", `"s3cr3t {env.BAD_TOKEN}"`, "{file./no/such/file}",
	} {
		err := s.tryLoad(ca.openEgress(), strings.Replace(site, "TOKEN", configured, 1))
		if err == nil || !strings.Contains(err.Error(), "header Authorization: ") || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v", configured, err)
		}
	}
	s.reload(ca.openEgress(), strings.Replace(site, "TOKEN", `"Bearer `+helpdeskSecret+`"`, 1))
	s.do("POST", like, "")
	if got := headerValues(helpdesk.one(t), "Authorization"); len(got) != 1 || got[0] != "Bearer "+helpdeskSecret {
		t.Errorf("Authorization %q", got)
	}
	logs := s.logs()
	if !strings.Contains(logs, "the header's secret can be read in the config") {
		t.Error("a literal without its warning")
	}
	wantNoSecret(t, "the log", logs, helpdeskSecret)
}
