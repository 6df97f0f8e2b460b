package connections

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/internal/leaktest"
)

func toJSON(value any) string {
	encoded, _ := json.Marshal(value) // texts
	return string(encoded)
}

// echo answers with what it is asked: in a good header, in a malformed one, or in
// a malformed trailer.
func echo(conn net.Conn, request *http.Request) {
	said := request.RequestURI + " " + strings.Join(request.Header.Values("Authorization"), " ") + request.Header.Get("Cookie") + request.Header.Get("X-Sig")
	query := request.URL.RawQuery
	switch {
	case strings.Contains(request.URL.Path, "good"):
		fmt.Fprintf(conn, "HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/?%s\r\nLink: <%s>; rel=self\r\nContent-Location: %s\r\nX-State: %s\r\n"+
			"Refresh: 0;url=%s\r\nX-Said: %s\r\nContent-Length: 0\r\n\r\n", query, request.RequestURI, url.QueryEscape(query), base64.StdEncoding.EncodeToString([]byte("?"+query)), request.RequestURI, said)
	case strings.Contains(request.URL.Path, "status"):
		fmt.Fprintf(conn, "HTTP/1.1 %s\r\n\r\n", said)
	case strings.Contains(request.URL.Path, "field"):
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%s\r\n\r\n", strings.ReplaceAll(said, ":", ""))
	case strings.Contains(request.URL.Path, "trailer"):
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n%s\r\n\r\n", strings.ReplaceAll(said, ":", ""))
	default:
		fmt.Fprintf(conn, "HTTP/1.1 500 Failed\r\nContent-Length: 0\r\n\r\n")
	}
}

// S24, S40: secrets that stand in config, database and requests are in no log of
// any level, no document of the admin API and no answer of the edge.
func TestSecretsOfConnections(t *testing.T) {
	const (
		apiKey   = "own3r/key+0123456789=="
		query    = "qu3ry:k/e+y=&% 1"
		cookie   = "c00kie-k/e+y=1"
		token    = "t0ken/b3arer+1=="
		password = "p4ss:w/o+rd=&%1"
		hmacKey  = "hm4c k/e+y=&%1"
		sent     = "s3nt.by/caller+1==" // what the caller is known by elsewhere
	)
	var kept, brought leaktest.Scanner
	for name, secret := range map[string]string{"API key": apiKey, "query": query, "cookie": cookie, "token": token, "password": password, "hmac": hmacKey} {
		kept.Add(name, secret)
	}
	brought.Add("the caller's", sent)
	t.Setenv("CONNECTIONS_KEY", apiKey)
	pem := newIssuer(t)
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, []byte(pem.public), 0o600); err != nil {
		t.Fatal(err)
	}
	sites := "api_key carol {env.CONNECTIONS_KEY}\ntoken_key https://i.example {file." + file + "}\n"
	auth := "auth api_key query key\nauth api_key cookie c\nauth %s\nauth hmac header X-Sig {\ninputs url body\n}"
	echoing, away := rawAPI(t, echo), "http://"+freeAddr(t)
	for api, scheme := range map[string]string{"bearer": "bearer", "basic": "basic"} {
		sites += at(api, echoing, fmt.Sprintf(auth, scheme)) + at(api+"-away", away, fmt.Sprintf(auth, scheme))
	}
	e := start(t, sites)
	credentials := func(third map[string]string) string {
		return `,"credentials":` + toJSON([]map[string]string{
			{"type": "api_key", "value": query}, {"type": "api_key", "value": cookie}, third, {"type": "hmac", "key": hmacKey},
		})
	}
	var answers strings.Builder
	for api, third := range map[string]map[string]string{
		"bearer": {"type": "bearer", "token": token}, "basic": {"type": "basic", "username": "u", "password": password},
	} {
		for _, name := range []string{api, api + "-away"} {
			id := e.connected("carol", name, named("a", credentials(third)))
			for _, rest := range []string{"/good", "/status", "/field", "/trailer", "/other", "/..", "/good?key=" + url.QueryEscape(sent)} {
				for _, method := range []string{"GET", "POST"} {
					if method == "GET" && name != api {
						continue // nobody is there, and it takes its time
					}
					answers.WriteString(e.say("carol", method, proxied(id, rest), "Authorization: Bearer "+apiKey))
					answers.WriteString(e.say("carol", method, proxied(id, rest), "Authorization: Bearer "+sent, "Cookie: "+sent, "Proxy-Authorization: "+sent))
				}
			}
			answers.WriteString(e.say("carol", "GET", connect+name+"/connections/"+id))
			answers.WriteString(e.say("carol", "POST", connect+name+"/connections/"+id+"/test"))
			answers.WriteString(e.say("carol", "GET", proxied(id, "/x"), "Authorization: JWT "+sent))
		}
	}
	for _, path := range []string{"/config/", "/metrics", "/reverse_proxy/upstreams", "/debug/vars"} {
		res, err := client.Get("http://" + e.admin + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		answers.Write(text)
	}
	adapted, err := adapt(":80 {\nroute {\nconnections {\n" + sites + "}\n}\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	logs := e.logs()
	for where, text := range map[string]string{"a log": logs, "an answer": answers.String(), "the adapted config": string(adapted)} {
		kept.Check(t, where, text)
		if where == "a log" {
			// the caller's own query is in the access log, as it is for all handlers
			text = withoutAccess(text)
		}
		brought.Check(t, where, text)
	}
	for _, want := range []string{"an API could not be called", "handled request", "read error during body copy"} {
		if !strings.Contains(logs, want) {
			t.Errorf("the log lacks %q, so nothing was tested", want)
		}
	}
	for _, want := range []string{`"secret":"{env.CONNECTIONS_KEY}"`, `"public_key":"{file.`, "caddy_connections_requests_total", "REDACTED"} {
		if !strings.Contains(answers.String(), want) {
			t.Errorf("%q is in no answer, so nothing was tested", want)
		}
	}
}

// say returns all that an answer says.
func (e *edge) say(user, method, path string, header ...string) string {
	e.t.Helper()
	request, err := http.NewRequest(method, "http://"+e.addr+path, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	request.Header.Set("X-User", user)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Add(name, value)
	}
	res, err := client.Do(request)
	if err != nil {
		return "" // of an answer that was cut short before there was any of it
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return fmt.Sprintln(res.Status, res.Header, string(text), res.Trailer)
}

func withoutAccess(logs string) string {
	var left strings.Builder
	for line := range strings.SplitAfterSeq(logs, "\n") {
		if !strings.Contains(line, `"logger":"http.log.access`) {
			left.WriteString(line)
		}
	}
	return left.String()
}
