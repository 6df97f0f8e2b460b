package connections

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// V8: a token that the platform has signed for another service is none for the edge.
func TestAudience(t *testing.T) {
	const one, two = "https://platform.example/sk/key1", "https://platform.example/sk/key2"
	i := newIssuer(t)
	a := newAPI(t, nil)
	e := start(t, "token_key "+one+" {file."+i.file+"}\ntoken_key "+two+" {file."+i.file+"} edge\n"+a.block("zendesk", "auth none"))
	id := e.connected("alice", "zendesk", named("a", ""))
	for name, tc := range map[string]struct {
		issuer   string
		audience any // nil: none
		status   int
	}{
		"none, as in the config":  {one, nil, 200},
		"another service":         {one, "billing", 401},
		"a list":                  {one, []string{"billing"}, 401},
		"an empty text":           {one, "", 401},
		"this edge":               {two, "edge", 200},
		"and another":             {two, []string{"billing", "edge"}, 200},
		"not this edge":           {two, "billing", 401},
		"a part of its name":      {two, "edg", 401},
		"in capitals":             {two, "EDGE", 401},
		"nobody":                  {two, nil, 401},
		"a number":                {two, 1, 401},
		"an object in the config": {one, map[string]any{"edge": true}, 401},
	} {
		claims := map[string]any{"sub": "alice", "iss": tc.issuer, "exp": time.Now().Add(time.Hour).Unix()}
		if tc.audience != nil {
			claims["aud"] = tc.audience
		}
		got := e.call("", "GET", id, "/x", "", "Authorization: JWT "+i.sign(t, jwt.SigningMethodRS256, i.key, nil, claims))
		if got.StatusCode != tc.status || tc.status == 401 && got.body["code"] != "token_invalid" {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.text)
		}
	}
}

func TestAudienceIsOneWord(t *testing.T) {
	_, err := adapt("http://127.0.0.1:1 {\nconnections {\ntoken_key i {env.K} edge other\n}\n}\n")
	if err == nil || !strings.Contains(err.Error(), "wrong argument count") || !strings.Contains(err.Error(), "Caddyfile:3") {
		t.Errorf("%v", err)
	}
}
