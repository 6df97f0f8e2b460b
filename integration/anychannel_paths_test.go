package integration

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// countingListener counts the connections that it accepts.
type countingListener struct {
	net.Listener
	accepted atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return conn, err
}

func (l *countingListener) want(t *testing.T, connections int64) {
	t.Helper()
	if n := l.accepted.Load(); n != connections {
		t.Errorf("%s saw %d connections, want %d", l.Addr(), n, connections)
	}
}

// countedService is newService, with its connections counted.
func countedService(t *testing.T, a *authority, answer func(*http.Request, net.Conn)) (*upstream, *countingListener) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counting := &countingListener{Listener: listener}
	u := serveUpstream(t, tls.NewListener(counting, a.serverConfig(t, "127.0.0.1", "localhost")), answer)
	u.url = "https://" + listener.Addr().String()
	return u, counting
}

// Z4: what post_to_path means is asked of the manifest's host and port, byte for
// byte; or it is refused, and nobody is dialled. In the paths, SERVICE is the
// manifest's host and port, PORT that port, OTHER another host that listens, and
// PLAIN and NAMED are the service under its address and under its name.
func TestAnyChannelPaths(t *testing.T) {
	for host, paths := range map[string][]struct{ sent, arrives string }{
		"127.0.0.1": {
			{"/like", "/like"},
			{"like", "/int/ig/like"},
			{"./like:foo", "/int/ig/like:foo"},
			{"../like", "/int/like"},
			{"../../../like", "/like"},
			{"/a/./b/../like", "/a/like"},
			{"?x=1", "/int/ig/manifest.json?x=1"},
			{"?", "/int/ig/manifest.json?"},
			{"/", "/"},
			{"https://SERVICE/like", "/like"},
			{"HTTPS://SERVICE/Like?", "/Like?"},
			{"//SERVICE/like", "/like"},
			{"https://SERVICE", "/"},
			{"https://SERVICE?x=1", "/?x=1"},
			{"https://SERVICE?@OTHER/", "/?@OTHER/"},
			{"https://127.0.0.1.:PORT/like", "/like"},
			{"//SERVICE//OTHER/like", "//OTHER/like"},
			{"/a//b//", "/a//b//"},
			{"/a%2Fb%2f", "/a%2Fb%2f"},
			{"/a;b=c;d", "/a;b=c;d"},
			{"/%41%7e~", "/%41%7e~"},
			{"/a+b%20c%25%3F%23", "/a+b%20c%25%3F%23"},
			{"/!$&'()*,:=@[]", "/!$&'()*,:=@[]"},
			{"/lïke/👍?ü=ü", "/l%C3%AFke/%F0%9F%91%8D?%C3%BC=%C3%BC"},
			{"/a|b?\"<>`^", "/a%7Cb?%22%3C%3E%60%5E"},
			{"/{env.OMNIWEAR_METADATA}?{http.request.host}", "/%7Benv.OMNIWEAR_METADATA%7D?%7Bhttp.request.host%7D"},
			{"/x?a=b+c%20%2B&a=b&&=;&ticket_id=63&client_data=x", "/x?a=b+c%20%2B&a=b&&=;&ticket_id=63&client_data=x"},
			{"/x?a=/../%2e%2e/%0d%0a\u00e9", "/x?a=/../%2e%2e/%0d%0a%C3%A9"},
			{"/.well-known/...", "/.well-known/..."},
			{"unix//run/x.sock", "/int/ig/unix//run/x.sock"},
			{"/" + strings.Repeat("x", 510), "/" + strings.Repeat("x", 510)},

			{"//OTHER/like", ""},
			{"https://OTHER/like", ""},
			{"https://NAMED/like", ""},
			{"http://SERVICE/like", ""},
			{"https://SERVICE@OTHER/like", ""},
			{"https://OTHER@SERVICE/like", ""},
			{"https://user:password@SERVICE/like", ""},
			{`https://OTHER\@SERVICE/like`, ""},
			{"https://SERVICE:443@OTHER/", ""},
			{`\\OTHER\like`, ""},
			{`/\OTHER/like`, ""},
			{"///OTHER/like", ""},
			{"https:///OTHER/like", ""},
			{"https:OTHER/like", ""},
			{"https:/like", ""},
			{"https:like", ""},
			{"https://127.0.0.1/like", ""},
			{"https://127.0.0.1:/like", ""},
			{"https://127.0.0.1:0PORT/like", ""},
			{"https://127.1:PORT/like", ""},
			{"https://2130706433:PORT/like", ""},
			{"https://0x7f000001:PORT/like", ""},
			{"https://0177.0.0.1:PORT/like", ""},
			{"https://[::ffff:127.0.0.1]:PORT/like", ""},
			{"https://[127.0.0.1]:PORT/like", ""},
			{"https://127.0.0.1.evil.example:PORT/like", ""},
			{"https://%31%32%37.0.0.1:PORT/like", ""},
			{"http://169.254.169.254/latest/meta-data/", ""},
			{"/%2e%2e/like", ""},
			{"/..%2flike", ""},
			{"/%252e%252e/like", ""},
			{"/..;/like", ""},
			{`/a\b`, ""},
			{"/a%5cb", ""},
			{"/%00", ""},
			{"/%0d%0aX-Injected:%20yes", ""},
			{"/like HTTP/1.1\r\nX-Injected: yes\r\n\r\n", ""},
			{"/li ke", ""},
			{"/like\t", ""},
			{"/like\u00a0", ""},
			{"/like\u2028", ""},
			{"/like\x7f", ""},
			{"/like\xff", ""},
			{"/like#top", ""},
			{"/%", ""},
			{"/like?%zz", ""},
			{"like:foo", ""},
			{"javascript:alert(1)", ""},
			{"data:,x", ""},
			{"file:///etc/passwd", ""},
			{"unix:///run/x.sock", ""},
			{"gopher://OTHER/_x", ""},
		},
		"localhost": {
			{"/like", "/like"},
			{"https://SERVICE/like", "/like"},
			{"https://LOCALHOST:PORT/like", "/like"},
			{"https://localhost.:PORT/like", "/like"},
			{"https://ｌocalhost:PORT/like", "/like"},

			{"https://PLAIN/like", ""},
			{"https://localhost/like", ""},
			{"https://localhost..:PORT/like", ""},
			{"https://a.localhost:PORT/like", ""},
			{"https://localhost.evil.example:PORT/like", ""},
			{"https://localhost%2eevil.example:PORT/like", ""},
			{"https://localhost%00.evil.example:PORT/like", ""},
			{"https://lоcalhost:PORT/like", ""}, // a Cyrillic o
			{"https://localhost。evil.example:PORT/like", ""},
			{"https://[::1]:PORT/like", ""},
		},
	} {
		t.Run(host, func(t *testing.T) {
			ca := newAuthority(t)
			service, connections := countedService(t, ca, jsonAnswer("{}"))
			elsewhere, others := countedService(t, ca, nil)
			plain, other := strings.TrimPrefix(service.url, "https://"), strings.TrimPrefix(elsewhere.url, "https://")
			port := portOf(plain)
			service.url = "https://" + host + ":" + port
			replace := strings.NewReplacer("SERVICE", host+":"+port, "PORT", port, "OTHER", other, "PLAIN", plain, "NAMED", "localhost:"+port).Replace

			s := start(t, ca.openEgress(), channelWith(t, service, ""))
			arrived := int64(0)
			for _, path := range paths {
				sent, arrives := replace(path.sent), replace(path.arrives)
				got := s.do("POST", proxyTo("62", sent), "{}", asJSON)
				if arrives == "" {
					got.isRefusal(t, 422, "RecordInvalid", faulty, "post_to_path InvalidValue")
					if requests := service.seen(); len(requests) != 0 {
						t.Errorf("%q: the service saw %q", sent, requests)
					}
					continue
				}
				if got.StatusCode != 200 {
					t.Errorf("%q: %d %s", sent, got.StatusCode, got.body)
					continue
				}
				arrived++
				request := service.one(t)
				if line := requestLine(request); line != "POST "+arrives {
					t.Errorf("%q arrived as %q, want %q", sent, line, arrives)
				}
				if hosts := headerValues(request, "Host"); !slices.Equal(hosts, []string{host + ":" + port}) {
					t.Errorf("%q: Host %q", sent, hosts)
				}
			}
			connections.want(t, arrived)
			// they are accepted in the order in which they were made, so that this
			// one is the first if its number is one
			conn, err := tls.Dial("tcp", other, &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			others.want(t, 1)
		})
	}
}

// Z5, Z6: JSON and blank bodies arrive byte for byte, in both encodings.
func TestAnyChannelBodies(t *testing.T) {
	ca := newAuthority(t)
	service := newService(t, ca, jsonAnswer("{}"))
	site := channelWith(t, service, "max_body 1000B")
	s := start(t, "", "")
	for _, encoding := range []string{"form", "json"} {
		s.reload(ca.openEgress(), strings.Replace(site, "poll off", "poll off\n\t\t\t\tencoding "+encoding, 1))
		for _, body := range []string{
			"", " ", "\r\n \t\n", "null", "1", `"x"`, "true", "[]", "-0.0", "1e400", " {\"a\" :\t1 }\r\n", `{"id":18446744073709551615}`,
			`{"a":1,"a":2}`, `"\u0000\ud800"`, "\"\u2028 👍 <script>&amp;\"", `"+&%=;%2B"`, `{"client_data":"x","instance_metadata":"y"}`,
			`"{env.OMNIWEAR_METADATA}"`, `"` + strings.Repeat("x", 998) + `"`,
		} {
			for _, header := range []string{
				asJSON, asJSON + "; charset=UTF-8", asJSON + ` ;charset="utf-8"`, asJSON + "; v=1", "Content-Type: Application/JSON",
				asJSON + "\r\nContent-Encoding: identity",
			} {
				if got := s.raw(posted(like, header, body)); got.StatusCode != 200 {
					t.Errorf("%.100q %s: %d %s", body, header, got.StatusCode, got.body)
				}
				if metadata, clientData := sentFields(t, service.one(t)); metadata != omniwear || clientData != body {
					t.Errorf("%.100q arrived as %.100q with %q", body, clientData, metadata)
				}
			}
			if got := s.do("POST", like, body, asJSON); got.StatusCode != 200 {
				t.Errorf("%.100q: %d %s", body, got.StatusCode, got.body)
			}
			request := service.one(t)
			if _, clientData := sentFields(t, request); clientData != body || len(headerValues(request, "Content-Length")) != 1 {
				t.Errorf("%.100q arrived as %q", body, request)
			}
		}
		// no body is of no type
		for _, header := range []string{"", "Content-Type: text/plain"} {
			if got := s.do("POST", like, "", headerOf(header)...); got.StatusCode != 200 || len(service.seen()) != 1 {
				t.Errorf("no body, %q: %d %s", header, got.StatusCode, got.body)
			}
		}
	}
}

// A body that breaks off, or is too slow, is no blank body.
func TestAnyChannelBodyIncomplete(t *testing.T) {
	ca := newAuthority(t)
	service, connections := countedService(t, ca, jsonAnswer("{}"))
	site := channelWith(t, service, "")
	s := start(t, ca.openEgress(), site)
	head := "POST " + like + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " + aliceCredentials + "\r\n" + asJSON + "\r\n"
	parts := []string{
		"Content-Length: 100\r\n\r\n{}", "Content-Length: 2\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
		"Transfer-Encoding: chunked\r\n\r\n",
	}
	for _, part := range parts {
		conn := s.dial()
		fmt.Fprint(conn, head+part)
		if err := conn.CloseWrite(); err != nil { // it still listens
			t.Fatal(err)
		}
		readAnswer(t, conn).isRefusal(t, 400, "BadRequest", faulty, "")
	}
	s.raw(head+"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nnot a chunk\r\n").isRefusal(t, 400, "BadRequest", faulty, "")
	s.reload(ca.openEgress()+"\n\tservers {\n\t\ttimeouts {\n\t\t\tread_body 200ms\n\t\t}\n\t}", site)
	for _, part := range parts {
		s.raw(head+part).isRefusal(t, 408, "RequestTimeout", faulty, "")
	}
	wantOnlyControl(t, s, service, connections)
}

func readAnswer(t *testing.T, conn net.Conn) answer {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res, string(body)}
}
