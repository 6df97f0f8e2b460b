package anychannel

import (
	"testing"

	"github.com/f737063d/caddy-connector/datastore"
)

// The database knows which key metadata is sealed with, also if it had forgotten
// that key when others were rotated.
func TestKeyOfMetadataIsRemembered(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func(...string) links) {
		l := open(datastore.NewKey())
		l.exec(t, "DELETE FROM connector_keys")
		l.mustPut(t, "omniwear", "instagram", "metadata")
		var n int
		if err := l.db.QueryRow(t.Context(), "SELECT count(*) FROM connector_keys").Scan(&n); err != nil || n != 1 {
			t.Errorf("%d keys, %v", n, err)
		}
	})
}
