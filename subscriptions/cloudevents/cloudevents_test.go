package cloudevents

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

const minimal = `"specversion":"1.0","id":"1","source":"/app","type":"task.create"`

func TestParseJSON(t *testing.T) {
	got, err := ParseJSON([]byte(`{` + minimal + `,"subject":"p ü","resourcetype":"project","accountid":42,"traceparent":"x","time":"whenever","other":{"a":1},"data": {"b": 1.0} }`))
	if err != nil {
		t.Fatal(err)
	}
	if got.ID != "1" || got.Source != "/app" || got.Type != "task.create" || got.Subject != "p ü" || got.ResourceType != "project" || got.AccountID != "42" || got.TraceParent != "x" || string(got.Data) != `{"b": 1.0}` {
		t.Errorf("event %+v", got)
	}
	got, err = ParseJSON([]byte(`{` + minimal + `,"subject":null,"accountid":"a","data_base64":null}`))
	if err != nil || got.Subject != "" || got.AccountID != "a" || got.Data != nil {
		t.Errorf("event %+v: %v", got, err)
	}
}

func TestParseJSONRefuses(t *testing.T) {
	for body, want := range map[string]string{
		``:                                    "not a JSON object",
		`null`:                                "not a JSON object",
		`[]`:                                  "not a JSON object",
		`"x"`:                                 "not a JSON object",
		`{}`:                                  "missing specversion",
		`{"Specversion":"1.0"}`:               "missing specversion",
		`{"specversion":null}`:                "missing specversion",
		`{"specversion":1.0}`:                 "invalid specversion",
		`{"specversion":"1.0"}`:               "missing id",
		`{"specversion":"1.0","id":1}`:        "invalid id",
		`{"specversion":"1.0","id":""}`:       "invalid id",
		`{"specversion":"1.0","id":"\n"}`:     "invalid id",
		`{"specversion":"1.0","id":"\u0085"}`: "invalid id",
		`{"specversion":"1.0","id":"\uffff"}`: "invalid id",
		`{"specversion":"1.0","id":"1"}`:      "missing source",
		`{"specversion":"1.0","id":"1","source":"x"}`:              "missing type",
		`{"specversion":"1.0","id":"1","source":"x","type":["y"]}`: "invalid type",
		`{"specversion":"0.3","id":"1","source":"x","type":"y"}`:   "the specversion is not 1.0",
		`{` + minimal + `,"subject":""}`:                           "invalid subject",
		`{` + minimal + `,"subject":7}`:                            "invalid subject",
		`{` + minimal + `,"resourcetype":1}`:                       "invalid resourcetype",
		`{` + minimal + `,"accountid":1.5}`:                        "invalid accountid",
		`{` + minimal + `,"accountid":1e3}`:                        "invalid accountid",
		`{` + minimal + `,"accountid":true}`:                       "invalid accountid",
		`{` + minimal + `,"accountid":{}}`:                         "invalid accountid",
		`{` + minimal + `,"traceparent":7}`:                        "invalid traceparent",
		`{` + minimal + `,"data_base64":"e30="}`:                   "the data is binary",
		`{` + minimal + `,"data":{},"data_base64":"e30="}`:         "the data is binary",
	} {
		_, err := ParseJSON([]byte(body))
		if wrong, ok := errors.AsType[*AttributeError](err); ok {
			kind := "invalid "
			if wrong.Missing {
				kind = "missing "
			}
			err = errors.New(kind + wrong.Name)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

func header(lines ...string) http.Header {
	h := http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"1"}, "Ce-Source": {"/app"}, "Ce-Type": {"task.create"}}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

func TestParseHeader(t *testing.T) {
	got, err := ParseHeader(header("ce-subject: Euro%20%E2%82%AC%20%F0%9F%98%80", "ce-accountid: 7", "ce-traceparent: x", "ce-time: whenever"))
	if err != nil || got.ID != "1" || got.Source != "/app" || got.Type != "task.create" || got.Subject != "Euro € 😀" || got.AccountID != "7" || got.TraceParent != "x" {
		t.Errorf("event %+v: %v", got, err)
	}
	for line, name := range map[string]string{
		"ce-id: 2":                             "id", // a second one
		"ce-subject: ":                         "subject",
		"ce-subject: %":                        "subject",
		"ce-subject: %C0%A0":                   "subject",
		"ce-datacontenttype: application/json": "datacontenttype",
	} {
		_, err := ParseHeader(header(line))
		if wrong, ok := errors.AsType[*AttributeError](err); !ok || wrong.Name != name || wrong.Missing {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, name := range []string{"Specversion", "Id", "Source", "Type"} {
		missing := header()
		missing.Del("Ce-" + name)
		_, err := ParseHeader(missing)
		if wrong, ok := errors.AsType[*AttributeError](err); !ok || wrong.Name != strings.ToLower(name) || !wrong.Missing {
			t.Errorf("without %s: %v", name, err)
		}
		if !IsBinary(missing) || !IsBinary(http.Header{"Ce-" + name: {""}}) {
			t.Errorf("%s does not tell an event", name)
		}
	}
	if IsBinary(http.Header{"Ce-Other": {"x"}, "Content-Type": {"application/json"}}) {
		t.Error("something else is an event")
	}
}

func TestDecodeHeader(t *testing.T) {
	for value, want := range map[string]string{
		"plain":     "plain",
		"a+b c":     "a+b c",
		"%61%62":    "ab",
		"%25%32%30": "%20", // one round
		"%e2%82%ac": "€",
		`"quoted"`:  "quoted",
		`"a\"b\\c"`: `a"b\c`,
		`"%20x"`:    " x",
		`""`:        "",
		`%22`:       `"`,
	} {
		if got, err := decodeHeader(value); err != nil || got != want {
			t.Errorf("%s: %q, %v", value, got, err)
		}
	}
	for _, value := range []string{
		"%", "%2", "%zz", "%C0%A0", "%FF", "%ED%A0%80", "%00", "%0A", "%7f", "%C2%80", "%EF%BF%BF", "€", "a\tb", "\x7f",
		`"`, `"a`, `"a\`, `"a\"`, `"a"b`, `a"b`, `"a" `,
	} {
		if got, err := decodeHeader(value); err == nil {
			t.Errorf("%q: %q", value, got)
		}
	}
}

// encodeHeader encodes a value as the binding says.
func encodeHeader(value string) string {
	var b strings.Builder
	for i := range len(value) {
		if c := value[i]; c > ' ' && c <= '~' && c != '"' && c != '%' {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(string("0123456789abcdef"[c>>4])+string("0123456789abcdef"[c&15])))
		}
	}
	return b.String()
}

func FuzzDecodeHeader(f *testing.F) {
	for _, value := range []string{"plain", "Euro%20%E2%82%AC%20%F0%9F%98%80", `"a\"b"`, "%C0%A0", "%", "a b", `"`, "€ \"%"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got, err := decodeHeader(value); err == nil {
			if !utf8.ValidString(got) || !validText(got) {
				t.Errorf("%q: %q", value, got)
			}
			if !strings.HasPrefix(value, `"`) {
				if same, err := url.PathUnescape(value); err != nil || same != got {
					t.Errorf("%q: %q, want %q, %v", value, got, same, err)
				}
			}
		}
		// whatever an attribute may be arrives as it was
		if validText(value) {
			if got, err := decodeHeader(encodeHeader(value)); err != nil || got != value {
				t.Errorf("%q is encoded as %q, and decoded as %q, %v", value, encodeHeader(value), got, err)
			}
			quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%25").Replace(value) + `"`
			if got, err := decodeHeader(quoted); err == nil && got != value {
				t.Errorf("%s is decoded as %q", quoted, got)
			}
		}
	})
}

func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(`{` + minimal + `,"subject":"p1","accountid":7,"data":{}}`))
	f.Add([]byte(`{` + minimal + `,"accountid":-,"id":1}`))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		got, err := ParseJSON(encoded)
		if err != nil {
			return
		}
		for _, value := range []string{got.ID, got.Source, got.Type, got.Subject + "x", got.AccountID + "x"} {
			if value == "" || !validText(value) {
				t.Errorf("%s: %+v", encoded, got)
			}
		}
	})
}
