package signature

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// encodedOf is the base64 of n bytes.
func encodedOf(n int) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0x5a}, n)) }

func TestParseSecret(t *testing.T) {
	private := encodedOf(32)
	swapped := base64.StdEncoding.EncodeToString(append(bytes.Repeat([]byte{0x5a}, 32), bytes.Repeat([]byte{1}, 32)...))
	for text, wantErr := range map[string]string{
		vectorSecret:                          "",
		vectorSecret[6:]:                      "",
		"whsec_" + encodedOf(24):              "",
		"whsec_" + encodedOf(64):              "",
		encodedOf(32):                         "",
		vectorPrivate:                         "",
		"whsk_" + private:                     "",
		"":                                    "the secret is empty",
		"whsec_":                              "the secret has 0 bytes",
		"whsec_" + encodedOf(23):              "the secret has 23 bytes; it must have 24 to 64",
		"whsec_" + encodedOf(65):              "the secret has 65 bytes",
		encodedOf(16):                         "the secret has 16 bytes",
		"whsec_" + encodedOf(32)[:43]:         "is not base64",
		"whsec_" + encodedOf(32) + "=":        "is not base64",
		"whsec_" + encodedOf(32) + "\n":       "is not base64",
		"whsec_" + encodedOf(24) + "\r\n":     "is not base64",
		" whsec_" + encodedOf(24):             "is not base64",
		"whsec_whsec_" + encodedOf(24):        "is not base64",
		"WHSEC_" + encodedOf(24):              "is not base64",
		"whsec_" + encodedOf(31)[:41] + "h==": "is not base64", // bits that are not zero
		"whsec_" + strings.Repeat("-_", 16):   "is not base64",
		"a secret of words":                   "is not base64",
		vectorPublic:                          "this is a public key",
		"whsk_":                               "the private key is not",
		"whsk_" + encodedOf(31):               "the private key is not",
		"whsk_" + encodedOf(33):               "the private key is not",
		"whsk_" + encodedOf(63):               "the private key is not",
		"whsk_" + private + "\n":              "the private key is not",
		"whsk_" + swapped:                     "the halves of the private key",
		"whsk_" + vectorSecret[6:]:            "the private key is not",
	} {
		s, err := ParseSecret(text)
		if wantErr == "" {
			if err != nil || s.IsZero() || s.Reveal() == "" {
				t.Errorf("%q: %v", text, err)
			} else if again, err := ParseSecret(s.Reveal()); err != nil || again.Reveal() != s.Reveal() {
				t.Errorf("%q: %v %v", text, again.Reveal(), err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), wantErr) || !s.IsZero() {
			t.Errorf("%q: %v, want %s", text, err, wantErr)
		}
		if secret := strings.TrimSpace(text); err != nil && len(secret) > 8 && strings.Contains(err.Error(), secret[6:]) {
			t.Errorf("the error holds the secret: %v", err)
		}
	}
	for text, want := range map[string]string{
		vectorSecret: vectorSecret, vectorSecret[6:]: vectorSecret, vectorPrivate: vectorPrivate,
		"whsk_" + vectorPrivate[5:][:42] + "c=": vectorPrivate, // the seed alone
	} {
		if s, err := ParseSecret(text); err != nil || s.Reveal() != want {
			t.Errorf("%s: %s %v", text, s.Reveal(), err)
		}
	}
	if (Secret{}).Reveal() != "" || !(Secret{}).IsZero() || !(HubSecret{}).IsZero() {
		t.Error("the zero secret is not zero")
	}
}

func TestPublicKey(t *testing.T) {
	public, ok := parsed(t, vectorPrivate).PublicKey()
	if !ok || public.String() != vectorPublic || fmt.Sprint(public) != vectorPublic {
		t.Errorf("%v %v", public, ok)
	}
	for _, secret := range []Secret{{}, NewSecret()} {
		if public, ok := secret.PublicKey(); ok || !public.IsZero() || public.String() != "" {
			t.Errorf("%v has a public key: %v", secret, public)
		}
	}
	for text, valid := range map[string]bool{
		vectorPublic: true, "whpk_" + encodedOf(32): true,
		"": false, vectorPublic[5:]: false, "whpk_": false, "whpk_" + encodedOf(31): false, "whpk_" + encodedOf(33): false,
		vectorPublic + "\n": false, " " + vectorPublic: false, "whsk_" + vectorPublic[5:]: false, vectorSecret: false,
		"whpk_" + encodedOf(32)[:43]: false,
	} {
		if public, err := ParsePublicKey(text); (err == nil) != valid || public.IsZero() == valid {
			t.Errorf("%q: %v %v", text, public, err)
		}
	}
	for text, wantErr := range map[string]string{
		vectorPublic: "", vectorSecret: "", vectorSecret[6:]: "",
		vectorPrivate: "this is a private key", "whpk_x": "the public key is not", "x": "is not base64", "": "is empty",
	} {
		_, err := ParseVerifier(text)
		if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// For each of the weak keys, a signature of nothing is good for some message.
func TestWeakKeys(t *testing.T) {
	forged := append([]byte{1}, make([]byte, 63)...) // R is the neutral point, S is 0
	for _, encoded := range weakKeys {
		for _, sign := range []byte{0, 0x80} {
			key, err := hex.DecodeString(encoded)
			if err != nil {
				t.Fatal(err)
			}
			key[31] |= sign
			if _, err := ParsePublicKey("whpk_" + base64.StdEncoding.EncodeToString(key)); err == nil || !strings.Contains(err.Error(), "anybody") {
				t.Errorf("%x: %v", key, err)
			}
			found := false
			for n := range 500 {
				found = found || ed25519.Verify(key, fmt.Append(nil, n), forged)
			}
			if !found && sign == 0 {
				t.Errorf("%x is not weak", key)
			}
		}
	}
}

func TestNewSecret(t *testing.T) {
	seen := make(map[string]bool)
	for _, make := range []func() Secret{NewSecret, NewKeyPair} {
		for range 10 {
			s := make()
			if again, err := ParseSecret(s.Reveal()); err != nil || again.Reveal() != s.Reveal() || seen[s.Reveal()] {
				t.Errorf("%v", err)
			}
			seen[s.Reveal()] = true
		}
	}
	if len(NewSecret().Reveal()) != len("whsec_")+44 || len(NewKeyPair().Reveal()) != len("whsk_")+88 {
		t.Error("not of 32 and of 64 bytes")
	}
}

// Nothing that prints or encodes a secret shows it.
func TestSecretIsNeverPrinted(t *testing.T) {
	hub, err := ParseHubSecret(vectorSecret)
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(vectorSecret[6:])
	if err != nil {
		t.Fatal(err)
	}
	seed, err := base64.StdEncoding.DecodeString(vectorPrivate[5:])
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{parsed(t, vectorSecret), parsed(t, vectorPrivate), hub} {
		holder := struct {
			Public  any
			private any
			secret  Secret
			secrets []Secret
			hub     HubSecret
			pointer *Secret
		}{v, v, parsed(t, vectorSecret), []Secret{parsed(t, vectorPrivate)}, hub, new(parsed(t, vectorSecret))}
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%U", "%t", "%p", "%10.3s"} {
			fmt.Fprintf(&out, verb+verb+verb+"\n", v, &v, holder)
			fmt.Fprintf(&out, verb, []any{v})
		}
		encoded, err := json.Marshal(map[string]any{"a": v, "b": holder})
		if err != nil {
			t.Fatal(err)
		}
		out.Write(encoded)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "a", v, "b", holder)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "a", v, "b", holder)
		core := zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(&out), zapcore.DebugLevel)
		zap.New(core).Info("x", zap.Any("a", v), zap.Any("b", holder), zap.Reflect("d", &v))
		fmt.Fprint(&out, fmt.Errorf("wrapped: %v", v))

		for _, plain := range [][]byte{key, seed[:32]} {
			for _, shown := range []string{
				base64.StdEncoding.EncodeToString(plain)[:30], hex.EncodeToString(plain), string(plain),
				strings.Trim(fmt.Sprint(plain), "[]"), fmt.Sprintf("%X", plain),
			} {
				if strings.Contains(out.String(), shown) {
					t.Errorf("the secret is printed: %s", out.String())
				}
			}
		}
		if !strings.Contains(out.String(), redaction) {
			t.Error("nothing was printed")
		}
	}
}
