package cardkit

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"
)

// b64 is what a well-behaved author would write, without its escapes.
func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestDecodeLenient(t *testing.T) {
	// its base64 has both + and /, and needs padding: In5+fn4/Ig==
	expected := Action{Kind: KindPost, URL: "/connector/l-1", Body: []byte(`"~~~~?"`)}
	url := b64(expected.URL)

	for name, query := range map[string]string{
		"escaped":               "url=" + url + "&body=In5%2Bfn4%2FIg%3D%3D",
		"escaped in lower case": "url=" + url + "&body=In5%2bfn4%2fIg%3d%3d",
		"not escaped":           "url=" + url + "&body=In5+fn4/Ig==",
		"form-decoded":          "url=" + url + "&body=In5 fn4/Ig==",
		"escaped space":         "url=" + url + "&body=In5%20fn4/Ig==",
		"URL-safe":              "url=" + url + "&body=In5-fn4_Ig%3D%3D",
		"mixed alphabets":       "url=" + url + "&body=In5-fn4/Ig%3D%3D",
		"no padding":            "url=" + url + "&body=In5%2Bfn4/Ig",
		"too little padding":    "url=" + url + "&body=In5%2Bfn4/Ig%3D",
		"too much padding":      "url=" + url + "&body=In5%2Bfn4/Ig%3D=%3D",
		"everything escaped":    "url=" + url + "&body=%49%6E%35%2B%66%6E%34%2F%49%67%3D%3D",
		"other order":           "body=In5%2Bfn4/Ig%3D%3D&url=" + url,
	} {
		t.Run(name, func(t *testing.T) {
			actual, err := Decode("blink:post?" + query)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(actual, expected) {
				t.Errorf("got %+v, expected %+v", actual, expected)
			}
		})
	}
}

func TestDecodeID(t *testing.T) {
	for query, expected := range map[string]string{
		"":             "",
		"&id=":         "",
		"&id":          "",
		"&id=timeline": "timeline",
		"&id=a+b":      "a+b",
		"&id=a%20b":    "a b",
		"&id=a=b":      "a=b",
		"&id=%26%23":   "&#",
	} {
		action, err := Decode("blink:webview?action=open&url=" + b64("https://a.example") + query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		if action.ID != expected {
			t.Errorf("%s: got %q, expected %q", query, action.ID, expected)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	url, path := "url="+b64("https://a.example"), "url="+b64("/connector/l-1")
	long := strings.Repeat("x", MaxSize/2)

	for name, tc := range map[string]struct {
		action   string
		param    string
		expected error
	}{
		"empty":               {"", "", ErrUnknownAction},
		"no scheme":           {"post?" + path + "&body=e30", "", ErrUnknownAction},
		"other scheme":        {"https:post?" + path + "&body=e30", "", ErrUnknownAction},
		"upper case":          {"BLINK:post?" + path + "&body=e30", "", ErrUnknownAction},
		"leading space":       {" blink:post?" + path + "&body=e30", "", ErrUnknownAction},
		"authority":           {"blink://post?" + path + "&body=e30", "", ErrUnknownAction},
		"no kind":             {"blink:?" + path + "&body=e30", "", ErrUnknownAction},
		"undocumented kind":   {"blink:delete?" + path, "", ErrUnknownAction},
		"no question mark":    {"blink:post", "", ErrUnknownAction},
		"no parameters":       {"blink:post?", "url", ErrMissing},
		"post without url":    {"blink:post?body=e30", "url", ErrMissing},
		"post, empty url":     {"blink:post?url=&body=e30", "url", ErrMissing},
		"post, url of =":      {"blink:post?url==&body=e30", "url", ErrMissing},
		"post without body":   {"blink:post?" + path, "body", ErrMissing},
		"post, empty body":    {"blink:post?" + path + "&body=", "body", ErrMissing},
		"post, bare body":     {"blink:post?" + path + "&body", "body", ErrMissing},
		"post, body of =":     {"blink:post?" + path + "&body==", "body", ErrInvalid},
		"post with action":    {"blink:post?" + path + "&body=e30&action=open", "action", ErrUnknownParam},
		"post with id":        {"blink:post?" + path + "&body=e30&id=x", "id", ErrUnknownParam},
		"link without url":    {"blink:link?action=open", "url", ErrMissing},
		"link without action": {"blink:link?" + url, "action", ErrMissing},
		"link, other action":  {"blink:link?" + url + "&action=close", "action", ErrInvalid},
		"link, Open":          {"blink:link?" + url + "&action=Open", "action", ErrInvalid},
		"link with id":        {"blink:link?" + url + "&action=open&id=x", "id", ErrUnknownParam},
		"link with body":      {"blink:link?" + url + "&action=open&body=e30", "body", ErrUnknownParam},
		"link to a path":      {"blink:link?" + path + "&action=open", "url", ErrInvalid},
		"post to a URL":       {"blink:post?" + url + "&body=e30", "url", ErrInvalid},
		"unknown parameter":   {"blink:link?" + url + "&action=open&x=y", "x", ErrUnknownParam},
		"long parameter name": {"blink:link?" + url + "&" + long + "=y", long[:32], ErrUnknownParam},
		"escaped name":        {"blink:link?%75rl=" + b64("https://a.example") + "&action=open", "%75rl", ErrUnknownParam},
		"upper-case name":     {"blink:link?URL=" + b64("https://a.example") + "&action=open", "URL", ErrUnknownParam},
		"HTML-escaped":        {"blink:link?" + url + "&amp;action=open", "amp;action", ErrUnknownParam},
		"repeated url":        {"blink:link?" + url + "&action=open&" + url, "url", ErrDuplicate},
		"repeated body":       {"blink:post?" + path + "&body=e30&body=e30", "body", ErrDuplicate},
		"repeated action":     {"blink:link?" + url + "&action=open&action=open", "action", ErrDuplicate},
		"repeated empty id":   {"blink:webview?" + url + "&action=open&id=&id=", "id", ErrDuplicate},
		"bad escape in url":   {"blink:post?url=L2%zz&body=e30", "url", ErrEncoding},
		"cut escape in body":  {"blink:post?" + path + "&body=e30%3", "body", ErrEncoding},
		"bad escape in id":    {"blink:webview?" + url + "&action=open&id=100%", "id", ErrEncoding},
		"fragment":            {"blink:webview?" + url + "&action=open&id=a#b", "id", ErrEncoding},
		"bad base64":          {"blink:post?url=L2Nv!&body=e30", "url", ErrEncoding},
		"base64 cut short":    {"blink:post?url=L2Nvb&body=e30", "url", ErrEncoding},
		"padding inside":      {"blink:post?" + path + "&body=e3=0", "body", ErrEncoding},
		"wrapped base64":      {"blink:post?" + path + "&body=e3%0A0%3D", "body", ErrEncoding},
		"raw line break":      {"blink:post?" + path + "&body=e30\n", "body", ErrEncoding},
		"escaped twice":       {"blink:post?" + path + "&body=e30%253D", "body", ErrEncoding},
		"body is not JSON":    {"blink:post?" + path + "&body=" + b64(long[:1000]), "body", ErrInvalid},
		"two JSON texts":      {"blink:post?" + path + "&body=" + b64("{}{}"), "body", ErrInvalid},
		"body is not UTF-8":   {"blink:post?" + path + "&body=" + b64("\"\xff\""), "body", ErrInvalid},
		"id with NUL":         {"blink:webview?" + url + "&action=open&id=a%00", "id", ErrInvalid},
		"id is not UTF-8":     {"blink:webview?" + url + "&action=open&id=%FF", "id", ErrInvalid},
		"too long":            {"blink:link?" + url + "&action=open&x=" + long + long, "", ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			action, err := Decode(tc.action)
			if !reflect.DeepEqual(action, Action{}) {
				t.Errorf("decoded %+v", action)
			}
			checkError(t, err, tc.param, tc.expected)
		})
	}
}

func TestDecodeMaxSize(t *testing.T) {
	const around = len("blink:webview?url=aHR0cHM6Ly9hLmV4YW1wbGU&action=open&id=")
	longest := "blink:webview?url=aHR0cHM6Ly9hLmV4YW1wbGU&action=open&id=" + strings.Repeat("x", MaxSize-around)
	if _, err := Decode(longest); err != nil {
		t.Errorf("longest: %v", err)
	}
	_, err := Decode(longest + "x")
	checkError(t, err, "", ErrTooLarge)
}
