package receiver

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddyserver/caddy/v2"
)

func TestProvision(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(currentSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("RECEIVER_EMPTY", "")
	t.Setenv("RECEIVER_GOOD", currentSecret)
	t.Setenv("RECEIVER_BARE", strings.TrimPrefix(previousSecret, "whsec_"))
	t.Setenv("RECEIVER_PUBLIC", publicKey)
	t.Setenv("RECEIVER_PRIVATE", privateKey)
	t.Setenv("RECEIVER_WORDS", "correct horse battery staple")
	t.Setenv("RECEIVER_SHORT", "whsec_c2hvcnQtc2hvcnQ=")
	for config, wantErr := range map[string]string{
		`{"secrets":["{env.RECEIVER_GOOD}","{env.RECEIVER_BARE}","{env.RECEIVER_PUBLIC}"]}`:  "",
		`{"secrets":["{file.` + file + `}"],"tolerance":"1s","max_body":1}`:                  "",
		`{"secrets":["{env.RECEIVER_GOOD}"],"tolerance":"1h","header_prefix":"svix"}`:        "",
		`{"secrets":["{env.RECEIVER_WORDS}","{env.RECEIVER_PRIVATE}"],"hub_signature":true}`: "",
		`{}`:               "a secret is required",
		`{"secrets":[]}`:   "a secret is required",
		`{"secrets":[""]}`: "secret 1: empty secret",
		`{"secrets":["{env.RECEIVER_GOOD}","{env.RECEIVER_EMPTY}"]}`:    "secret 2: evaluated placeholder {env.RECEIVER_EMPTY} is empty",
		`{"secrets":["{env.RECEIVER_NONE}"]}`:                           "secret 1: evaluated placeholder {env.RECEIVER_NONE} is empty",
		`{"secrets":["{file.` + file + `.missing}"]}`:                   "is empty",
		`{"secrets":["whsec_{env.RECEIVER_EMPTY}"]}`:                    "secret 1: evaluated placeholder",
		`{"secrets":["{http.request.header.X}"]}`:                       "secret 1: unrecognized placeholder",
		`{"secrets":["{env.RECEIVER_WORDS}"]}`:                          "secret 1: the secret is not base64",
		`{"secrets":["{env.RECEIVER_GOOD}","{env.RECEIVER_SHORT}"]}`:    "secret 2: the secret has 11 bytes; it must have 24 to 64",
		`{"secrets":["{env.RECEIVER_PRIVATE}"]}`:                        "secret 1: this is a private key",
		`{"secrets":["whpk_AAAA"]}`:                                     "secret 1: the public key is not",
		`{"secrets":["{env.RECEIVER_PUBLIC}"],"hub_signature":true}`:    "secret 1: this is a public key",
		`{"secrets":["{env.RECEIVER_EMPTY}"],"hub_signature":true}`:     "secret 1: evaluated placeholder",
		`{"secrets":["{env.RECEIVER_GOOD}"],"tolerance":"999ms"}`:       "tolerance must be 1s to 1h0m0s, not 999ms",
		`{"secrets":["{env.RECEIVER_GOOD}"],"tolerance":-1}`:            "tolerance must be 1s to 1h0m0s",
		`{"secrets":["{env.RECEIVER_GOOD}"],"tolerance":"61m"}`:         "tolerance must be 1s to 1h0m0s",
		`{"secrets":["{env.RECEIVER_GOOD}"],"max_body":-1}`:             "max_body is negative: -1",
		`{"secrets":["{env.RECEIVER_GOOD}"],"header_prefix":"a_b"}`:     "only letters, digits and hyphens",
		`{"secrets":["x"],"hub_signature":true,"tolerance":"1m"}`:       "hub_signature has no timestamp",
		`{"secrets":["x"],"hub_signature":true,"header_prefix":"svix"}`: "hub_signature has no timestamp",
	} {
		h := new(Handler)
		if err := json.Unmarshal([]byte(config), h); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		err := h.Provision(ctx)
		cancel()
		if wantErr == "" {
			if err != nil {
				t.Errorf("%s: %v", config, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%s: %v, want %s", config, err, wantErr)
		}
		for _, name := range []string{"WORDS", "SHORT", "PRIVATE", "PUBLIC"} {
			if plain := os.Getenv("RECEIVER_" + name); err != nil && strings.Contains(err.Error(), plain) {
				t.Errorf("the error holds a secret: %v", err)
			}
		}
	}
}

// A secret in the config itself is warned of, without showing it; a public key
// is none.
func TestLiteralSecret(t *testing.T) {
	t.Setenv("RECEIVER_GOOD", currentSecret)
	core, logs := observer.New(zap.DebugLevel)
	h := &Handler{Secrets: []string{"{env.RECEIVER_GOOD}", previousSecret, publicKey}, logger: zap.New(core)}
	if err := h.provisionSecrets(); err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprint(logs.All())
	if logs.Len() != 1 || logs.All()[0].Level != zap.WarnLevel || logs.All()[0].ContextMap()["secret"] != int64(2) || strings.Contains(all, "whsec_") {
		t.Errorf("%s", all)
	}
	logs.TakeAll()
	h = &Handler{Secrets: []string{"{env.RECEIVER_GOOD}", "sh{o}rt"}, HubSignature: true, logger: zap.New(core)}
	if err := h.provisionSecrets(); err != nil {
		t.Fatal(err)
	}
	all = fmt.Sprint(logs.All())
	if logs.Len() != 2 || !strings.Contains(all, "the secret is short") || strings.Contains(all, "sh{o}rt") {
		t.Errorf("%s", all)
	}
}

// However the handler is printed, a resolved secret is not in it.
func TestSecretIsNotPrinted(t *testing.T) {
	for _, hub := range []bool{false, true} {
		h, _ := provisioned(t, &Handler{HubSignature: hub}, currentSecret, previousSecret)
		var printed strings.Builder
		encoded, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		printed.Write(encoded)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
			fmt.Fprintf(&printed, verb+verb, h, *h)
		}
		for _, text := range []string{currentSecret, previousSecret} {
			bare := strings.TrimPrefix(text, "whsec_")
			key, err := base64.StdEncoding.DecodeString(bare)
			if err != nil {
				t.Fatal(err)
			}
			digest := sha256.Sum256([]byte(bare))
			for _, plain := range [][]byte{[]byte(bare), key, digest[:]} {
				for _, shown := range []string{string(plain), fmt.Sprintf("%x", plain), fmt.Sprintf("%X", plain), strings.Trim(fmt.Sprint(plain), "[]")} {
					if strings.Contains(printed.String(), shown) {
						t.Errorf("%q in %s", shown, printed.String())
					}
				}
			}
		}
	}
}
