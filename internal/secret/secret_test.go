package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddyserver/caddy/v2"
)

func TestResolve(t *testing.T) {
	t.Setenv("SECRET_TEST", "from-env")
	t.Setenv("SECRET_EMPTY", "")
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		configured, want, wantErr string
		literal                   bool
	}{
		{configured: "{env.SECRET_TEST}", want: "from-env"},
		{configured: "{file." + file + "}", want: "from-file"},
		{configured: "Bearer {env.SECRET_TEST}", want: "Bearer from-env"},
		{configured: "literal", want: "literal", literal: true},
		{configured: "pa{ss}word", want: "pa{ss}word", literal: true},
		{configured: `{"token":"x"}`, want: `{"token":"x"}`, literal: true},
		{configured: `{"a":{"b":[{}]}}`, want: `{"a":{"b":[{}]}}`, literal: true},
		{configured: "{hunter2}", want: "{hunter2}", literal: true},
		{configured: `{"token":"{env.SECRET_TEST}"}`, want: `{"token":"from-env"}`},
		{configured: `{"token":"{env.SECRET_MISSING}"}`, wantErr: "{env.SECRET_MISSING}"},
		{configured: "", wantErr: "empty"},
		{configured: "{env.SECRET_EMPTY}", wantErr: "{env.SECRET_EMPTY}"},
		{configured: "{env.SECRET_MISSING}", wantErr: "{env.SECRET_MISSING}"},
		{configured: "Bearer {env.SECRET_MISSING}", wantErr: "{env.SECRET_MISSING}"},
		{configured: "{file." + file + ".missing}", wantErr: "is empty"},
		{configured: "{no.such.placeholder}", wantErr: "{no.such.placeholder}"},
	} {
		got, err := Resolve(caddy.NewReplacer(), tc.configured)
		if tc.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("%q: error %v, want one with %q", tc.configured, err, tc.wantErr)
			}
			continue
		}
		if err != nil || got.Reveal() != tc.want {
			t.Errorf("%q: %q, %v; want %q", tc.configured, got.Reveal(), err, tc.want)
		}
		if IsLiteral(tc.configured) != tc.literal {
			t.Errorf("IsLiteral(%q) = %v", tc.configured, !tc.literal)
		}
	}
}

// S40: nothing that prints or encodes a Value shows the secret.
func TestValueIsNeverPrinted(t *testing.T) {
	const plain = "s3cr3t"
	v, err := Resolve(caddy.NewReplacer(), plain)
	if err != nil {
		t.Fatal(err)
	}
	holder := struct {
		Public  Value
		private Value
		ptr     *Value
	}{v, v, &v}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%U", "%t", "%10.3s"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", v, &v, holder)
	}
	asJSON, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(asJSON)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "a", v, "b", holder)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "a", v, "b", holder)
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(&out), zapcore.DebugLevel)
	zap.New(core).Info("x", zap.Any("a", v), zap.Any("b", holder), zap.Stringer("c", v), zap.Reflect("d", &v))
	fmt.Fprint(&out, errors.Join(fmt.Errorf("wrapped: %v", v)))
	func() {
		defer func() { fmt.Fprint(&out, recover()) }()
		panic(v)
	}()

	if strings.Contains(out.String(), plain) || strings.Contains(out.String(), "733363723374") {
		t.Errorf("the secret is printed:\n%s", out.String())
	}
	if !strings.Contains(out.String(), redacted) {
		t.Error("nothing was printed")
	}
}

func TestFingerprint(t *testing.T) {
	// sha256("abc") begins with ba7816bf (FIPS 180-2, appendix B.1)
	if got := Fingerprint("abc"); got != "ba7816bf" {
		t.Errorf("got %s", got)
	}
}
