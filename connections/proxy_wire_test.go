package connections

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
)

// V1
func TestMethods(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, a.block("zendesk", "auth none"))
	id := e.connected("alice", "zendesk", named("a", ""))
	for _, method := range strings.Split(allowedMethods, ", ") {
		e.call("alice", method, id, "/x", "{}").is(t, http.StatusOK, "")
		if got := a.one(t); got.Method != method || got.body != "{}" {
			t.Errorf("%s: %s %q", method, got.Method, got.body)
		}
	}
	for _, method := range []string{"HEAD", "OPTIONS", "TRACE", "PROPFIND", "get", "CONNECT"} {
		got := e.raw(method, proxied(id, "/x"), nil, "")
		if got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != allowedMethods {
			t.Errorf("%s: %d %v", method, got.StatusCode, got.Header)
		}
		if method != "HEAD" && got.body["code"] != "method_not_allowed" {
			t.Errorf("%s: %s", method, got.text)
		}
	}
	if n := len(a.seen()); n > 0 {
		t.Errorf("%d refused calls reached the API", n)
	}
}

// V1, V9, S13, S29: what is no id of the caller's is answered as one that does not
// exist.
func TestWhoseConnection(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, a.block("zendesk", "auth none"))
	id := e.connected("alice", "zendesk", named("a", ""))
	unknown := e.call("alice", "GET", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "/x", "")
	for _, other := range []string{
		"", "x", id[:25], id + "0", strings.ToLower(id), "%30" + id[1:], id[:25] + "%" + fmt.Sprintf("%x", id[25]), id + "%00", " " + id, "8" + id[1:],
		id[:25] + "U", id[:25] + "I", "01arz3ndektsv4rrffq69g5fav", "*", "..", ".", "{http.connections.id}", "%2e%2e",
	} {
		got := e.raw("GET", strings.ReplaceAll(proxied(other, "/x"), " ", "%20"), nil, "")
		if got.is(t, http.StatusNotFound, "connection_unknown"); got.text != unknown.text {
			t.Errorf("%q: %s", other, got.text)
		}
	}
	for _, user := range []string{"bob", "ALICE", "alice,bob"} {
		if got := e.call(user, "GET", id, "/x", ""); got.StatusCode != http.StatusNotFound || got.text != unknown.text {
			t.Errorf("%s: %d %s", user, got.StatusCode, got.text)
		}
	}
	e.call("al\u00efce", "GET", id, "/x", "").is(t, http.StatusForbidden, "user_invalid")
	for _, path := range []string{"/api/proxy/v1", "/api/proxy/v1x/" + id + "/x", "/API/proxy/v1/" + id, "/api/proxy/%761/" + id, "/api//proxy/v1/" + id, "/proxy/v1/" + id} {
		if got := e.raw("GET", path, nil, ""); got.StatusCode != 299 {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
	if n := len(a.seen()); n > 0 {
		t.Errorf("%d refused calls reached the API", n)
	}
}

// V2, S12, S14, S16
func TestTargetIsByteExact(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, a.block("zendesk", "auth none")+at("root", a.URL, "auth none"))
	id, root := e.connected("alice", "zendesk", named("a", "")), e.connected("alice", "root", named("a", ""))
	for _, rest := range []string{
		"", "/a", "/a/", "/a//b", "/a%2Fb", "/a%2fb", "/%7e~", "/a+b%20c", "/|", "/é", "/a;b=c", "/a,b", "/:@!$&'()*", "/%F0%9F%98%80", "/a%25b", "/{{a}}/${a}/{a}",
		"/a?", "?", "?a", "/a?b=c&b=d&b=", "/a?b=%2F&c=+&d=%20&e=|", "/a?%zz&&=&=a;b", "/a?x={{a}}&y=${a}", "/a?é=é", "/a?b?c?d", "/a?/../..", "/a?b=%00", "/...", "/.a/..b/c..",
		"/a'\"<>^`b", "/[a]", "/http://evil.example/", "/@evil.example", "/a?u=http://evil.example/",
	} {
		e.raw("GET", proxied(id, rest), nil, "").is(t, http.StatusOK, "")
		if got := a.one(t).RequestURI; got != "/v2"+rest {
			t.Errorf("%s came as %s", rest, got)
		}
	}
	for rest, want := range map[string]string{"": "/", "/": "/", "?a": "/?a", "/a%2F": "/a%2F"} {
		e.raw("GET", proxied(root, rest), nil, "").is(t, http.StatusOK, "")
		if got := a.one(t).RequestURI; got != want {
			t.Errorf("%s came as %s", rest, got)
		}
	}
}

// V2: with its length or without, and never with trailers.
func TestBodyIsByteExact(t *testing.T) {
	a := newAPI(t, nil)
	e := start(t, a.block("zendesk", "auth none"))
	id := e.connected("alice", "zendesk", named("a", ""))
	for _, size := range []int{1, 1000, maxReplayed, maxReplayed + 1, 1 << 20} {
		for _, method := range []string{"POST", "PUT"} {
			body := string(pattern(size))
			e.call("alice", method, id, "/x", body).is(t, http.StatusOK, "")
			if got := a.one(t); got.body != body || got.ContentLength != int64(size) || got.TransferEncoding != nil {
				t.Errorf("%s of %d: %d bytes came, %d announced", method, size, len(got.body), got.ContentLength)
			}
		}
	}
	e.call("alice", "POST", id, "/x", "").is(t, http.StatusOK, "")
	if got := a.one(t); got.ContentLength != 0 || got.Header["Transfer-Encoding"] != nil {
		t.Errorf("%d %v", got.ContentLength, got.Header)
	}
	trailing := []string{"Transfer-Encoding: chunked", "Trailer: X-Announced, Authorization"}
	e.raw("POST", proxied(id, "/x"), trailing, "5\r\nhello\r\n3;x=y\r\n\x00\r\n\r\n0\r\nX-Announced: 1\r\nAuthorization: 1\r\nX-Other: 1\r\n\r\n").is(t, http.StatusOK, "")
	if got := a.one(t); got.body != "hello\x00\r\n" || got.ContentLength != -1 || len(got.Trailer) > 0 || got.Header["Trailer"] != nil {
		t.Errorf("%q %d %v %v", got.body, got.ContentLength, got.Trailer, got.Header)
	}
	// a body that ends early is none
	if got := e.cutShort(id); got.body["code"] != "body_incomplete" {
		t.Errorf("%d %s", got.StatusCode, got.text)
	}
	for _, got := range a.seen() {
		if got.cut == nil {
			t.Error("a part of a body passed for the whole")
		}
	}
}

func (e *edge) cutShort(id string) reply {
	e.t.Helper()
	return e.raw("POST", proxied(id, "/x"), []string{"Transfer-Encoding: chunked"}, "5\r\nhello\r\nnonsense\r\n")
}

// V2, S43: both bodies pass as they come, and are held nowhere.
func TestStreams(t *testing.T) {
	const size = 10 << 20
	data := pattern(size)
	begun, sent := make(chan struct{}), make(chan [32]byte, 1)
	next := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hash := sha256.New()
		_, _ = io.CopyN(hash, r.Body, 1<<20)
		begun <- struct{}{}
		_, _ = io.Copy(hash, r.Body)
		sent <- [32]byte(hash.Sum(nil))
		_, _ = w.Write(data[:1<<20])
		_ = http.NewResponseController(w).Flush()
		<-next
		_, _ = w.Write(data[1<<20:])
	}))
	t.Cleanup(server.Close)
	e := start(t, at("zendesk", server.URL, "auth none"))
	id := e.connected("alice", "zendesk", named("a", ""))

	reader, writer := io.Pipe()
	request, err := http.NewRequest("POST", "http://"+e.addr+proxied(id, "/x"), reader)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-User", "alice")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	go func() {
		_, _ = writer.Write(data[:1<<20])
		<-begun // the API has it before there is more
		_, _ = writer.Write(data[1<<20:])
		writer.Close()
	}()
	res, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if within(t, "a whole body", sent) != sha256.Sum256(data) {
		t.Error("another body came")
	}
	first := make([]byte, 1<<20)
	if _, err := io.ReadFull(res.Body, first); err != nil || !bytes.Equal(first, data[:1<<20]) {
		t.Fatalf("the first part of the answer: %v", err)
	}
	close(next) // the client has it before there is more
	hash := sha256.New()
	hash.Write(first)
	if _, err := io.Copy(hash, res.Body); err != nil || [32]byte(hash.Sum(nil)) != sha256.Sum256(data) {
		t.Errorf("another answer came: %v", err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > size/2 {
		t.Errorf("%d bytes were allocated for two bodies of %d", took, size)
	}
}

// V14: what the API says stays what it says, errors too, and is not marked.
func TestAnswerIsRelayed(t *testing.T) {
	for _, status := range []int{200, 201, 202, 204, 206, 304, 400, 401, 403, 404, 409, 418, 422, 500, 501} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			body := "\x1f\x8b\x00 no gzip\xff"
			if status == 204 || status == 304 {
				body = ""
			}
			a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
				h := w.Header()
				h.Set("Content-Type", "application/json; odd=1")
				h.Set("Content-Encoding", "gzip")
				h.Set("Www-Authenticate", "Bearer error=x")
				h["X-Repeated"] = []string{"a", "", "b,c"}
				h.Set("Server", "theirs")
				h.Set("Etag", `"1"`)
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			})
			e := start(t, a.block("zendesk", "auth none"))
			id := e.connected("alice", "zendesk", named("a", ""))
			got := e.raw("GET", proxied(id, "/x"), nil, "")
			if got.StatusCode != status || got.text != body {
				t.Errorf("%d %q", got.StatusCode, got.text)
			}
			h := got.Header
			if status != 304 && h.Get("Content-Type") != "application/json; odd=1" || h.Get("Content-Encoding") != "gzip" || h.Get("Www-Authenticate") != "Bearer error=x" ||
				fmt.Sprint(h["X-Repeated"]) != "[a  b,c]" || fmt.Sprint(h["Server"]) != "[theirs]" || h.Get("Etag") != `"1"` || h["Proxy-Status"] != nil {
				t.Errorf("%v", h)
			}
		})
	}
}
