package target

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
)

func refusalOf(err error) Refusal {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return *refusal
	}
	return Refusal{}
}

// V4, under both prefixes.
func TestReadControls(t *testing.T) {
	long := strings.Repeat("a", 8<<10)
	for _, prefix := range []string{"X-Versori-", "X-Connector-", "x-versori-", "X-CONNECTOR-"} {
		for i, tc := range []struct {
			field  string
			values []string
			want   string // or "", where it is refused
		}{
			{"Connection-Variable", []string{"subdomain=example&region=eu"}, "map[region:eu subdomain:example]"},
			{"Connection-Variable", []string{"a=1&b=2", "a=3", "c=4"}, "map[a:3 b:2 c:4]"},
			{"Connection-Variable", []string{"a=1&a=2"}, "map[a:2]"},
			{"Connection-Variable", []string{" a=1 "}, "map[a:1]"},
			{"Connection-Variable", []string{"a=%2F+%C3%A9%00&%62=&c=1=2"}, "map[a:/ é\x00 b: c:1=2]"},
			{"Connection-Variable", []string{"a=1&&b=2&"}, "map[a:1 b:2]"},
			{"Connection-Variable", []string{""}, "map[]"},
			{"Connection-Variable", []string{"a=1, b=2"}, "map[a:1, b=2]"},
			{"Connection-Variable", []string{"a=1;b=2"}, "map[a:1;b=2]"},
			{"Connection-Variable", []string{"a"}, ""},
			{"Connection-Variable", []string{"=1"}, ""},
			{"Connection-Variable", []string{"a=1&=2"}, ""},
			{"Connection-Variable", []string{"a=%"}, ""},
			{"Connection-Variable", []string{"a=%zz"}, ""},
			{"Connection-Variable", []string{"%zz=a"}, ""},
			{"Connection-Variable", []string{"a=1", "b"}, ""},
			{"Connection-Variable", []string{"a=" + long[:8190]}, "map[a:" + long[:8190] + "]"},
			{"Connection-Variable", []string{"a=" + long}, ""},
			{"Connection-Variable", []string{"a=" + long[:5000], "a=" + long[:5000]}, ""},
			{"Connection-Variable", []string{variables(65)}, ""},
			{"Force-Refresh-Credential", []string{"true"}, "refresh"},
			{"Force-Refresh-Credential", []string{" TRUE\t"}, "refresh"},
			{"Force-Refresh-Credential", []string{"1"}, "refresh"},
			{"Force-Refresh-Credential", []string{"false"}, "nothing"},
			{"Force-Refresh-Credential", []string{"0"}, "nothing"},
			{"Force-Refresh-Credential", []string{""}, ""},
			{"Force-Refresh-Credential", []string{"yes"}, ""},
			{"Force-Refresh-Credential", []string{"true", "true"}, ""},
			{"Force-Refresh-Credential", []string{"true, true"}, ""},
			{"Override-Base-Url", []string{"https://example.com"}, "https://example.com"},
			{"Override-Base-Url", []string{" https://example.com "}, "https://example.com"},
			{"Override-Base-Url", []string{""}, ""},
			{"Override-Base-Url", []string{"https://a.example", "https://a.example"}, ""},
			{"Ignore-Headers", []string{"X-Forwarded-For, X-Forwarded-Proto"}, "X-Forwarded-For X-Forwarded-Proto"},
			{"Ignore-Headers", []string{" x-a ,,\tX_B, ", "X-C"}, "X-A X-B X-C"},
			{"Ignore-Headers", []string{""}, "nothing"},
			{"Ignore-Headers", []string{"X A"}, ""},
			{"Ignore-Headers", []string{"X-A;q=1"}, ""},
			{"Ignore-Headers", []string{strings.Repeat("a,", 64)}, "A"},
			{"Ignore-Headers", []string{strings.Repeat("a,", 65)}, ""},
			{"Something-Else", []string{"\x00"}, "nothing"},
			{"", []string{"x"}, "nothing"},
			{"Override-Base-Url", []string{}, "nothing"},
		} {
			c, err := ReadControls(http.Header{prefix + tc.field: tc.values, "X-Other": {"1"}})
			if tc.want == "" {
				want := Refusal{CodeControl, "X-Connector-" + tc.field}
				if got := refusalOf(err); got != want || c.Variables != nil || c.ForceRefresh || c.override != "" {
					t.Errorf("%d, %s: %v, want %v", i, prefix, got, want)
				}
				continue
			}
			if got := said(c); err != nil || got != tc.want {
				t.Errorf("%d, %s: %.100q %v, want %.100q", i, prefix, got, err, tc.want)
			}
		}
	}
}

func variables(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "v%d=1&", i)
	}
	return out.String()
}

func said(c Controls) string {
	switch {
	case c.Variables != nil:
		return fmt.Sprint(c.Variables)
	case c.ForceRefresh:
		return "refresh"
	case c.override != "":
		return c.override
	}
	var names []string
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-A", "X-B", "X-C", "A"} {
		if c.ignored.Has(name) {
			names = append(names, name)
		}
	}
	if names == nil {
		return "nothing"
	}
	return strings.Join(names, " ")
}

// Nobody can say which of two spellings is meant.
func TestControlUnderBothPrefixes(t *testing.T) {
	for field, value := range map[string]string{
		"Connection-Variable": "a=1", "Ignore-Headers": "X-A", "Override-Base-Url": "https://a.example", "Force-Refresh-Credential": "true",
	} {
		for _, other := range []string{"X-Connector-" + field, "x-versori-" + strings.ToLower(field)} {
			h := http.Header{"X-Versori-" + field: {value}, other: {value}}
			if _, err := ReadControls(h); refusalOf(err) != (Refusal{CodeControl, "X-Connector-" + field}) {
				t.Errorf("%v: %v", h, err)
			}
		}
	}
	c, err := ReadControls(http.Header{"X-Versori-Connection-Variable": {"a=1"}, "X-Connector-Force-Refresh-Credential": {"true"}})
	if err != nil || !c.ForceRefresh || !maps.Equal(c.Variables, map[string]string{"a": "1"}) {
		t.Errorf("%+v %v", c, err)
	}
}

// Aliases are not read: who checks control headers before us may not know them.
func TestControlAliases(t *testing.T) {
	for _, name := range []string{
		"X_Versori_Override_Base_Url", "X-Versori-Override_Base_Url", "X.Connector.Override.Base.Url", "XVersori-Override-Base-Url",
		"X-Versori-Override-Base-Url-", "X-Versori-X-Versori-Override-Base-Url", "Override-Base-Url", "X-Versori",
	} {
		if c, err := ReadControls(http.Header{name: {"https://evil.com"}}); err != nil || c.override != "" {
			t.Errorf("%s: %+v %v", name, c, err)
		}
	}
}
