package header

import "testing"

func TestHasPrefix(t *testing.T) {
	for name, want := range map[string]bool{
		"X-Versori-A": true, "x-versori-": true, "X_VERSORI.a": true, "x versori-\xff": true,
		"X-Versori": false, "X-Versorj-A": false, "": false, "XX-Versori-A": false, "x-verſori-a": false,
	} {
		if got := HasPrefix(name, "x-versori-"); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
