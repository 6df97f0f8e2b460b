package connections

import (
	"net/http"
	"slices"
	"strings"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/connections/oauth"
)

// maxScopes is how many scopes are told of.
const maxScopes = 32

// scopesMissing are those that would have an API not answer 403, as far as that is
// known: what it asks for and was not granted; or, where it asks for nothing, what
// the config has and was not granted: users can leave out some of it when they
// sign in. A grant that is not known tells nothing.
func (a *API) scopesMissing(res *http.Response, token credential.Token) []string {
	granted := splitScopes(token.Scope)
	asked := scopesAsked(res.Header)
	if asked == nil && a.oauth != nil && len(granted) > 0 {
		asked = splitScopes(strings.Join(a.Auth[a.oauthScheme].OAuth2.Scopes, " "))
		granted = append(granted, "openid", "offline_access") // they are about the grant itself, and servers leave them out
	}
	var missing []string
	for _, scope := range asked {
		if len(scope) <= maxName && oauth.IsScope(scope) && !slices.Contains(granted, scope) && !slices.Contains(missing, scope) && len(missing) < maxScopes {
			missing = append(missing, scope)
		}
	}
	return missing
}

// scopesAsked are those that an API says it wants (RFC 6750, section 3), or nil.
func scopesAsked(h http.Header) (scopes []string) {
	for _, challenge := range h["Www-Authenticate"] {
		_, rest, ok := strings.Cut(challenge, `scope="`)
		if ok && strings.Contains(challenge, "insufficient_scope") {
			list, _, _ := strings.Cut(rest, `"`)
			scopes = append(scopes, splitScopes(list)...)
		}
	}
	return scopes
}

// splitScopes splits a list at spaces, and at commas, as GitHub and Slack write
// them.
func splitScopes(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == ',' })
}
