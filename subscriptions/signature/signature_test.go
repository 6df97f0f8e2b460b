package signature

import (
	"bytes"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The published vectors: v1 is the reference libraries', v1a is the example of
// the specification, whose keys are in Svix's documentation.
const (
	vectorSecret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorPrivate = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	vectorPublic  = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
	vectorID      = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorTime    = 1614265330
	vectorBody    = `{"test": 2432232314}`
	vectorV1      = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	vectorV1a     = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)

func parsed(t testing.TB, text string) Secret {
	t.Helper()
	s, err := ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func verifier(t testing.TB, text string) Verifier {
	t.Helper()
	v, err := ParseVerifier(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVectors(t *testing.T) {
	shared, private := parsed(t, vectorSecret), parsed(t, vectorPrivate)
	for want, secrets := range map[string][]Secret{
		vectorV1:                   {shared},
		vectorV1a:                  {private},
		vectorV1 + " " + vectorV1a: {shared, private},
		vectorV1a + " " + vectorV1 + " " + vectorV1: {private, shared, shared},
	} {
		h := make(http.Header)
		if err := Sign(h, Names{}, vectorID, time.Unix(vectorTime, 999), []byte(vectorBody), secrets...); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(h, http.Header{
			"Webhook-Id": {vectorID}, "Webhook-Timestamp": {"1614265330"}, "Webhook-Signature": {want},
		}) {
			t.Errorf("%v", h)
		}
		for _, key := range []Verifier{verifier(t, vectorSecret), verifier(t, vectorPublic), shared, private} {
			m, err := Verify(h, Names{}, []byte(vectorBody), time.Unix(vectorTime, 0), DefaultTolerance, NewSecret(), key, NewKeyPair())
			_, isPublic := key.(PublicKey)
			known := strings.Contains(want, "v1,")
			if isPublic || key == Verifier(private) {
				known = strings.Contains(want, "v1a,")
			}
			if (err == nil) != known {
				t.Errorf("%s with %v: %v", want, key, err)
			}
			if err == nil && (m.ID != vectorID || m.Timestamp != vectorTime) {
				t.Errorf("%+v", m)
			}
		}
	}
}

// What is signed stands alone under its names, and what cannot be signed leaves
// the header as it was.
func TestSignHeader(t *testing.T) {
	svix, err := NewNames("svix")
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{
		"Svix-Id": {"a", "b"}, "svix_signature": {"c"}, "SVIX-TIMESTAMP": {"1"}, "Webhook-Id": {"d"}, "X": {"y"},
	}
	before := h.Clone()
	secret := parsed(t, vectorSecret)
	for name, fails := range map[string]func() error{
		"no secret":   func() error { return Sign(h, svix, "id", time.Unix(1, 0), nil) },
		"zero secret": func() error { return Sign(h, svix, "id", time.Unix(1, 0), nil, secret, Secret{}) },
		"many secrets": func() error {
			return Sign(h, svix, "id", time.Unix(1, 0), nil, slices.Repeat([]Secret{secret}, MaxSignatures+1)...)
		},
		"no id":        func() error { return Sign(h, svix, "", time.Unix(1, 0), nil, secret) },
		"dot in id":    func() error { return Sign(h, svix, "a.b", time.Unix(1, 0), nil, secret) },
		"line in id":   func() error { return Sign(h, svix, "a\r\nb: c", time.Unix(1, 0), nil, secret) },
		"time is zero": func() error { return Sign(h, svix, "id", time.Time{}, nil, secret) },
	} {
		if err := fails(); err == nil || !reflect.DeepEqual(h, before) {
			t.Errorf("%s: %v %v", name, err, h)
		}
	}
	if err := Sign(h, svix, "id", time.Unix(0, 0), nil, secret); err != nil {
		t.Fatal(err)
	}
	if len(h) != 5 || h.Get("Svix-Id") != "id" || h.Get("Svix-Timestamp") != "0" || len(h["Svix-Id"]) != 1 || h.Get("Webhook-Id") != "d" {
		t.Errorf("%v", h)
	}
	h.Add("Svix-Id", "x")
	if h.Get("Svix-Timestamp") != "0" || !strings.HasPrefix(h.Get("Svix-Signature"), "v1,") {
		t.Errorf("a value added to one field is in another: %v", h)
	}
}

// With both secrets at either end, a secret is changed without a gap.
func TestRotation(t *testing.T) {
	old, renewed, pair := NewSecret(), NewSecret(), NewKeyPair()
	public, _ := pair.PublicKey()
	now := time.Now()
	for _, tc := range []struct {
		signed []Secret
		keys   []Verifier
		want   int
	}{
		{[]Secret{old}, []Verifier{old}, 0},
		{[]Secret{renewed, old}, []Verifier{old}, 0},
		{[]Secret{renewed, old}, []Verifier{renewed}, 0},
		{[]Secret{renewed, old}, []Verifier{renewed, old}, 0},
		{[]Secret{renewed, old}, []Verifier{old, renewed}, 0},
		{[]Secret{renewed}, []Verifier{old, renewed}, 1},
		{[]Secret{old}, []Verifier{public, renewed, old}, 2},
		{[]Secret{pair, old}, []Verifier{renewed, public}, 1},
		{[]Secret{renewed}, []Verifier{old}, -1},
		{[]Secret{pair}, []Verifier{old, NewKeyPair()}, -1},
		{[]Secret{old}, []Verifier{public}, -1},
		{[]Secret{old}, []Verifier{Secret{}, PublicKey{}}, -1},
		{[]Secret{pair}, []Verifier{Secret{}, PublicKey{}}, -1},
		{[]Secret{old}, nil, -1},
	} {
		h := make(http.Header)
		if err := Sign(h, Names{}, "id", now, []byte("body"), tc.signed...); err != nil {
			t.Fatal(err)
		}
		m, err := Parse(h, Names{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := m.Match([]byte("body"), tc.keys...); got != tc.want || (err == nil) != (got >= 0) {
			t.Errorf("%d signatures, %d keys: %d, %v, want %d", len(tc.signed), len(tc.keys), got, err, tc.want)
		}
	}
}

func TestSignIsConcurrent(t *testing.T) {
	secret := parsed(t, vectorSecret)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			body := bytes.Repeat([]byte{byte(n)}, 1000*n)
			for range 50 {
				h := make(http.Header)
				if err := Sign(h, Names{}, "id", time.Now(), body, secret, parsed(t, vectorSecret)); err != nil {
					t.Error(err)
				}
				one, other, _ := strings.Cut(h.Get("Webhook-Signature"), " ")
				if _, err := Verify(h, Names{}, body, time.Now(), time.Minute, secret); err != nil || one != other {
					t.Error(h, err)
				}
			}
		})
	}
	wg.Wait()
}

// Signing does not copy the body.
func TestSignAllocations(t *testing.T) {
	secret := parsed(t, vectorSecret)
	h := make(http.Header)
	body := make([]byte, 1<<20)
	const times = 10
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		if err := Sign(h, Names{}, vectorID, time.Unix(vectorTime, 0), body, secret, secret); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / times; each > 64<<10 {
		t.Errorf("signing 1 MiB allocates %d bytes", each)
	}
}

func TestNames(t *testing.T) {
	for prefix, valid := range map[string]bool{
		"svix": true, "X-My-Hook": true, "a": true, strings.Repeat("a", 64): true,
		"": false, strings.Repeat("a", 65): false, "a_b": false, "a.b": false, "a b": false, "-a": false, "a-": false,
		"é": false, "a:": false, "a\n": false, "-": false,
	} {
		names, err := NewNames(prefix)
		if (err == nil) != valid || (CheckPrefix(prefix) == nil) != valid {
			t.Errorf("%q: %v", prefix, err)
		}
		if valid && names.id.name != http.CanonicalHeaderKey(prefix+"-id") {
			t.Errorf("%q: %s", prefix, names.id.name)
		}
	}
}

func TestValidID(t *testing.T) {
	for id, valid := range map[string]bool{
		"a": true, vectorID: true, "!~,:/": true, strings.Repeat("x", 255): true,
		"": false, strings.Repeat("x", 256): false, ".": false, "a.b": false, "a b": false, "a\x7f": false, "\x00": false,
		"é": false, "\xff": false, "a\t": false,
	} {
		if ValidID(id) != valid {
			t.Errorf("%q: %v", id, !valid)
		}
	}
}
