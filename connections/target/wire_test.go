package target

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/internal/rawpath"
)

// What reaches an API through the standard library's proxy, of requests that are
// written by hand.
func TestOnTheWire(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		fmt.Fprintf(w, "%s %s %s\n%q %q\n", r.Method, r.RequestURI, r.Host, r.Header, body)
	}))
	defer upstream.Close()
	a := newAPI(t, upstream.URL+"/base")
	edge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, rest, _ := rawpath.Cut(rawpath.Of(r.URL), "/proxy")
		c, err := ReadControls(r.Header)
		if err != nil {
			t.Error(err)
			return
		}
		u, err := a.Locate(nil, c, r.URL, rest)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		proxy := httputil.ReverseProxy{
			Rewrite:        func(pr *httputil.ProxyRequest) { pr.Out.URL, pr.Out.Host = u, ""; c.StripRequest(pr.Out.Header) },
			ModifyResponse: func(res *http.Response) error { StripResponse(res.Header); return nil },
		}
		proxy.ServeHTTP(w, r)
	}))
	defer edge.Close()

	host := strings.TrimPrefix(upstream.URL, "http://")
	for _, tc := range []struct{ target, fields, want string }{
		{"/proxy/c1", "", "GET /base " + host},
		{"/proxy/c1/a%2Fb//c;d/|é/%7e?x=1&x=%zz&&y=a+b;c&z", "", "GET /base/a%2Fb//c;d/|é/%7e?x=1&x=%zz&&y=a+b;c&z " + host},
		{"/proxy/c1/x?", "", "GET /base/x? " + host},
		{"/proxy/c1/x?{{a}}", "", "GET /base/x?{{a}} " + host},
		{
			"/proxy/c1/x", "Authorization: Bearer s\r\nCookie: s\r\nConnection: X-Hop, authorization\r\nX-Hop: s\r\nX-Kept: k\r\n" +
				"x-versori-ignore-headers: X-Ignored\r\nX-Ignored: s\r\nX-Versori-Other: s\r\nUpgrade: s\r\nHost: evil.com\r\n",
			"GET /base/x " + host + "\nmap[\"Accept-Encoding\":[\"gzip\"] \"X-Kept\":[\"k\"]] \"\"",
		},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(edge.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fields := tc.fields
		if !strings.Contains(fields, "Host:") {
			fields += "Host: edge\r\n"
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\n%s\r\n", tc.target, fields)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(res.Body)
		conn.Close()
		if res.StatusCode != http.StatusOK || !strings.HasPrefix(string(answer), tc.want) {
			t.Errorf("%s: %d %s\nwant %s", tc.target, res.StatusCode, answer, tc.want)
		}
		if res.Header["Set-Cookie"] != nil || res.Header["Access-Control-Allow-Origin"] != nil {
			t.Errorf("%v", res.Header)
		}
	}
}
