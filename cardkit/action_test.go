package cardkit

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestEncode(t *testing.T) {
	for i, tc := range []struct {
		action   Action
		expected string
	}{
		{
			// nothing to send is an empty object
			action:   Action{Kind: KindPost, URL: "/connector/l-1"},
			expected: "blink:post?url=L2Nvbm5lY3Rvci9sLTE%3D&body=e30%3D",
		},
		{
			// base64 with both + and /
			action:   Action{Kind: KindPost, URL: "/connector/l-1", Body: json.RawMessage(`"~~~~?"`)},
			expected: "blink:post?url=L2Nvbm5lY3Rvci9sLTE%3D&body=In5%2Bfn4/Ig%3D%3D",
		},
		{
			// the body's own formatting is kept
			action:   Action{Kind: KindPost, URL: "/connector/l-1", Body: json.RawMessage("{ }\n")},
			expected: "blink:post?url=L2Nvbm5lY3Rvci9sLTE%3D&body=eyB9Cg%3D%3D",
		},
		{
			// an id is not base64
			action:   Action{Kind: KindWebview, URL: "https://a.example", ID: "a b+c&id=ü/~"},
			expected: "blink:webview?url=aHR0cHM6Ly9hLmV4YW1wbGU%3D&action=open&id=a%20b%2Bc%26id%3D%C3%BC%2F~",
		},
		{
			action:   Action{Kind: KindWebview, URL: "https://a.example"},
			expected: "blink:webview?url=aHR0cHM6Ly9hLmV4YW1wbGU%3D&action=open",
		},
	} {
		actual, err := tc.action.Encode()
		if err != nil {
			t.Errorf("Test %d: %v", i, err)
			continue
		}
		if actual != tc.expected {
			t.Errorf("Test %d: encoded %s, expected %s", i, actual, tc.expected)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for i, action := range []Action{
		{Kind: KindLink, URL: "http://a.example"},
		{Kind: KindLink, URL: "HTTPS://A.example:8443/a//b/../c?x=1&y=%0D%0A#z"},
		{Kind: KindLink, URL: "https://[2001:db8::1]:8080/"},
		{Kind: KindLink, URL: "https://bücher.example/größe?q=日本"},
		{Kind: KindWebview, URL: "https://a.example/", ID: "100% +-_=&#?/ \u00e9"},
		{Kind: KindPost, URL: "/connector/l-1", Body: json.RawMessage(`{}`)},
		{Kind: KindPost, URL: "/connector/l-1/", Body: json.RawMessage(`null`)},
		{Kind: KindPost, URL: "/connector/l-1?a=b", Body: json.RawMessage(`[1,2.50,1e400]`)},
		{Kind: KindPost, URL: "/connector/l-1/a%2Fb/größe?q=100%&next=../x%0A", Body: json.RawMessage(` {"a" : "\u0000<ü>"} `)},
		{Kind: KindPost, URL: "/connector/" + strings.Repeat("x", 64), Body: json.RawMessage(`"?"`)},
	} {
		s, err := action.Encode()
		if err != nil {
			t.Errorf("Test %d: encoding: %v", i, err)
			continue
		}
		actual, err := Decode(s)
		if err != nil {
			t.Errorf("Test %d: decoding %s: %v", i, s, err)
			continue
		}
		if !reflect.DeepEqual(actual, action) {
			t.Errorf("Test %d: got %+v, expected %+v", i, actual, action)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	const okURL, okPath = "https://a.example", "/connector/l-1"
	long := strings.Repeat("x", MaxSize)

	for name, tc := range map[string]struct {
		action   Action
		param    string
		expected error
	}{
		"no kind":            {Action{URL: okURL}, "", ErrUnknownAction},
		"unknown kind":       {Action{Kind: "get", URL: okPath}, "", ErrUnknownAction},
		"link without url":   {Action{Kind: KindLink}, "url", ErrMissing},
		"post without url":   {Action{Kind: KindPost}, "url", ErrMissing},
		"link with id":       {Action{Kind: KindLink, URL: okURL, ID: "x"}, "id", ErrUnknownParam},
		"post with id":       {Action{Kind: KindPost, URL: okPath, ID: "x"}, "id", ErrUnknownParam},
		"link with body":     {Action{Kind: KindLink, URL: okURL, Body: json.RawMessage(`{}`)}, "body", ErrUnknownParam},
		"webview with body":  {Action{Kind: KindWebview, URL: okURL, Body: json.RawMessage(`{}`)}, "body", ErrUnknownParam},
		"link to a path":     {Action{Kind: KindLink, URL: okPath}, "url", ErrInvalid},
		"post to a URL":      {Action{Kind: KindPost, URL: okURL}, "url", ErrInvalid},
		"body is not JSON":   {Action{Kind: KindPost, URL: okPath, Body: json.RawMessage(`{`)}, "body", ErrInvalid},
		"body is not UTF-8":  {Action{Kind: KindPost, URL: okPath, Body: json.RawMessage("\"\xff\"")}, "body", ErrInvalid},
		"id with line break": {Action{Kind: KindWebview, URL: okURL, ID: "a\nb"}, "id", ErrInvalid},
		"id is not UTF-8":    {Action{Kind: KindWebview, URL: okURL, ID: "a\xff"}, "id", ErrInvalid},
		"url too long":       {Action{Kind: KindLink, URL: okURL + "/" + long}, "", ErrTooLarge},
		"too long once it is encoded": {
			Action{Kind: KindPost, URL: okPath, Body: json.RawMessage(`"` + long[:MaxSize*3/4] + `"`)}, "", ErrTooLarge,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := tc.action.Encode()
			if s != "" {
				t.Errorf("encoded %s", s)
			}
			checkError(t, err, tc.param, tc.expected)
		})
	}
}

func TestServiceID(t *testing.T) {
	for i, tc := range []struct {
		action   Action
		expected string
	}{
		{Action{Kind: KindPost, URL: "/connector/l-1"}, "l-1"},
		{Action{Kind: KindPost, URL: "/connector/l-1/a/b?c=/d"}, "l-1"},
		{Action{Kind: KindPost, URL: "/connector/l-1?a=b"}, "l-1"},
		{Action{Kind: KindPost, URL: "/connector/l-1/.."}, ""},
		{Action{Kind: KindPost, URL: "/other/l-1"}, ""},
		{Action{Kind: KindLink, URL: "/connector/l-1"}, ""},
		{Action{}, ""},
	} {
		if actual := tc.action.ServiceID(); actual != tc.expected {
			t.Errorf("Test %d: got %q, expected %q", i, actual, tc.expected)
		}
	}
}

// checkError checks what an error wraps, which parameter it names (none if
// param is empty), and that it is short whatever the input was.
func checkError(t *testing.T, err error, param string, expected error) {
	t.Helper()
	if !errors.Is(err, expected) {
		t.Fatalf("got error %v, expected %v", err, expected)
	}
	paramErr, isParamError := errors.AsType[*ParamError](err)
	switch {
	case param == "" && isParamError:
		t.Errorf("error %q names parameter %q", err, paramErr.Param)
	case param != "" && (!isParamError || paramErr.Param != param):
		t.Errorf("error %q does not name parameter %q", err, param)
	}
	if len(err.Error()) > 250 {
		t.Errorf("error is %d bytes long", len(err.Error()))
	}
}
