package target

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestStripRequest(t *testing.T) {
	c, err := ReadControls(http.Header{"X-Versori-Ignore-Headers": {"X-Forwarded-For, x_amzn_trace_id, Accept"}})
	if err != nil {
		t.Fatal(err)
	}
	goes := []string{ // V3: all others
		"Content-Type", "X-Forwarded-Proto", "User-Agent", "Origin", "Referer", "Idempotency-Key", "X-Api-Key", "x-odd-CASE", "X-Version", "X-Versor",
		"XVersori-A", "X-Connect-A", "Authorization2", "X-Authorization", "Te", "Accept-Encoding", "If-None-Match", "Range", "Content-Encoding", "Cookies",
	}
	stays := []string{
		"Authorization", "authorization", "AUTHORIZATION", "Cookie", "cookie", "Cookie2", "Proxy-Authorization", "proxy_authorization", "PROXY.AUTHORIZATION",
		"X-Versori-Connection-Variable", "X-Versori-Unknown", "x-versori-ignore-headers", "X_Versori_Override_Base_Url", "x.versori.override", "X Versori-A",
		"X-VERSORI-", "X-Connector-Override-Base-Url", "X_CONNECTOR_FORCE_REFRESH_CREDENTIAL", "x-connector-",
		"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "Trailer", "Transfer-Encoding", "Upgrade", "Host", "Content-Length", "Expect",
		"HTTP2-Settings", "Http2-Settings", "Alt-Used", "transfer_encoding", "X-Hop", "x-hop", "X-Other-Hop",
		"X-Forwarded-For", "x-forwarded-for", "X_Forwarded_For", "X-Amzn-Trace-Id", "Accept",
	}
	h := make(http.Header)
	for _, name := range slices.Concat(goes, stays) {
		h[name] = []string{"1"}
	}
	h["Connection"] = []string{"close, X-Hop", " x-other-hop,, te"}
	h["Te"] = []string{"gzip, trailers"}
	trailer := maps.Clone(h)
	c.StripRequest(h)
	if got := slices.Sorted(maps.Keys(h)); !slices.Equal(got, slices.Sorted(slices.Values(goes))) {
		t.Errorf("%q", got)
	}
	if got := h["Te"]; !slices.Equal(got, []string{"trailers"}) {
		t.Errorf("%q", got)
	}
	c.StripTrailers(trailer)
	for name := range trailer {
		if slices.Contains(stays, name) && !strings.Contains(strings.ToLower(name), "hop") {
			t.Errorf("trailer %s", name)
		}
	}
	if trailer["X-Api-Key"] == nil {
		t.Error("a trailer is gone")
	}

	h = http.Header{"Te": {"gzip"}}
	if c.StripRequest(h); len(h) > 0 {
		t.Errorf("%v", h)
	}
	c, _ = ReadControls(http.Header{"X-Connector-Ignore-Headers": {"te"}})
	h = http.Header{"Te": {"trailers"}}
	if c.StripRequest(h); len(h) > 0 {
		t.Errorf("%v", h)
	}
}

// S26
func TestStripResponse(t *testing.T) {
	goes := []string{
		"Content-Type", "Location", "WWW-Authenticate", "Cache-Control", "Etag", "Retry-After", "X-Request-Id", "Link", "Content-Security-Policy",
		"X-Version", "Access-Control", "Vary", "Content-Length", "X-RateLimit-Remaining", "Content-Disposition",
	}
	stays := []string{
		"Set-Cookie", "set-cookie", "Set-Cookie2", "Access-Control-Allow-Origin", "access-control-allow-credentials", "Access-Control-X",
		"Strict-Transport-Security", "Clear-Site-Data", "Service-Worker-Allowed", "Refresh", "Timing-Allow-Origin", "Nel", "Report-To", "Reporting-Endpoints",
		"Accept-Ch", "Critical-Ch", "Secure-Session-Registration", "Sec-Session-Registration", "Set-Login", "Use-As-Dictionary", "Origin-Agent-Cluster",
		"Public-Key-Pins", "Expect-Ct", "X-Versori-Anything", "x_connector_anything", "Connection", "Keep-Alive", "Proxy-Authenticate", "Trailer",
		"Transfer-Encoding", "Upgrade", "Alt-Svc", "X-Hop",
	}
	h := make(http.Header)
	for _, name := range slices.Concat(goes, stays) {
		h[name] = []string{"application/json"}
	}
	h["Connection"] = []string{"x-hop"}
	trailer := make(http.Header)
	for name := range h {
		trailer[http.TrailerPrefix+name], trailer[name] = []string{"1"}, []string{"1"}
	}
	StripResponse(h)
	if got := slices.Sorted(maps.Keys(h)); !slices.Equal(got, slices.Sorted(slices.Values(append(goes, "X-Content-Type-Options")))) {
		t.Errorf("%q", got)
	}
	StripResponseTrailers(trailer)
	for name := range trailer {
		if name := strings.TrimPrefix(name, http.TrailerPrefix); name != "X-Hop" && slices.Contains(stays, name) {
			t.Errorf("trailer %s", name)
		}
	}
	if len(trailer) != 2*len(goes)+2 {
		t.Errorf("%d trailers", len(trailer))
	}
}

// What a browser could run gets an origin of its own.
func TestSandbox(t *testing.T) {
	for contentType, want := range map[string]bool{
		"text/html": true, "TEXT/HTML; charset=utf-8": true, "application/xhtml+xml": true, "image/svg+xml": true, "text/xml": true, "application/xml": true,
		"application/atom+xml": true, "": true, "html": true, "*/*": true, "unknown/unknown": true, "multipart/x-mixed-replace; boundary=x": true,
		"text/html;;": true, " text/html": true, "text/html,application/json": true,
		"text/xsl": true, "text/rdf": true, "application/rdf; a=b": true, "text/plain; a=b, text/html": true, "text/plain; a=\"b\", text/html": true,
		"text/plain;, text/html": true, "text/plain, text/html": true, `text/plain; a="b, text/html"`: false,
		"application/json": false, "application/problem+json; charset=utf-8": false, "text/plain": false, "image/png": false, "application/pdf": false,
		"application/octet-stream": false, "text/csv; charset=": false, "text/event-stream": false,
	} {
		h := http.Header{"Content-Type": {contentType}, "Content-Security-Policy": {"default-src 'self'"}, "X-Content-Type-Options": {"a", "b"}}
		StripResponse(h)
		if got := slices.Equal(h["Content-Security-Policy"], []string{"default-src 'self'", "sandbox"}); got != want {
			t.Errorf("%q: %v", contentType, h)
		}
		if !slices.Equal(h["X-Content-Type-Options"], []string{"nosniff"}) {
			t.Errorf("%q: %v", contentType, h)
		}
	}
	for _, types := range [][]string{nil, {"application/json", "text/html"}} {
		h := http.Header{"Content-Type": types}
		if StripResponse(h); h.Get("Content-Security-Policy") != "sandbox" {
			t.Errorf("%q: %v", types, h)
		}
	}
}
