package target

import (
	"mime"
	"net/http"
	"strings"

	"github.com/f737063d/caddy-connector/internal/header"
)

// origins are the fields of an answer that say something of the origin that it
// came from. To a browser that is the edge, whose cookies, sessions, storage, workers
// and TLS are not the API's business; and Refresh leads away.
var origins = header.NewSet(
	"Set-Cookie", "Set-Cookie2", "Strict-Transport-Security", "Clear-Site-Data", "Service-Worker-Allowed", "Refresh",
	"Timing-Allow-Origin", "NEL", "Report-To", "Reporting-Endpoints", "Accept-CH", "Critical-CH",
	"Secure-Session-Registration", "Sec-Session-Registration", "Set-Login", "Use-As-Dictionary", "Origin-Agent-Cluster", "Public-Key-Pins", "Expect-CT",
)

// answerHops are the fields that end at this hop.
var answerHops = header.NewSet(
	"Alt-Svc", "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
)

// cors are the fields by which the API would let other sites read the edge's
// answers.
const cors = "access-control-"

// StripResponse deletes from the header of an API's answer what would act on the
// edge's own origin, hop-by-hop fields, and what begins as control headers do.
// Where a browser could run what is in the answer as a document of the edge, it
// is told to give it an origin of its own.
func StripResponse(h http.Header) {
	named := connectionNames(h)
	for name := range h {
		if isWithheld(name) || named.Has(name) {
			delete(h, name)
		}
	}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	if isActive(h["Content-Type"]) {
		h.Add("Content-Security-Policy", "sandbox") // all of them apply
	}
}

// StripResponseTrailers deletes from an answer's trailers what StripResponse
// deletes from its header.
func StripResponseTrailers(trailer http.Header) {
	for name := range trailer {
		if isWithheld(strings.TrimPrefix(name, http.TrailerPrefix)) {
			delete(trailer, name)
		}
	}
}

func isWithheld(name string) bool {
	return origins.Has(name) || answerHops.Has(name) || header.HasPrefix(name, cors) || isControl(name)
}

// isActive reports whether browsers make a document that can run scripts of some
// of these types, or of what they guess.
func isActive(types []string) bool {
	if len(types) != 1 {
		return true
	}
	mediaType, _, err := mime.ParseMediaType(types[0]) // "" where it is none
	if err != nil && strings.Contains(types[0], ",") {
		return true // browsers take it for a list, and the last one for the type
	}
	kind, subtype, _ := strings.Cut(mediaType, "/")
	return subtype == "" || kind == "multipart" || kind == "*" || kind == "unknown" ||
		strings.Contains(subtype, "html") || strings.HasSuffix(subtype, "xml") || subtype == "xsl" || subtype == "rdf"
}
