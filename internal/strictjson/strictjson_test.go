package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

func TestObject(t *testing.T) {
	for encoded, want := range map[string]string{
		`{}`: "", `{"a":1}`: "a=1", " {\"a\" :\t[1, {\"a\":2}] , \"A\":null}\r\n": "A=null a=[1, {\"a\":2}]",
		`{"\u0061":"x"}`: `a="x"`, `{"":{}}`: "={}", `{"a":{"b":1,"b":2}}`: `a={"b":1,"b":2}`,
	} {
		members, err := Object([]byte(encoded))
		var got []string
		for name, value := range members {
			got = append(got, name+"="+string(value))
		}
		slices.Sort(got)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v", encoded, got, err)
		}
	}
	for encoded, want := range map[string]error{
		"": ErrNoObject, "null": ErrNoObject, "[]": ErrNoObject, `"a"`: ErrNoObject, "1": ErrNoObject, "{": ErrNoObject, `{"a"}`: ErrNoObject,
		`{"a":1,}`: ErrNoObject, `{"a":1 "b":2}`: ErrNoObject, `{"a":1}{}`: ErrNoObject, `{"a":1} x`: ErrNoObject, `{a:1}`: ErrNoObject, `{"a":01}`: ErrNoObject,
		"\ufeff{}": ErrNoObject, "{\"a\":\"\xff\"}": ErrNoObject, "{\"\xed\xa0\x80\":1}": ErrNoObject, strings.Repeat(`{"a":`, 20_000): ErrNoObject,
		`{"a":1,"a":1}`: ErrRepeated, `{"a":1,"b":2,"\u0061":3}`: ErrRepeated,
	} {
		if members, err := Object([]byte(encoded)); !errors.Is(err, want) || members != nil {
			t.Errorf("%.40q: %v, %v", encoded, members, err)
		}
	}
}

func TestText(t *testing.T) {
	for encoded, want := range map[string]string{
		`""`: "", `"a"`: "a", `"\u00e4\n\\u\"\/"`: "ä\n\\u\"/", `"\ud83d\udc4d"`: "👍", `"👍\ufffd�"`: "👍��", `"\\ud800"`: `\ud800`, `"\u0000"`: "\x00",
		`"\uD83D\uDC4Dx"`: "👍x",
	} {
		if got, ok := Text(json.RawMessage(encoded)); got != want || !ok {
			t.Errorf("%s: %q, %v", encoded, got, ok)
		}
	}
	for _, encoded := range []string{
		"", "null", "1", "true", "[]", "{}", `["a"]`, `"\ud800"`, `"\udc4d\ud83d"`, `"a\ud83dx\udc4d"`, `"\ud83d\n"`, `"\\\ud83d"`, `"\ud83d\\udc4d"`,
		`"\ud83d\ud83d\udc4d"`, `"\udfff`, `"\ud83d\u00e4"`,
	} {
		if got, ok := Text(json.RawMessage(encoded)); ok {
			t.Errorf("%s: %q", encoded, got)
		}
	}
}

// What is accepted is what encoding/json reads too, and no text is changed.
func FuzzObject(f *testing.F) {
	f.Add([]byte(`{"a":"\ud83d\udc4d"}`), []byte("\xd8\x3d\xdc\x4d"))
	f.Add([]byte(`{"a":[{}],"A":"\\u"}`), []byte("\xd8\x00\x00a"))
	f.Fuzz(func(t *testing.T, encoded, raw []byte) {
		if members, err := Object(encoded); err == nil {
			var want map[string]json.RawMessage
			if err := json.Unmarshal(encoded, &want); err != nil || len(want) != len(members) {
				t.Fatalf("%q: %v, not %v: %v", encoded, members, want, err)
			}
			for name, value := range members {
				if string(want[name]) != string(value) {
					t.Fatalf("%q: %q is %q, not %q", encoded, name, value, want[name])
				}
				Text(value)
			}
		}
		// a text that is written in escapes alone is the units that they stand for
		var units []uint16
		quoted := `"`
		for i := 0; i+1 < len(raw); i += 2 {
			units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
			quoted += fmt.Sprintf(`\u%04x`, units[len(units)-1])
		}
		text, ok := Text(json.RawMessage(quoted + `"`))
		if ok != slices.Equal(utf16.Encode(utf16.Decode(units)), units) || ok && !slices.Equal(utf16.Encode([]rune(text)), units) {
			t.Fatalf("%s: %q, %v", quoted, text, ok)
		}
	})
}
