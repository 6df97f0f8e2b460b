package connections

import (
	"strings"
	"testing"

	"github.com/f737063d/caddy-connector/connections/oauth/oauthtest"
)

// A secret that can be read in the config is warned of, and is in no log for that.
func TestLiteralClientSecretIsWarnedOf(t *testing.T) {
	t.Setenv("CRM_SECRET", "client-secret")
	as := newAuthorization(t, oauthtest.Config{})
	literal := as.block("")
	for site, want := range map[string]bool{
		literal: true, strings.Replace(literal, "client_secret client-secret", "client_secret {env.CRM_SECRET}", 1): false,
		strings.Replace(literal, "client_secret client-secret\n", "", 1): false,
	} {
		e := start(t, site)
		if got := strings.Contains(e.logs(), "a client secret stands in the config"); got != want || strings.Contains(e.logs(), `"client-secret"`) {
			t.Errorf("%s: %v", site, got)
		}
	}
}
