package receiver

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

func TestMembers(t *testing.T) {
	h := provisioned(t, new(Handler))
	const doc = ` {
		"text": "a + \u00e9 \ud83d\ude00 \"q\"\r\n\u0000", "empty": "", "null": null,
		"yes": true, "no": false, "int": 9223372036854775807, "huge": 1e400, "float": 1.50 ,
		"object": { "b" : [ 1 , { "c":"deep", "n": -0 } ] , "a":{}, "":"nameless" },
		"list": [ "zero", 1, null, [ ], [[["x"]]] ],
		"Text": "other case", "a.b": "with a dot", "\u00e9\u0000": "escaped name", "0": "zero as a name",
		"twice": 1, "twice": {"x": 2}, "half": "\ud800", "expand": "{env.HOME}", "": {"": "void"}
	}
	`
	for path, want := range map[string]string{
		"text": "a + é 😀 \"q\"\r\n\x00", "empty": "", "null": "", "missing": "",
		"yes": "true", "no": "false", "int": "9223372036854775807", "huge": "1e400", "float": "1.50",
		"object":       `{ "b" : [ 1 , { "c":"deep", "n": -0 } ] , "a":{}, "":"nameless" }`,
		"object.b":     `[ 1 , { "c":"deep", "n": -0 } ]`,
		"object.b.0":   "1",
		"object.b.1.c": "deep", "object.b.1.n": "-0", "object.b.1": `{ "c":"deep", "n": -0 }`,
		"object.a": "{}", "object.a.x": "", "object.": "nameless", ".": "void", "": `{"": "void"}`, "..": "",
		"list.0": "zero", "list.1": "1", "list.2": "", "list.3": "[ ]", "list.4.0.0.0": "x", "list.3.0": "",
		"list.5": "", "list.-1": "", "list.00": "", "list.+0": "", "list.": "", "list.x": "", "list.length": "",
		"list.99999999999999999999": "", "list.1.0": "", "list.2.x": "", "text.0": "", "int.0": "",
		"Text": "other case", "TEXT": "", "a.b": "", "é\x00": "escaped name", "0": "zero as a name",
		"twice": `{"x": 2}`, "twice.x": "2", "half": "\uFFFD", "expand": "{env.HOME}",
	} {
		for _, in := range [][3]string{
			{"instance_metadata", doc, "{}"},
			{"client_data", "m", doc},
		} {
			s := serve(t, h, newPost(formType, formOf(in[1], in[2])))
			for range 2 { // read, and remembered
				if got := s.placeholder(t, in[0]+"."+path); got != want {
					t.Errorf("%s.%s: %q, want %q", in[0], path, got, want)
				}
			}
		}
	}
}

// What isn't there is empty, and what isn't ours is not.
func TestOddPlaceholders(t *testing.T) {
	h := provisioned(t, new(Handler))
	for _, in := range [][2]string{
		{"", ""}, {"opaque", " "}, {"{", "null"}, {"{}", "[]"}, {`{"a":1} x`, `"a"`}, {"1e400", "1e400"}, {"\uFEFF{\"a\":1}", "0"},
	} {
		s := serve(t, h, newPost(formType, formOf(in[0], in[1])))
		for _, name := range []string{
			"instance_metadata.a", "instance_metadata.", "instance_metadata.0.1", "client_data.a", "client_data.0", "client_data..",
			"", "x", "client_datax", "Client_data", "instance_metadata ",
		} {
			if got := s.placeholder(t, name); got != "" {
				t.Errorf("%q, %s: %q", in, name, got)
			}
		}
		for _, name := range []string{"http.any_channel_service", "http.any_channel_servicex.a", "http.any_channel.client_data", "x"} {
			if got, known := s.repl.Get(name); known {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
}

// A replacer may be used from several goroutines.
func TestMembersConcurrently(t *testing.T) {
	d := &document{text: `{"a":{"b":["c","d"]},"e":"f"}`}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for path, want := range map[string]string{"a.b.0": "c", "a.b.1": "d", "e": "f", "a.b": `["c","d"]`} {
				if got := d.member(path); got != want {
					t.Errorf("%s: %q", path, got)
				}
			}
		})
	}
	wg.Wait()
}

// What was asked for once is not looked for again, nor is the text parsed again.
func TestMembersAreRemembered(t *testing.T) {
	for text, want := range map[string]string{`{"a":{"b":"c"}}`: "c", `{"a":{"b":"c"}`: ""} {
		d := &document{text: text}
		for range 2 {
			if got := d.member("a.b"); got != want {
				t.Errorf("%s: %q", text, got)
			}
			d.text = "other"
		}
	}
}

// FuzzMember checks members against encoding/json's own reading of a document.
func FuzzMember(f *testing.F) {
	f.Add(`{"a":{"b":[1,"x"]}}`, "a.b.1")
	f.Add(` [ {"a":"\ud83d\ude00"} , null, 1.0e2 ] `, "0.a")
	f.Add(`{"a":1,"a":"\u0000","":{"":"x"}}`, ".")
	f.Add(`{`, "a")
	f.Fuzz(func(t *testing.T, text, path string) {
		got := (&document{text: text}).member(path)
		if want := reference(text, path); utf8.ValidString(text) && got != want {
			t.Fatalf("%q: %q, want %q", path, got, want)
		}
		posted := &post{clientData: document{text: text}}
		if value, ok := posted.placeholder("http.any_channel_service.client_data." + path); !ok || value != got {
			t.Fatalf("%q: %v %v, want %q", path, value, ok, got)
		}
	})
}

func reference(text, path string) string {
	value := json.RawMessage(text)
	if !json.Valid(value) {
		return ""
	}
	for step := range strings.SplitSeq(path, ".") {
		var members map[string]json.RawMessage
		var elements []json.RawMessage
		if json.Unmarshal(value, &members) == nil {
			value = members[step]
		} else if json.Unmarshal(value, &elements) == nil {
			value = nil
			for i, element := range elements {
				if index, _ := json.Marshal(i); string(index) == step {
					value = element
				}
			}
		} else {
			value = nil
		}
		if value == nil {
			return ""
		}
	}
	var s *string
	if json.Unmarshal(value, &s) != nil {
		return string(value)
	}
	if s == nil {
		return ""
	}
	return *s
}
