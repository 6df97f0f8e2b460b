package oauth

import (
	"encoding/json"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/f737063d/caddy-connector/connections/credential"
	"github.com/f737063d/caddy-connector/internal/strictjson"
)

const (
	formType = "application/x-www-form-urlencoded"

	// maxLifetime is the longest that a token is taken to live.
	maxLifetime = 10 * 365 * 24 * time.Hour
)

// answer is that of an endpoint.
type answer struct {
	status int
	header http.Header
	body   []byte
	sent   url.Values // to the endpoint; it must not be repeated
}

func (a answer) broken(reason string) *Error {
	e := refusal(a.status, "")
	e.Reason = reason
	return e.wait(a.header, time.Now())
}

// token reads the answer to a request that was sent at a time. What it leaves out
// is as in before.
func (a answer) token(before credential.Token, sent time.Time) (credential.Token, error) {
	members, reason := a.members()
	if a.status != http.StatusOK || hasError(members) {
		e := refusal(a.status, codeOf(text(members["error"]), a.sent))
		return credential.Token{}, e.wait(a.header, time.Now())
	}
	if reason != "" {
		return credential.Token{}, a.broken(reason)
	}
	if !isBearer(members["token_type"]) {
		return credential.Token{}, a.broken("the token_type is not bearer")
	}
	scope, ok := scope(members["scope"])
	if !ok {
		return credential.Token{}, a.broken("the scope is not a text")
	}
	t := credential.Token{Access: credential.SecretOf(text(members["access_token"])), Refresh: before.Refresh, Scope: before.Scope}
	if refresh := text(members["refresh_token"]); refresh != "" {
		t.Refresh = credential.SecretOf(refresh)
	}
	if scope != "" {
		t.Scope = scope
	}
	if lifetime := lifetime(members["expires_in"]); lifetime > 0 {
		t.Expires = sent.Add(lifetime)
	}
	return a.usable(t)
}

// usable returns a token as the credential has it, which refuses what can't be in
// a header.
func (a answer) usable(t credential.Token) (credential.Token, error) {
	c, err := credential.NewOAuth2(t)
	if err != nil {
		return credential.Token{}, a.broken("the answer's " + strings.TrimPrefix(err.Error(), "the credential's "))
	}
	t, _ = c.Token()
	return t, nil
}

// members reads the members of an answer's body, or says why it can't.
func (a answer) members() (members map[string]json.RawMessage, reason string) {
	if coding := a.header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, "the answer is compressed, which was not asked for"
	}
	mediaType, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	switch {
	case err != nil:
		return nil, "the answer has no content type"
	case mediaType == formType:
		return formMembers(a.body)
	case mediaType == "application/json", mediaType == "text/json", strings.HasPrefix(mediaType, "application/") && strings.HasSuffix(mediaType, "+json"):
		members, err := strictjson.Object(a.body)
		if err != nil {
			return nil, "the answer is not a JSON object with each member once"
		}
		return members, ""
	}
	return nil, "the answer's content type is neither JSON nor a form"
}

// formMembers reads what GitHub and older servers send, as if it was JSON.
func formMembers(body []byte) (members map[string]json.RawMessage, reason string) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, "the answer is not a form"
	}
	members = make(map[string]json.RawMessage, len(form))
	for name, values := range form {
		if len(values) > 1 {
			return nil, "the answer's form has a member more than once"
		}
		members[name], _ = json.Marshal(values[0])
	}
	return members, ""
}

// hasError reports whether an answer has an error, which some servers send with
// a status of 200.
func hasError(members map[string]json.RawMessage) bool {
	switch string(members["error"]) {
	case "", "null", `""`, "false":
		return string(members["ok"]) == "false" // Slack
	}
	return true
}

// text returns a member that is a text, or "".
func text(encoded json.RawMessage) string {
	value, _ := strictjson.Text(encoded)
	return value
}

// isBearer reports whether a token is for the header Authorization, as Bearer.
// Shopify says nothing, and Slack whose token it is.
func isBearer(encoded json.RawMessage) bool {
	switch tokenType := text(encoded); {
	case len(encoded) == 0, string(encoded) == "null", tokenType == "bot", tokenType == "user":
		return true
	default:
		return strings.EqualFold(tokenType, "bearer")
	}
}

// scope returns what was granted, or "" for what was asked for. Twitch sends a
// list.
func scope(encoded json.RawMessage) (scope string, ok bool) {
	if len(encoded) == 0 || string(encoded) == "null" {
		return "", true
	}
	if encoded[0] != '[' {
		return strictjson.Text(encoded)
	}
	var list []json.RawMessage
	if json.Unmarshal(encoded, &list) != nil {
		return "", false
	}
	scopes := make([]string, len(list))
	for i := range list {
		if scopes[i], ok = strictjson.Text(list[i]); !ok {
			return "", false
		}
	}
	return strings.Join(scopes, " "), true
}

// lifetime returns how long a token lives, or 0 where it isn't known: it is not
// there, can't be read, or is nothing that a token could be used in. Some servers
// send it as a text, or with a fraction.
func lifetime(encoded json.RawMessage) time.Duration {
	number := string(encoded)
	if value, ok := strictjson.Text(encoded); ok {
		number = strings.TrimSpace(value)
	}
	seconds, err := strconv.ParseFloat(number, 64)
	if err != nil && !math.IsInf(seconds, 1) || math.IsNaN(seconds) || seconds < 1 {
		return 0
	}
	return time.Duration(min(seconds, maxLifetime.Seconds())) * time.Second
}
