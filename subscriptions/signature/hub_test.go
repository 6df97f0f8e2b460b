package signature

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// GitHub's example.
const (
	hubText  = "It's a Secret to Everybody"
	hubBody  = "Hello, World!"
	hubValue = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
)

func hubSecret(t testing.TB, text string) HubSecret {
	t.Helper()
	s, err := ParseHubSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestHub(t *testing.T) {
	secret, other := hubSecret(t, hubText), hubSecret(t, vectorSecret)
	h := http.Header{"x-hub_signature.256": {"x"}, "X-Hub-Signature": {"sha1=x"}}
	if err := SignHub(h, []byte(hubBody), secret); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(h, http.Header{HubField: {hubValue}, "X-Hub-Signature": {"sha1=x"}}) {
		t.Errorf("%v", h)
	}
	sum, err := ParseHub(h)
	if err != nil {
		t.Fatal(err)
	}
	for body, wants := range map[string][]struct {
		index   int
		secrets []HubSecret
	}{
		hubBody:        {{0, []HubSecret{secret}}, {1, []HubSecret{other, secret}}, {-1, []HubSecret{other, {}}}, {-1, nil}},
		hubBody[1:]:    {{-1, []HubSecret{secret, other}}},
		"":             {{-1, []HubSecret{secret, other}}},
		"\n" + hubBody: {{-1, []HubSecret{secret, other}}},
	} {
		for _, want := range wants {
			index, err := sum.Match([]byte(body), want.secrets...)
			if index != want.index || (err == nil) != (index >= 0) || err != nil && !errors.Is(err, ErrNoMatch) {
				t.Errorf("%q, %d secrets: %d %v", body, len(want.secrets), index, err)
			}
		}
	}
	if err := SignHub(h, nil, HubSecret{}); err == nil || h.Get(HubField) != hubValue {
		t.Errorf("signed with nothing: %v %v", err, h)
	}
	for text, wantErr := range map[string]string{"": "empty", vectorPublic: "public key"} {
		if s, err := ParseHubSecret(text); err == nil || !strings.Contains(err.Error(), wantErr) || !s.IsZero() {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseHub(t *testing.T) {
	for value, want := range map[string]error{
		hubValue: nil,
		"sha256=" + strings.ToUpper(hubValue[7:]): nil,
		"":                                ErrMissing,
		"sha256=":                         ErrMalformed,
		hubValue[7:]:                      ErrMalformed,
		"SHA256=" + hubValue[7:]:          ErrMalformed,
		"sha1=" + hubValue[7:47]:          ErrMalformed,
		"sha512=" + hubValue[7:]:          ErrMalformed,
		hubValue + "00":                   ErrMalformed,
		hubValue[:69]:                     ErrMalformed,
		hubValue[:70] + "g":               ErrMalformed,
		hubValue + " ":                    ErrMalformed,
		hubValue + "," + hubValue:         ErrMalformed,
		hubValue[:7] + " " + hubValue[8:]: ErrMalformed,
	} {
		sum, err := ParseHub(http.Header{HubField: {value}})
		if !errors.Is(err, want) || err != nil && sum != (HubSignature{}) {
			t.Errorf("%q: %v, want %v", value, err, want)
		}
	}
	for _, h := range []http.Header{{HubField: {hubValue, hubValue}}, {HubField: {hubValue}, "X_hub_signature_256": {"x"}}} {
		if _, err := ParseHub(h); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v: %v", h, err)
		}
	}
	if _, err := ParseHub(nil); !errors.Is(err, ErrMissing) {
		t.Error(err)
	}
}

func TestSignHook(t *testing.T) {
	secret, err := ParseHubSecret("key")
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{"X_hook_signature": {"x"}, "X-Hook-Signature": {"y", "z"}}
	if err := SignHook(h, []byte("The quick brown fox jumps over the lazy dog"), secret); err != nil {
		t.Fatal(err)
	}
	// as in RFC 4231's tradition: the best known vector there is
	if want := "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"; len(h) != 1 || h.Get("x-hook-signature") != want {
		t.Errorf("header %v", h)
	}
	if SignHook(h, nil, HubSecret{}) == nil {
		t.Error("it signs without a secret")
	}
}

func TestNamesOf(t *testing.T) {
	if _, err := NamesOf("X-Id", "x-time", "Sum"); err != nil {
		t.Error(err)
	}
	for _, names := range [][3]string{{"", "b", "c"}, {"a", "a", "c"}, {"a", "b", "A"}, {"a b", "b", "c"}, {"a", "b_c", "c"}, {"a", "b", "c-"}} {
		if _, err := NamesOf(names[0], names[1], names[2]); err == nil {
			t.Errorf("%q are taken", names)
		}
	}
}
