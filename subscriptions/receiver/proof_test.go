package receiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// watchedBody knows whether it was read.
type watchedBody struct {
	io.Reader
	read   bool
	onRead func()
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.read = true
	if b.onRead != nil {
		b.onRead()
	}
	return b.Reader.Read(p)
}

func (*watchedBody) Close() error { return nil }

// Every change makes a good webhook a bad one, told by its code, and counted.
// What has no chance is not read.
func TestRefusals(t *testing.T) {
	set := func(name string, values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = values }
	}
	body := func(body io.Reader) func(*http.Request) {
		return func(r *http.Request) { r.Body, r.ContentLength = &watchedBody{Reader: body}, -1 }
	}
	failing := func(err error) func(*http.Request) {
		return body(io.MultiReader(strings.NewReader(event), iotest.ErrReader(err)))
	}
	for name, tc := range map[string]struct {
		status int
		code   string
		read   bool
		change func(*http.Request)
	}{
		"as it was":         {200, "ok", true, func(*http.Request) {}},
		"GET":               {200, "ok", true, func(r *http.Request) { r.Method = "GET" }},
		"no header":         {401, "signature_missing", false, func(r *http.Request) { r.Header = http.Header{} }},
		"no id":             {401, "signature_missing", false, set("Webhook-Id")},
		"no timestamp":      {401, "signature_missing", false, set("Webhook-Timestamp", "")},
		"no signature":      {401, "signature_missing", false, set("Webhook-Signature")},
		"bearer token":      {401, "signature_missing", false, func(r *http.Request) { r.Header = http.Header{"Authorization": {"Bearer " + currentSecret}} }},
		"two ids":           {401, "signature_malformed", false, set("Webhook-Id", "msg", "msg")},
		"alias":             {401, "signature_malformed", false, set("Webhook_Id", "msg")},
		"dot in id":         {401, "signature_malformed", false, set("Webhook-Id", "msg.1")},
		"timestamp in text": {401, "signature_malformed", false, set("Webhook-Timestamp", "now")},
		"bare signature":    {401, "signature_malformed", false, set("Webhook-Signature", "AAAA")},
		"17 signatures":     {401, "signature_malformed", false, set("Webhook-Signature", strings.Repeat("v1,x ", 16)+"v1,x")},
		"long ago":          {401, "timestamp_expired", false, set("Webhook-Timestamp", "1699999699")},
		"in an hour":        {401, "timestamp_early", false, set("Webhook-Timestamp", "1700003600")},
		"in milliseconds":   {401, "timestamp_early", false, set("Webhook-Timestamp", "1700000000000")},
		"other id":          {401, "signature_invalid", true, set("Webhook-Id", "msh")},
		"other timestamp":   {401, "signature_invalid", true, set("Webhook-Timestamp", "1700000001")},
		"other signature":   {401, "signature_invalid", true, set("Webhook-Signature", "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")},
		"other version":     {401, "signature_invalid", true, set("Webhook-Signature", "v2,AAAA")},
		"other body":        {401, "signature_invalid", true, body(strings.NewReader(event + "\n"))},
		"no body":           {401, "signature_invalid", true, body(strings.NewReader(""))},
		"length over the limit": {413, "body_too_large", false, func(r *http.Request) {
			r.ContentLength = 101
		}},
		"body over the limit":       {413, "body_too_large", true, body(strings.NewReader(event + strings.Repeat(" ", 100)))},
		"body over another's limit": {413, "body_too_large", true, failing(caddyhttp.Error(413, &http.MaxBytesError{Limit: 1}))},
		"broken off":                {400, "body_incomplete", true, failing(io.ErrUnexpectedEOF)},
		"too slow":                  {408, "body_timeout", true, failing(fmt.Errorf("read: %w", os.ErrDeadlineExceeded))},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := provisioned(t, &Handler{MaxBody: 100}, currentSecret)
			r := newPost(t, "msg", event, currentSecret)
			r.Body = &watchedBody{Reader: r.Body}
			tc.change(r)
			watched := r.Body.(*watchedBody)
			result := tc.code
			if result == "ok" {
				result = "current"
			}
			var s served
			if n := counted(result, func() { s = serve(t, h, r) }); n != 1 {
				t.Errorf("counted %v times", n)
			}
			if s.Code != tc.status || s.code(t) != tc.code || watched.read != tc.read {
				t.Fatalf("%d %s %s, read: %v", s.Code, s.code(t), s.Body, watched.read)
			}
			if challenge := s.Header().Get("WWW-Authenticate"); (challenge != "") != (tc.status == 401) {
				t.Errorf("WWW-Authenticate: %q", challenge)
			}
			if tc.status != 200 && (s.Header().Get("Content-Type") != "application/problem+json" || s.Header().Get("Proxy-Status") == "") {
				t.Errorf("%v", s.Header())
			}
		})
	}
}

// A client that has gone gets no problem.
func TestClientGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h, _ := provisioned(t, new(Handler), currentSecret)
	r := newPost(t, "msg", event, currentSecret).WithContext(ctx)
	r.Body = io.NopCloser(iotest.ErrReader(context.Canceled))
	var s served
	if n := counted("client_gone", func() { s = serve(t, h, r) }); s.Code != 499 || s.Body.Len() > 0 || n != 1 {
		t.Errorf("%d %s, counted %v times", s.Code, s.Body, n)
	}
}

// Who is behind the handler gets the body as it came, of a known length.
func TestBodyBehind(t *testing.T) {
	for _, hub := range []bool{false, true} {
		h, _ := provisioned(t, &Handler{HubSignature: hub}, currentSecret)
		for i, body := range []string{"", "\r\n { \"a\" :1e400, \"é\":\"\\u00e9\"} ", "\x00\xff\xfe", strings.Repeat("x", 1<<20)} {
			for _, chunked := range []bool{false, true} {
				r := newPost(t, fmt.Sprint(i, "-", chunked)[:3], body, currentSecret)
				if hub {
					r = newHubPost(t, body, currentSecret)
				}
				r.Trailer = http.Header{"X-Trailer": {"x"}}
				if chunked {
					r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
				}
				s := serve(t, h, r)
				if s.code(t) != "ok" || s.body != body {
					t.Fatalf("%d: %s, %d bytes", i, s.code(t), len(s.body))
				}
				if r := s.behind; r.ContentLength != int64(len(body)) || r.TransferEncoding != nil || r.Trailer != nil {
					t.Errorf("length %d, %v, %v", r.ContentLength, r.TransferEncoding, r.Trailer)
				}
			}
		}
	}
	h, _ := provisioned(t, new(Handler), currentSecret)
	r := newPost(t, "msg", event, currentSecret)
	repl := caddyhttp.NewTestReplacer(r)
	err := h.ServeHTTP(httptest.NewRecorder(), r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		if got := repl.ReplaceAll("{http.request.body}", ""); got != event {
			t.Errorf("{http.request.body}: %q", got)
		}
		return errors.New("its own")
	}))
	if err == nil || err.Error() != "its own" {
		t.Errorf("the next handler's error: %v", err)
	}
}
