package subscriptions

import (
	"net/http"
	"testing"
)

// The database knows which key a new secret is sealed with, also if it had
// forgotten that key when others were rotated.
func TestKeyOfSecretsIsRemembered(t *testing.T) {
	e := start(t, site)
	var id string
	for _, write := range []func(){
		func() { id = e.subscribe("alice", "p1").id() },
		func() { e.do("alice", "POST", "/subscriptions/"+id+"/secret", "").is(t, http.StatusOK, "") },
	} {
		e.exec("DELETE FROM connector_keys")
		if write(); e.ask("SELECT count(*) FROM connector_keys") != "1" {
			t.Error("the key is not known")
		}
	}
}
