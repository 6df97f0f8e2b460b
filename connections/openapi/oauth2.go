package openapi

import (
	"net/url"
	"slices"
	"strings"
)

const (
	maxURL    = 2048
	maxScopes = 100
	maxScope  = 256
)

// grants are the flows that can be had, the best first.
var grants = []struct{ flow, grant string }{
	{"authorizationCode", "authorization_code"},
	{"clientCredentials", "client_credentials"},
	{"password", "password"},
}

// oauth2 returns what the flows of a scheme are here, or why they are nothing.
func (m *schemes) oauth2(flows *node, scopes []string) (config *OAuth2, why string) {
	why = "it has no flow but the implicit one, which has no tokens that can be refreshed"
	if len(flows.all()) == 0 {
		why = "it has no flows"
	}
	for _, g := range grants {
		flow := flows.get(g.flow)
		if flow == nil {
			continue
		}
		if config != nil {
			m.messages.addAt(flow, Info, "The API has another grant, too: "+g.grant+".")
			continue
		}
		config = &OAuth2{Grant: g.grant, TokenURL: flow.get("tokenUrl").text(), AuthStyle: "header"}
		if g.grant == "authorization_code" {
			config.AuthorizeURL = flow.get("authorizationUrl").text()
		}
		if !isEndpoint(config.TokenURL) || g.grant == "authorization_code" && !isEndpoint(config.AuthorizeURL) {
			m.messages.addAt(flow, Warning, "A flow is left out: its URLs are not absolute ones of https or http.",
				shown(config.TokenURL), shown(config.AuthorizeURL))
			config, why = nil, "none of its flows can be used"
			continue
		}
		m.describeFlow(flow, config, scopes)
	}
	if config != nil {
		return config, ""
	}
	return nil, why
}

func (m *schemes) describeFlow(flow *node, config *OAuth2, scopes []string) {
	for _, scope := range scopes {
		if isScope(scope) && len(config.Scopes) < maxScopes {
			config.Scopes = append(config.Scopes, scope)
		} else {
			m.messages.addAt(flow, Warning, "A scope is left out: it has characters that none can have, or is too long.", shown(scope))
		}
	}
	if len(scopes) == 0 {
		var known []string
		for _, s := range flow.get("scopes").all() {
			known = append(known, s.name)
		}
		if len(known) > 0 {
			slices.Sort(known)
			m.messages.addAt(flow, Info, "The document does not say which scopes are needed. It knows these:", shownAll(known)...)
		}
	}
	if refresh := flow.get("refreshUrl").text(); refresh != "" && refresh != config.TokenURL {
		m.messages.addAt(flow, Warning, "Tokens are refreshed at the token_url, not at the document's refreshUrl.", shown(refresh))
	}
	if strings.HasPrefix(config.TokenURL, "http:") || strings.HasPrefix(config.AuthorizeURL, "http:") {
		m.messages.addAt(flow, Warning, "A URL of the authorization server is not of https: secrets are sent in clear.")
	}
	m.messages.addAt(flow, Info, "Fill in the client_id, and put the client's secret where client_secret says. "+
		"If the authorization server wants them in the body, write auth_style body.")
}

// isEndpoint reports whether a text is the URL of an authorization server's
// endpoint, in which nothing has a meaning in a config.
func isEndpoint(text string) bool {
	u, err := url.Parse(text)
	return err == nil && len(text) <= maxURL && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil &&
		u.Fragment == "" && u.Opaque == "" && isPlain(text)
}

// isScope reports whether a text is one scope (RFC 6749, section 3.3), without
// what has a meaning in a config.
func isScope(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"\\{}", c) >= 0 {
			return false
		}
	}
	return text != "" && len(text) <= maxScope
}
