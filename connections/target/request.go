package target

import (
	"net/http"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/f737063d/caddy-connector/internal/header"
)

// callers are the fields by which a caller is known to the edge. They stop here.
var callers = header.NewSet("Authorization", "Cookie", "Cookie2", "Proxy-Authorization")

// hops are the fields that end at this hop (RFC 9110, section 7.6.1), and those
// of which the edge says its own: Host and Content-Length.
var hops = header.NewSet(
	"Alt-Svc", "Alt-Used", "Connection", "Content-Length", "Expect", "HTTP2-Settings", "Host", "Keep-Alive", "Proxy-Authenticate",
	"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
)

// StripRequest deletes from the header of an outbound request what is not for
// the API: what authenticates the caller to the edge, hop-by-hop fields and
// those that Connection names, all control headers, and those that the request
// wants ignored. What the edge itself adds for all requests, such as
// X-Forwarded-For, must be in h already, so that it can be ignored; a credential
// must not.
func (c Controls) StripRequest(h http.Header) {
	trailers := httpguts.HeaderValuesContainsToken(h["Te"], "trailers")
	named := connectionNames(h)
	for name := range h {
		if callers.Has(name) || hops.Has(name) || named.Has(name) || c.ignored.Has(name) || isControl(name) {
			delete(h, name)
		}
	}
	if trailers && !c.ignored.Has("Te") {
		h["Te"] = []string{"trailers"} // that one is for the API too
	}
}

// StripTrailers deletes from the trailers of an outbound request what would not
// be forwarded as a header.
func (c Controls) StripTrailers(trailer http.Header) {
	for name := range trailer {
		if callers.Has(name) || hops.Has(name) || c.ignored.Has(name) || isControl(name) {
			delete(trailer, name)
		}
	}
}

// connectionNames are the fields that Connection names.
func connectionNames(h http.Header) header.Set {
	var names []string
	for field, values := range h {
		if !strings.EqualFold(field, "Connection") {
			continue
		}
		for _, value := range values {
			for name := range strings.SplitSeq(value, ",") {
				if name = textproto.TrimString(name); name != "" {
					names = append(names, name)
				}
			}
		}
	}
	return header.NewSet(names...)
}
