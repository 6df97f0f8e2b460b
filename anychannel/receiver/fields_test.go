package receiver

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// Both fields arrive byte for byte, in either encoding.
func TestFieldsAreExact(t *testing.T) {
	h := provisioned(t, new(Handler))
	clientData := []string{
		"", " ", "\r\n\t ", "null", "0", "-0.0", "1e400", "18446744073709551615", `""`, "[]", "{}",
		`{"a":"+ & % = ; %2B %zz","b&c=d;e":"+"}`,
		`{"emoji":"👩‍👩‍👧‍👦 \ud83d\ude00","nul":"\u0000","lone":"\ud800"}`,
		"{ \"a\" :\r\n\t[ 9223372036854775807 , 1.0E+2 ]\n}\n",
		`{"lines":"a\r\nb","a":1,"a":2}`,
		`{"placeholder":"{env.HOME} {http.request.uri} \\{"}`,
		"\"\uFEFF \uFFFD \u2028 \\uFFFD \\\\ufffd\"",
		strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
	}
	metadata := append([]string{
		"opaque", "<xml a='&amp;'/>", "a=b&c=d+e%20f;g", "{", "\x00\x01\x7f", "\uFEFF\uFFFD", "a\r\nb", "dG9rZW4=/+",
		strings.Repeat("x", maxMetadata), strings.Repeat("👍", maxMetadata),
	}, clientData...)
	check := func(m, c string) {
		t.Helper()
		for contentType, body := range map[string]string{
			formType: formOf(m, c),
			jsonType: jsonOf(t, m, c),
		} {
			s := serve(t, h, newPost(contentType, body))
			if s.code(t) != "ok" || s.body != body {
				t.Fatalf("%s, %.80q and %.80q: %s", contentType, m, c, s.code(t))
			}
			if got := s.placeholder(t, metadataField); got != m {
				t.Errorf("%s: metadata %.80q, want %.80q", contentType, got, m)
			}
			if got := s.placeholder(t, clientDataField); got != c {
				t.Errorf("%s: client data %.80q, want %.80q", contentType, got, c)
			}
			if got := s.repl.ReplaceAll("<{http.any_channel_service.client_data}>", ""); got != "<"+c+">" {
				t.Errorf("%s: replaced: %.80q, want %.80q", contentType, got, c)
			}
		}
	}
	for _, m := range metadata {
		check(m, "{}")
	}
	for _, c := range clientData {
		check("m", c)
	}
}

func TestFields(t *testing.T) {
	h := provisioned(t, new(Handler))
	pairs := func(n int) string { return strings.Repeat("x=y&", n-2) + "instance_metadata=m&client_data=" }
	for _, tc := range []struct{ contentType, body, want string }{
		{formType, "instance_metadata=&client_data=", "ok"},
		{formType, "client_data&instance_metadata", "ok"},
		{formType, "&&client_data=1&&instance_metadata=m&", "ok"},
		{formType, "instance_metadata=m&client_data=1&other=%FF&other=2", "ok"},
		{formType, "instance%5fmetadata=m&client%5Fdata=1", "ok"},
		{formType, "instance_metadata=a=b;c&client_data=%22;%22", "ok"},
		{formType, pairs(64), "ok"},
		{formType, pairs(65), "form_invalid"},
		{formType, "instance_metadata=m;client_data=1", "field_missing"},
		{formType, "instance_metadata=m", "field_missing"},
		{formType, "client_data=1", "field_missing"},
		{formType, "Instance_Metadata=m&client_data=1", "field_missing"},
		{formType, "+instance_metadata=m&client_data=1", "field_missing"},
		{formType, "instance_metadata=m&client_data=1&client_data=1", "field_repeated"},
		{formType, "instance_metadata=m&client_data=1&client%5Fdata", "field_repeated"},
		{formType, "instance_metadata=m&instance_metadata=m", "field_repeated"},
		{formType, "instance_metadata=%&client_data=1", "form_invalid"},
		{formType, "instance_metadata=m&client_data=%2", "form_invalid"},
		{formType, "instance_metadata=m&client_data=1&x=%zz", "form_invalid"},
		{formType, "instance_metadata=m&client_data=1&%zz", "form_invalid"},
		{formType, `{"instance_metadata":"m","client_data":"1"}`, "field_missing"},

		{formType, formOf(strings.Repeat("é", 5000), ""), "ok"},
		{formType, formOf(strings.Repeat("é", 5001), ""), "metadata_invalid"},
		{formType, formOf(strings.Repeat("x", 5001), ""), "metadata_invalid"},
		{formType, "instance_metadata=%ff&client_data=1", "metadata_invalid"},
		{formType, "instance_metadata=\xc3&client_data=1", "metadata_invalid"},
		{formType, "instance_metadata=%ed%a0%80&client_data=1", "metadata_invalid"},

		{formType, formOf("m", "\v"), "client_data_invalid"},
		{formType, formOf("m", "\u00a0"), "client_data_invalid"},
		{formType, formOf("m", "\uFEFF"), "client_data_invalid"},
		{formType, formOf("m", "\uFEFF{}"), "client_data_invalid"},
		{formType, formOf("m", "{} {}"), "client_data_invalid"},
		{formType, formOf("m", "{}x"), "client_data_invalid"},
		{formType, formOf("m", "{'a':1}"), "client_data_invalid"},
		{formType, formOf("m", "{a:1}"), "client_data_invalid"},
		{formType, formOf("m", "[1,]"), "client_data_invalid"},
		{formType, formOf("m", "01"), "client_data_invalid"},
		{formType, formOf("m", "NaN"), "client_data_invalid"},
		{formType, formOf("m", "undefined"), "client_data_invalid"},
		{formType, formOf("m", "\x00"), "client_data_invalid"},
		{formType, formOf("m", "\"a\nb\""), "client_data_invalid"},
		{formType, formOf("m", "\"\xff\""), "client_data_invalid"},
		{formType, formOf("m", strings.Repeat("[", 100000)+strings.Repeat("]", 100000)), "client_data_invalid"},

		{jsonType, `{"instance_metadata":"","client_data":""}`, "ok"},
		{jsonType, ` { "x":{"client_data":1},"client\u005fdata":"1","instance_metadata":"m","x":[2]} `, "ok"},
		{jsonType, ``, "json_invalid"},
		{jsonType, `null`, "json_invalid"},
		{jsonType, `1e400`, "json_invalid"},
		{jsonType, `"instance_metadata"`, "json_invalid"},
		{jsonType, `["instance_metadata","client_data"]`, "json_invalid"},
		{jsonType, `{"instance_metadata":"m","client_data":"1"`, "json_invalid"},
		{jsonType, `{"instance_metadata":"m","client_data":"1"}{}`, "json_invalid"},
		{jsonType, `{"instance_metadata":"m","client_data":"1",}`, "json_invalid"},
		{jsonType, "\uFEFF" + `{"instance_metadata":"m","client_data":"1"}`, "json_invalid"},
		{jsonType, "{\"instance_metadata\":\"\xff\",\"client_data\":\"1\"}", "json_invalid"},
		{jsonType, "{\"instance_metadata\":\"m\",\"client_data\":\"1\",\"x\":\"\xff\"}", "json_invalid"},
		{jsonType, `{}`, "field_missing"},
		{jsonType, `{"instance_metadata":"m","data":{"client_data":"1"}}`, "field_missing"},
		{jsonType, `{"instance_metadata":"m","Client_Data":"1"}`, "field_missing"},
		{jsonType, `{"instance_metadata":"m","client_data":"1","client_data":"1"}`, "field_repeated"},
		{jsonType, `{"instance_metadata":"m","client_data":"1","client\u005fdata":"1"}`, "field_repeated"},
		{jsonType, `{"instance_metadata":1,"client_data":"1","instance_metadata":"m"}`, "field_repeated"},
		{jsonType, `{"instance_metadata":"m","client_data":{"a":1}}`, "field_invalid"},
		{jsonType, `{"instance_metadata":"m","client_data":null}`, "field_invalid"},
		{jsonType, `{"instance_metadata":true,"client_data":""}`, "field_invalid"},
		{jsonType, `{"instance_metadata":["m"],"client_data":""}`, "field_invalid"},
		{jsonType, `{"instance_metadata":"\ud800","client_data":""}`, "field_invalid"},
		{jsonType, `{"instance_metadata":"\udc00\ud800 \ufffd","client_data":""}`, "field_invalid"},
		{jsonType, `{"instance_metadata":"\\\ud800","client_data":""}`, "field_invalid"},
		{jsonType, `{"instance_metadata":"\ud83d\ude00 \ufffd \uFFFD` + "\uFFFD" + ` \\ud800 \\\ufffd","client_data":""}`, "ok"},
		{jsonType, jsonOf(t, strings.Repeat("👍", 5000), ""), "ok"},
		{jsonType, jsonOf(t, strings.Repeat("👍", 5001), ""), "metadata_invalid"},
		{jsonType, jsonOf(t, "m", "{"), "client_data_invalid"},
	} {
		if got := serve(t, h, newPost(tc.contentType, tc.body)).code(t); got != tc.want {
			t.Errorf("%s %.80q: %s, want %s", tc.contentType, tc.body, got, tc.want)
		}
	}
}

// FuzzForm checks that a form means to us what it means to net/url, where both
// take it, and that an escaped value arrives exactly.
func FuzzForm(f *testing.F) {
	f.Add("instance_metadata=m&client_data=%7B%7D", "m", `{"a":"+&%=;"}`)
	f.Add("client_data=1&client%5fdata=2&instance_metadata", "\x00\xff", "👍\r\n")
	f.Add("instance_metadata=a;b&client_data=%zz&+", "", "")
	f.Fuzz(func(t *testing.T, body, metadata, clientData string) {
		ours, refusal := parseForm(body)
		if theirs, err := url.ParseQuery(body); err == nil && refusal == nil {
			for _, name := range []string{metadataField, clientDataField} {
				value, found := ours[name]
				if found != theirs.Has(name) || value != theirs.Get(name) || len(theirs[name]) > 1 {
					t.Fatalf("%s: %q %v, want %q", name, value, found, theirs[name])
				}
			}
		} else if err == nil && refusal == errFieldRepeated &&
			len(theirs[metadataField]) < 2 && len(theirs[clientDataField]) < 2 {
			t.Fatal("nothing is repeated")
		}
		for name := range ours {
			if !isField(name) {
				t.Fatalf("kept %q", name)
			}
		}
		ours, refusal = parseForm(formOf(metadata, clientData))
		if refusal != nil || ours[metadataField] != metadata || ours[clientDataField] != clientData {
			t.Fatalf("%v %q, want %q and %q", refusal, ours, metadata, clientData)
		}
	})
}

// FuzzJSON checks that a JSON body means to us what it means to encoding/json,
// and that quoted values arrive exactly.
func FuzzJSON(f *testing.F) {
	f.Add(`{"instance_metadata":"m","client_data":"\ud83d\ude00"}`, "m", `{"a":"\\"}`)
	f.Add(` {"client\u005fdata":"\\\ud800","x":[{"a":"]"}],"instance_metadata":"\ufffd"} `, "\uFFFD", "\x00\r\n")
	f.Add(`{"client_data":1,"client_data":"","x":{}`, "", "")
	f.Fuzz(func(t *testing.T, body, metadata, clientData string) {
		if ours, refusal := parseJSON(body); refusal == nil {
			var theirs map[string]any
			if err := json.Unmarshal([]byte(body), &theirs); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{metadataField, clientDataField} {
				value, found := ours[name]
				if want, wanted := theirs[name]; found != wanted || found && value != want {
					t.Fatalf("%s: %q %v, want %q", name, value, found, want)
				}
			}
		}
		if !utf8.ValidString(metadata) || !utf8.ValidString(clientData) {
			return // encoding/json would not write it as it is
		}
		ours, refusal := parseJSON(jsonOf(t, metadata, clientData))
		if refusal != nil || ours[metadataField] != metadata || ours[clientDataField] != clientData {
			t.Fatalf("%v %q, want %q and %q", refusal, ours, metadata, clientData)
		}
	})
}
