// Package caller finds out who makes a request. That comes from one place, the
// authentication handler that stands before ours.
package caller

import (
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
)

// DefaultUser is the placeholder that Caddy's authentication handler sets.
const DefaultUser = "{http.auth.user.id}"

// maxID is the longest user id, in bytes.
const maxID = 255

// Source is where a handler reads the user's id.
type Source struct {
	user string
	key  string // the placeholder in user, if it is just one
}

// NewSource returns the source for a configured user: a placeholder, or a text
// with placeholders in it, or "" for DefaultUser. A text without any would make
// every caller the same user, and is an error. One that the client can set is
// warned of.
func NewSource(user string, logger *zap.Logger) (Source, error) {
	if user == "" {
		user = DefaultUser
	}
	if !strings.Contains(user, "{") {
		return Source{}, fmt.Errorf("user %q is not a placeholder: every caller would be the same user", user)
	}
	for _, clientSays := range []string{"{http.request.header.", "{http.request.cookie.", "{http.request.uri.query."} {
		if strings.Contains(user, clientSays) {
			logger.Warn("the user is read from what the client can send; make sure that a handler before this one replaces it",
				zap.String("user", user))
		}
	}
	s := Source{user: user}
	if strings.LastIndexByte(user, '{') == 0 && strings.IndexByte(user, '}') == len(user)-1 {
		s.key = user[1 : len(user)-1]
	}
	return s, nil
}

// ID returns the id of the user who acts, or "". One that was not read from
// DefaultUser is made known there, where the access log looks.
func (s Source) ID(repl *caddy.Replacer) string {
	var id string
	if s.key != "" {
		id, _ = repl.GetString(s.key)
	} else {
		id = repl.ReplaceAll(s.user, "")
	}
	if id != "" && s.user != DefaultUser {
		repl.Set("http.auth.user.id", id)
	}
	return id
}

// ValidID reports whether an id can be sent as a header value without being
// read as anything else: 1 to 255 visible ASCII characters.
func ValidID(id string) bool {
	if id == "" || len(id) > maxID {
		return false
	}
	for i := range len(id) {
		if id[i] < 0x21 || id[i] > 0x7e {
			return false
		}
	}
	return true
}
