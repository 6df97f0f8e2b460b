package connector

import (
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/internal/header"
)

// forward sets the headers that any HTTP intermediary sets, as Caddy's
// reverse_proxy does.
func forward(in, out *http.Request) {
	forwardedFor(in, out)
	if in.ProtoMajor == 1 && in.ProtoMinor == 1 && out.Header["Via"] == nil {
		out.Header["Via"] = via11
	} else {
		addVia(out.Header, in.ProtoMajor, in.ProtoMinor)
	}
	if in.TLS != nil && !in.TLS.HandshakeComplete {
		out.Header["Early-Data"] = []string{"1"} // RFC 8470, section 5.1
	}
	delete(out.Header, "Alt-Svc")
	if strings.EqualFold(out.Header.Get("Upgrade"), "websocket") {
		spellWebSocket(out.Header)
		// for transports that do TLS by themselves: HTTP/2 knows no upgrade
		caddyhttp.SetVar(in.Context(), "reverse_proxy.tls_h1_only", true)
	}
}

// Values that most outbound requests get. They are shared, and only for requests:
// behind rewrite there is nothing but the transport, which reads them. An
// answer's values are changed in place by other handlers' header operations.
var (
	via11    = []string{"1.1 Caddy"}
	schemes  = map[bool][]string{false: {"http"}, true: {"https"}}
	identity = []string{"identity"}
)

// addVia adds this server to the Via field of a message that it received over
// the given version of HTTP.
func addVia(h http.Header, major, minor int) {
	h["Via"] = append(h["Via"], strconv.Itoa(major)+"."+strconv.Itoa(minor)+" Caddy")
}

// forwardedFor sets X-Forwarded-For, -Proto and -Host. What the request brought
// is kept, and added to, only if it came from one of the server's
// trusted_proxies; so is Forwarded.
func forwardedFor(in, out *http.Request) {
	trusted, _ := caddyhttp.GetVar(in.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	peer, _, err := net.SplitHostPort(in.RemoteAddr)
	peer, _, _ = strings.Cut(peer, "%") // an IPv6 zone means nothing elsewhere
	if err != nil && !trusted {
		return // a Unix socket
	}

	if chain := strings.Join(in.Header["X-Forwarded-For"], ", "); trusted && chain != "" {
		if peer != "" {
			chain += ", " + peer
		}
		out.Header["X-Forwarded-For"] = []string{chain}
	} else if peer != "" {
		out.Header["X-Forwarded-For"] = []string{peer}
	}

	out.Header["X-Forwarded-Proto"] = broughtOr(schemes[in.TLS != nil], in, "X-Forwarded-Proto", trusted)
	out.Header["X-Forwarded-Host"] = broughtOr([]string{in.Host}, in, "X-Forwarded-Host", trusted)
	if forwarded := in.Header["Forwarded"]; trusted && len(forwarded) > 0 {
		out.Header["Forwarded"] = forwarded
	}
}

// broughtOr returns the last value that the request brought, or else own.
func broughtOr(own []string, in *http.Request, name string, trusted bool) []string {
	if values := in.Header[name]; trusted && len(values) > 0 && values[len(values)-1] != "" {
		return slices.Clip(values[len(values)-1:])
	}
	return own
}

// spellWebSocket gives the headers of RFC 6455 its own spelling, because some
// servers compare them with case.
func spellWebSocket(h http.Header) {
	for name, values := range h {
		if rest, ok := strings.CutPrefix(name, "Sec-Websocket-"); ok {
			delete(h, name)
			h["Sec-WebSocket-"+rest] = values
		}
	}
}

// hops are the fields that end at this hop (RFC 9110, section 7.6.1).
var hops = header.NewSet(
	"Alt-Svc", "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
)

// stripHops removes them, and those that Connection names, from a 1xx answer:
// ReverseProxy does it for all others.
func stripHops(h http.Header) {
	for _, names := range h["Connection"] {
		for name := range strings.SplitSeq(names, ",") {
			h.Del(textproto.TrimString(name))
		}
	}
	hops.Strip(h)
}

// upgradeType is the protocol that a message switches to, or "".
func upgradeType(h http.Header) string {
	if !httpguts.HeaderValuesContainsToken(h["Connection"], "Upgrade") {
		return ""
	}
	return h.Get("Upgrade")
}
