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

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// What is not a post of both fields is refused, told by its code, and counted.
func TestRefusals(t *testing.T) {
	good := formOf("m", "{}")
	method := func(method string) func(*http.Request) { return func(r *http.Request) { r.Method = method } }
	set := func(name string, values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = values }
	}
	contentType := func(values ...string) func(*http.Request) { return set("Content-Type", values...) }
	failing := func(err error) func(*http.Request) {
		return func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(good), iotest.ErrReader(err)))
			r.ContentLength = -1
		}
	}
	for name, tc := range map[string]struct {
		status int
		code   string
		change func(*http.Request)
	}{
		"form":                   {200, "ok", func(*http.Request) {}},
		"form with a charset":    {200, "ok", contentType("Application/X-WWW-Form-URLEncoded ; Charset=\"Utf-8\"; x=y")},
		"identity":               {200, "ok", set("Content-Encoding", "Identity")},
		"GET":                    {405, "method_not_allowed", method("GET")},
		"HEAD":                   {405, "method_not_allowed", method("HEAD")},
		"PUT":                    {405, "method_not_allowed", method("PUT")},
		"post":                   {405, "method_not_allowed", method("post")},
		"no type":                {415, "media_type_unsupported", contentType()},
		"empty type":             {415, "media_type_unsupported", contentType("")},
		"two types":              {415, "media_type_unsupported", contentType(formType, formType)},
		"other type":             {415, "media_type_unsupported", contentType("multipart/form-data; boundary=x")},
		"text":                   {415, "media_type_unsupported", contentType("text/plain")},
		"JSON in another":        {415, "media_type_unsupported", contentType("application/ld+json")},
		"type with a prefix":     {415, "media_type_unsupported", contentType("application/jsonp")},
		"other charset":          {415, "media_type_unsupported", contentType(formType + "; charset=latin1")},
		"charset without a dash": {415, "media_type_unsupported", contentType(formType + "; charset=utf8")},
		"two charsets":           {415, "media_type_unsupported", contentType(formType + "; charset=utf-8; charset=latin1")},
		"malformed parameter":    {415, "media_type_unsupported", contentType(formType + "; charset")},
		"gzip":                   {415, "media_type_unsupported", set("Content-Encoding", "gzip")},
		"identity and gzip":      {415, "media_type_unsupported", set("Content-Encoding", "identity", "gzip")},
		"length over the limit": {413, "body_too_large", func(r *http.Request) {
			r.ContentLength = 101
			r.Body = io.NopCloser(iotest.ErrReader(errors.New("was read")))
		}},
		"body over the limit": {413, "body_too_large", func(r *http.Request) {
			r.ContentLength = -1
			r.Body = io.NopCloser(strings.NewReader(good + strings.Repeat("x", 101-len(good))))
		}},
		"body over another's limit": {413, "body_too_large", failing(caddyhttp.Error(413, &http.MaxBytesError{Limit: 1}))},
		"broken off":                {400, "body_incomplete", failing(io.ErrUnexpectedEOF)},
		"connection lost":           {400, "body_incomplete", failing(errors.New("connection reset"))},
		"too slow":                  {408, "body_timeout", failing(fmt.Errorf("read: %w", os.ErrDeadlineExceeded))},
		"no body": {400, "field_missing", func(r *http.Request) {
			r.Body, r.ContentLength = http.NoBody, 0
		}},
		"form as JSON": {400, "json_invalid", contentType(jsonType)},
	} {
		t.Run(name, func(t *testing.T) {
			h := provisioned(t, &Handler{MaxBody: 100})
			r := newPost(formType, good)
			tc.change(r)
			before := testutil.ToFloat64(requests.WithLabelValues(tc.code))
			s := serve(t, h, r)
			if s.Code != tc.status || s.code(t) != tc.code {
				t.Fatalf("%d %s %s", s.Code, s.code(t), s.Body)
			}
			if n := testutil.ToFloat64(requests.WithLabelValues(tc.code)) - before; n != 1 {
				t.Errorf("counted %v times", n)
			}
			if allow := s.Header().Get("Allow"); (allow == "POST") != (tc.status == 405) {
				t.Errorf("Allow: %q", allow)
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
	r := newPost(formType, "").WithContext(ctx)
	r.Body = io.NopCloser(iotest.ErrReader(context.Canceled))
	before := testutil.ToFloat64(requests.WithLabelValues("client_gone"))
	s := serve(t, provisioned(t, new(Handler)), r)
	if n := testutil.ToFloat64(requests.WithLabelValues("client_gone")) - before; s.Code != 499 || s.Body.Len() > 0 || n != 1 {
		t.Errorf("%d %s, counted %v times", s.Code, s.Body, n)
	}
}

// The limit is that of the whole body, to the byte.
func TestMaxBody(t *testing.T) {
	if h := provisioned(t, new(Handler)); h.MaxBody != 4<<20 {
		t.Errorf("default: %d", h.MaxBody)
	}
	body := formOf("m", `"1234567890"`)
	for _, known := range []bool{true, false} {
		for limit, want := range map[int]string{len(body): "ok", len(body) - 1: "body_too_large"} {
			r := newPost(formType, body)
			if !known {
				r.ContentLength = -1
			}
			if got := serve(t, provisioned(t, &Handler{MaxBody: int64(limit)}), r).code(t); got != want {
				t.Errorf("length known: %v, limit %d of %d: %s, want %s", known, limit, len(body), got, want)
			}
		}
	}
	h := provisioned(t, new(Handler))
	data := `"` + strings.Repeat("é", 1<<19) + `"` // 1 MiB, 3 MiB encoded
	s := serve(t, h, newPost(formType, formOf(strings.Repeat("é", maxMetadata), data)))
	if s.code(t) != "ok" || s.placeholder(t, clientDataField) != data {
		t.Errorf("1 MiB of client data: %s", s.code(t))
	}
	if err := (&Handler{MaxBody: -1}).Validate(); err == nil {
		t.Error("a negative limit is valid")
	}
}

// Who is behind the handler gets the body as it came, of a known length.
func TestBodyBehind(t *testing.T) {
	h := provisioned(t, new(Handler))
	for _, tc := range [][2]string{
		{formType, "x=%2b+;&instance%5Fmetadata=%7b%7d&client_data&&"},
		{formType, formOf("m", `{"a": "b"}`)},
		{jsonType + "; charset=UTF-8", "\r\n { \"client_data\" :\"\", \"x\": 1e400, \"instance_metadata\":\"\\u00e9\"} "},
	} {
		for _, chunked := range []bool{false, true} {
			r := newPost(tc[0], tc[1])
			r.Trailer = http.Header{"X-Trailer": {"x"}}
			if chunked {
				r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
			}
			s := serve(t, h, r)
			if s.code(t) != "ok" || s.body != tc[1] {
				t.Fatalf("%s: %s %q", tc[1], s.code(t), s.body)
			}
			if r := s.behind; r.ContentLength != int64(len(tc[1])) || r.TransferEncoding != nil || r.Trailer != nil {
				t.Errorf("length %d, %v, %v", r.ContentLength, r.TransferEncoding, r.Trailer)
			}
		}
	}
	r := newPost(formType, formOf("m", "{}"))
	repl := caddyhttp.NewTestReplacer(r)
	err := h.ServeHTTP(httptest.NewRecorder(), r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		if got := repl.ReplaceAll("{http.request.body}", ""); got != formOf("m", "{}") {
			t.Errorf("{http.request.body}: %q", got)
		}
		return errors.New("its own")
	}))
	if err == nil || err.Error() != "its own" {
		t.Errorf("the next handler's error: %v", err)
	}
}
