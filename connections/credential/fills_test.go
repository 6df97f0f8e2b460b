package credential

import "testing"

// What the schemes set, nobody has to give a value for; how a name is spelled
// matters as little as where credentials replace what is there.
func TestFills(t *testing.T) {
	a, err := New(APIKey{Place{"header", "X-Key"}}, APIKey{Place{"query", "api_key"}}, APIKey{Place{"cookie", "session"}}, Basic{})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		in, name string
		want     bool
	}{
		{"header", "X-Key", true}, {"header", "x_key", true}, {"header", "Authorization", true}, {"header", "api_key", false},
		{"query", "api_key", true}, {"query", "X-Key", false}, {"cookie", "session", true}, {"cookie", "api_key", false},
		{"path", "api_key", false}, {"", "X-Key", false},
	} {
		if got := a.Fills(test.in, test.name); got != test.want {
			t.Errorf("%s %s: %v", test.in, test.name, got)
		}
	}
}
