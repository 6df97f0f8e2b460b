package header

import (
	"net/http"
	"strings"
	"testing"
)

func TestSetHas(t *testing.T) {
	set := NewSet("blink-auth-userid", "Cookie")
	for name, want := range map[string]bool{
		"blink-auth-userid":      true,
		"Blink-Auth-Userid":      true,
		"BLINK-AUTH-USERID":      true,
		"blink_auth_userid":      true,
		"BLINK_AUTH-USERID":      true,
		"blink.auth.userid":      true,
		"blink auth userid":      true,
		"blink._auth-userid":     false,
		"blink-auth-userid2":     false,
		"blink-auth-useri":       false,
		"xblink-auth-userid":     false,
		"":                       false,
		"cookie":                 true,
		"COOKIE":                 true,
		"cookie2":                false,
		"blink-auth-user\u0131d": false, // no Unicode case folding
	} {
		if got := set.Has(name); got != want {
			t.Errorf("Has(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestSetStrip(t *testing.T) {
	set := NewSet("blink-auth-userid")
	h := http.Header{
		"Blink-Auth-Userid": {"a", "b"},
		"blink-auth-userid": {"c"},
		"BLINK_auth.USERID": {"d"},
		"X-Kept":            {"e"},
	}
	set.Strip(h)
	if len(h) != 1 || h.Get("X-Kept") != "e" {
		t.Errorf("left: %v", h)
	}
}

func TestSetStripTrailers(t *testing.T) {
	set := NewSet("blink-auth-userid")
	h := http.Header{
		http.TrailerPrefix + "Blink_Auth_Userid": {"a"},
		http.TrailerPrefix + "X-Kept":            {"b"},
		"Blink-Auth-Userid":                      {"c"},
		"Content-Type":                           {"d"},
		http.TrailerPrefix:                       {"e"},
	}
	set.StripTrailers(h)
	if len(h) != 3 || h[http.TrailerPrefix+"X-Kept"] == nil || h["Content-Type"] == nil {
		t.Errorf("left: %v", h)
	}
}

// Has agrees with the folding that CGI-like servers do.
func FuzzHas(f *testing.F) {
	for _, seed := range []string{"Blink_Auth.Userid", "blink-auth-userid", "x"} {
		f.Add(seed)
	}
	set := NewSet("blink-auth-userid")
	f.Fuzz(func(t *testing.T, name string) {
		upper := strings.ToUpper(strings.NewReplacer("-", "_", ".", "_", " ", "_").Replace(name))
		isASCII := strings.IndexFunc(name, func(r rune) bool { return r > 0x7f }) < 0
		if want := isASCII && upper == "BLINK_AUTH_USERID"; set.Has(name) != want {
			t.Fatalf("Has(%q) = %v", name, !want)
		}
	})
}
