package integration

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// newHandlerUpstream starts an integration on Go's own server.
func newHandlerUpstream(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	u := httptest.NewServer(handler)
	t.Cleanup(func() {
		u.CloseClientConnections()
		u.Close()
	})
	return u
}

// streams are the answers that have to pass piece by piece.
var streams = []struct {
	name   string
	header http.Header
	length bool // the length is known beforehand
}{
	{"server-sent events", http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}, false},
	{"server-sent events with length", http.Header{"Content-Type": {"text/event-stream"}}, true},
	{"unknown length", http.Header{"Content-Type": {"application/octet-stream"}}, false},
	{"incremental", http.Header{"Content-Type": {"a/b"}, "Incremental": {"?1"}}, false},
	{"incremental with length", http.Header{"Content-Type": {"a/b"}, "Incremental": {"?1;a=b"}}, true},
}

const event = "data: an event\n\n"

// Each event is at the client before the next one is sent.
func TestParityStreams(t *testing.T) {
	for _, stream := range streams {
		t.Run(stream.name, func(t *testing.T) {
			const events = 20
			next := make(chan struct{}, 1)
			u := newHandlerUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				maps.Copy(w.Header(), stream.header)
				if stream.length {
					w.Header().Set("Content-Length", strconv.Itoa(events*len(event)))
				}
				for range events {
					select {
					case <-next:
					case <-r.Context().Done():
						return
					}
					_, _ = io.WriteString(w, event)
					w.(http.Flusher).Flush()
				}
			})
			s := start(t, "", paritySite(t, u.URL, ""))
			eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
				r, cancel := s.request("GET", prefix+"/events", nil)
				defer cancel()
				next <- struct{}{}
				res, err := client(t).Do(r)
				if err != nil {
					t.Fatalf("the first event: %v", err)
				}
				defer res.Body.Close()
				piece := make([]byte, len(event))
				for i := range events {
					if _, err := io.ReadFull(res.Body, piece); err != nil || string(piece) != event {
						t.Fatalf("event %d: %q, %v", i, piece, err)
					}
					if i < events-1 {
						next <- struct{}{}
					}
				}
				if n, err := res.Body.Read(piece); n != 0 || !errors.Is(err, io.EOF) {
					t.Errorf("after the last event: %q, %v", piece[:n], err)
				}
			})
		})
	}
}

// The header is at the client before there is any body.
func TestParityStreamHeader(t *testing.T) {
	for _, stream := range streams {
		t.Run(stream.name, func(t *testing.T) {
			arrived := make(chan struct{})
			u := newHandlerUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				maps.Copy(w.Header(), stream.header)
				if stream.length {
					w.Header().Set("Content-Length", strconv.Itoa(len(event)))
				}
				w.(http.Flusher).Flush()
				select {
				case <-arrived:
					_, _ = io.WriteString(w, event)
				case <-r.Context().Done():
				}
			})
			s := start(t, "", paritySite(t, u.URL, ""))
			eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
				r, cancel := s.request("GET", prefix+"/events", nil)
				defer cancel()
				res, err := client(t).Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				arrived <- struct{}{}
				if body, err := io.ReadAll(res.Body); err != nil || string(body) != event {
					t.Errorf("body %q, %v", body, err)
				}
			})
		})
	}
}

// A request body passes piece by piece, too.
func TestParityUpload(t *testing.T) {
	pieces := make(chan string)
	u := newHandlerUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			pieces <- lines.Text()
		}
		if lines.Err() != nil {
			w.WriteHeader(400)
		}
	})
	s := start(t, "", paritySite(t, u.URL, ""))
	eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
		body, pipe := io.Pipe()
		r, cancel := s.request("POST", prefix+"/upload", body)
		defer cancel()
		status := make(chan int, 1)
		go func() {
			res, err := client(t).Do(r)
			if err != nil {
				status <- -1
				return
			}
			res.Body.Close()
			status <- res.StatusCode
		}()
		for _, piece := range []string{"first", "second", "third"} {
			if _, err := io.WriteString(pipe, piece+"\n"); err != nil {
				t.Fatal(err)
			}
			if got := await(t, piece, pieces); got != piece {
				t.Fatalf("the upstream got %q, want %q", got, piece)
			}
		}
		pipe.Close()
		if got := await(t, "the answer", status); got != 200 {
			t.Errorf("status %d", got)
		}
	})
}

// An upstream that dies in the middle: the client gets what there was, and
// sees that it is not all.
func TestParityBrokenAnswer(t *testing.T) {
	for what, answer := range map[string]string{
		"length":      "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 10\r\n\r\nhello",
		"chunks":      "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"chunk":       "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhello",
		"no chunk":    "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n",
		"after hints": "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 10\r\n\r\nhello",
	} {
		t.Run(what, func(t *testing.T) {
			u := newUpstream(t, rawAnswer(answer))
			s := start(t, "", paritySite(t, u.url, ""))
			eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
				r, cancel := s.request("GET", prefix+"/x", nil)
				defer cancel()
				res, err := client(t).Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				body, err := io.ReadAll(res.Body)
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("the body ends with %v, want %v", err, io.ErrUnexpectedEOF)
				}
				if want := strings.Repeat("hello", strings.Count(answer, "hello")); string(body) != want || res.StatusCode != 200 {
					t.Errorf("%d %q, want 200 %q", res.StatusCode, body, want)
				}
			})
		})
	}
}

// A client that disconnects while it waits for the answer takes the request at
// the upstream with it.
func TestParityClientGoneBeforeAnswer(t *testing.T) {
	arrived, gone := make(chan struct{}, 1), make(chan struct{}, 1)
	u := newHandlerUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	})
	s := start(t, "", logged(paritySite(t, u.URL, "")))
	eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
		r, cancel := s.request("GET", prefix+"/wait", nil)
		failed := make(chan error, 1)
		go func() {
			_, err := client(t).Do(r)
			failed <- err
		}()
		await(t, "the request", arrived)
		cancel()
		await(t, "the end of the upstream's request", gone)
		if err := await(t, "the client", failed); err == nil {
			t.Error("the client got an answer")
		}
		if entry := s.accessEntries(prefix+"/wait", 1)[0]; entry.Status != 499 {
			t.Errorf("the access log has status %d, want 499", entry.Status)
		}
	})
}

// The same in the middle of the answer.
func TestParityClientGoneDuringAnswer(t *testing.T) {
	gone := make(chan struct{}, 1)
	u := newHandlerUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, event)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		gone <- struct{}{}
	})
	s := start(t, "", logged(paritySite(t, u.URL, "")))
	eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
		r, cancel := s.request("GET", prefix+"/stream", nil)
		res, err := client(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if _, err := io.ReadFull(res.Body, make([]byte, len(event))); err != nil {
			t.Fatal(err)
		}
		cancel()
		await(t, "the end of the upstream's request", gone)
		if entry := s.accessEntries(prefix+"/stream", 1)[0]; entry.Status != 200 {
			t.Errorf("the access log has status %d, want 200", entry.Status)
		}
	})
}

// A client that disconnects in the middle of its own body: the upstream must
// not take what it has for the whole.
func TestParityClientGoneDuringUpload(t *testing.T) {
	arrived, ended := make(chan struct{}, 1), make(chan error, 1)
	u := newHandlerUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, make([]byte, len("hello")))
		arrived <- struct{}{}
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	})
	s := start(t, "", paritySite(t, u.URL, ""))
	for _, framing := range []string{"Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"} {
		eachRoute(t, s, func(t *testing.T, s *server, prefix string) {
			conn, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "POST "+prefix+"/x HTTP/1.1\r\nHost: x\r\nAuthorization: "+aliceCredentials+"\r\n"+framing); err != nil {
				t.Fatal(err)
			}
			await(t, "the begin of the body", arrived)
			conn.Close()
			if err := await(t, "the end of the body", ended); err == nil {
				t.Error("the upstream saw a clean end of the body")
			}
		})
	}
}
