package datastore

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func ringOf(t *testing.T, texts ...string) *KeyRing {
	t.Helper()
	ring, err := newKeyRing(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestKeyRing(t *testing.T) {
	first, second := NewKey(), NewKey()
	old, rotated, other := ringOf(t, first), ringOf(t, second+"\n"+first+"\n"), ringOf(t, second)
	secret, place := []byte("secret"), []byte("table/row 1")

	sealed := old.Seal(secret, place)
	for name, ring := range map[string]*KeyRing{"old": old, "rotated": rotated} {
		if plain, err := ring.Open(sealed, place); err != nil || !bytes.Equal(plain, secret) {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
	}
	if !old.Current(sealed) || rotated.Current(sealed) || !rotated.Current(rotated.Seal(secret, place)) {
		t.Error("Current is wrong")
	}
	if bytes.Equal(sealed, old.Seal(secret, place)) || bytes.Contains(sealed, secret) {
		t.Error("not sealed, or with the same nonce")
	}
	if empty, err := old.Open(old.Seal(nil, nil), nil); err != nil || len(empty) != 0 {
		t.Errorf("nothing, sealed: %q, %v", empty, err)
	}

	if _, err := other.Open(sealed, place); !errors.Is(err, ErrUnknownKey) || !strings.Contains(err.Error(), old.keys[0].id.String()) {
		t.Errorf("without the key: %v", err)
	}
	for name, open := range map[string]struct {
		sealed, place []byte
		want          error
	}{
		"another row":       {sealed, []byte("table/row 2"), ErrNotAuthentic},
		"no row":            {sealed, nil, ErrNotAuthentic},
		"cut":               {sealed[:len(sealed)-1], place, ErrNotAuthentic},
		"only a header":     {sealed[:headerSize], place, ErrNotAuthentic},
		"changed":           {append(bytes.Clone(sealed[:len(sealed)-1]), sealed[len(sealed)-1]^1), place, ErrNotAuthentic},
		"no header":         {sealed[:headerSize-1], place, ErrMalformed},
		"nothing":           {nil, place, ErrMalformed},
		"a version to come": {append([]byte{2}, sealed[1:]...), place, ErrMalformed},
		"plain text":        {[]byte("a password in clear"), place, ErrMalformed},
	} {
		if _, err := old.Open(open.sealed, open.place); !errors.Is(err, open.want) {
			t.Errorf("%s: %v, want %v", name, err, open.want)
		}
		if open.want == ErrMalformed && old.Current(open.sealed) {
			t.Errorf("%s: current", name)
		}
	}
}

// An operator sees how worn a key is.
func TestKeyRingCounts(t *testing.T) {
	used, unused := NewKey(), NewKey()
	ring := ringOf(t, used+" "+unused)
	for range 3 {
		sealed := ring.Seal([]byte("secret"), nil)
		if _, err := ring.Open(sealed, nil); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []float64{3, 0} {
		if got := testutil.ToFloat64(seals.WithLabelValues(ring.keys[i].id.String())); got != want {
			t.Errorf("key %d: %v uses, want %v", i+1, got, want)
		}
	}
}

func TestKeyRingRefuses(t *testing.T) {
	key := NewKey()
	for name, tc := range map[string]struct{ text, wantErr string }{
		"nothing":    {" \n", "there is no key"},
		"short":      {"c2hvcnQ=", "key 1 is not 32 bytes"},
		"no base64":  {key + " ***", "key 2 is not 32 bytes"},
		"hex":        {strings.Repeat("ab", 32), "key 1 is not 32 bytes"},
		"long":       {base64.StdEncoding.EncodeToString(make([]byte, 33)), "key 1 is not 32 bytes"},
		"same twice": {key + "\n" + key, "key 2 is there twice"},
	} {
		if _, err := newKeyRing(tc.text); err == nil || !strings.Contains(err.Error(), tc.wantErr) || strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v, want %s", name, err, tc.wantErr)
		}
	}
}

// S40: nothing that prints or encodes a ring shows its keys.
func TestKeyRingIsNeverPrinted(t *testing.T) {
	text := NewKey()
	plain, _ := base64.StdEncoding.DecodeString(text)
	ring := ringOf(t, text)
	holder := struct {
		Public  *KeyRing
		private *KeyRing
		value   KeyRing
		DB      *DB
	}{ring, ring, *ring, &DB{configured: ring}}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+" "+verb+"\n", ring, *ring, holder.private, holder)
	}
	encoded, err := json.Marshal(struct{ A, B any }{ring, *ring})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(&out), zapcore.DebugLevel)
	zap.New(core).Info("x", zap.Any("a", ring), zap.Any("b", *ring), zap.Reflect("c", ring))

	printed := out.String()
	decimal := strings.Trim(fmt.Sprint(plain[:8]), "[]")
	for _, form := range []string{text, fmt.Sprintf("%x", plain[:8]), fmt.Sprintf("%X", plain[:8]), decimal, string(plain[:8])} {
		if strings.Contains(printed, form) {
			t.Errorf("the key is printed:\n%s", printed)
		}
	}
	if !strings.Contains(printed, "REDACTED") {
		t.Error("nothing was printed")
	}
}
