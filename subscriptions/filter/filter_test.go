package filter

import (
	"fmt"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	const data = `{"status":"done","n":42,"big":9007199254740993,"price":1.50,"done":true,"off":false,"parent":null,"empty":[],
		"assignee":{"id":7,"name":"Ann","a.b":1},"labels":["red","blue"],"items":[{"sku":"a","qty":1},{"qty":2}],"deep":[[[3]]],"s":"42"}`
	parsed, err := ParseData([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		filter string
		want   bool
	}{
		{`{"status":"done"}`, true},
		{`{"status":"Done"}`, false},
		{`{"status":["open","done"]}`, true},
		{`{"status":["open","closed"]}`, false},
		{`{"status":"done","n":42,"done":true}`, true},
		{`{"status":"done","n":43}`, false},
		{`{"n":"42"}`, false},
		{`{"s":42}`, false},
		{`{"n":42.0}`, true},
		{`{"n":4.2e1}`, true},
		{`{"n":420E-1}`, true},
		{`{"n":-42}`, false},
		{`{"big":9007199254740993}`, true},
		{`{"big":9007199254740992}`, false},
		{`{"price":1.5}`, true},
		{`{"done":false}`, false},
		{`{"done":"true"}`, false},
		{`{"off":false}`, true},
		{`{"off":null}`, false},
		{`{"parent":null}`, true},
		{`{"parent":[1,null]}`, true},
		{`{"missing":null}`, true},
		{`{"missing":""}`, false},
		{`{"missing":false}`, false},
		{`{"missing.deeper":null}`, true},
		{`{"status.deeper":null}`, true},
		{`{"status.deeper":"done"}`, false},
		{`{"assignee.id":7}`, true},
		{`{"assignee.id":8}`, false},
		{`{"assignee":null}`, false},
		{`{"assignee.a.b":1}`, false},
		{`{"labels":"blue"}`, true},
		{`{"labels":"green"}`, false},
		{`{"labels":["green","red"]}`, true},
		{`{"labels.0":"red"}`, false},
		{`{"items.sku":"a"}`, true},
		{`{"items.qty":2}`, true},
		{`{"items.sku":null}`, true}, // of the second
		{`{"items.qty":null}`, false},
		{`{"empty":null}`, false},
		{`{"deep":3}`, true},
		{`{"n\u0000":null}`, true},
	} {
		f, err := Parse([]byte(test.filter))
		if err != nil {
			t.Errorf("%s: %v", test.filter, err)
		} else if got := f.Match(parsed); got != test.want {
			t.Errorf("%s: %v", test.filter, got)
		}
	}
}

// Of large arrays, the first elements are looked at, for each member anew.
func TestMatchLargeArrays(t *testing.T) {
	for _, test := range []struct {
		data string
		want bool
	}{
		{`{"a":[` + strings.Repeat("0,", MaxElements-1) + `1],"b":[` + strings.Repeat("0,", MaxElements-1) + `1]}`, true},
		{`{"a":[` + strings.Repeat("0,", MaxElements) + `1],"b":1}`, false},
		{`{"a":[` + strings.Repeat("[0,0,0],", MaxElements/4-1) + `[0,0,1]],"b":1}`, true},
		{`{"a":[` + strings.Repeat("[0,0,0],", MaxElements/4) + `[1]],"b":1}`, false},
	} {
		parsed, err := ParseData([]byte(test.data))
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse([]byte(`{"a":1,"b":1}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Match(parsed); got != test.want {
			t.Errorf("%.20s: %v", test.data, got)
		}
	}
}

func TestDecimal(t *testing.T) {
	for want, numbers := range map[string][]string{
		"0":           {"0", "-0", "0.000", "0e999999999999999999999", "-0.0E-5"},
		"1e0":         {"1", "1.0", "1e0", "1E+0", "10e-1", "0.1e1", "1.00e000000000000000000000", "100e-2"},
		"-12e-1":      {"-1.2", "-12e-1", "-0.00120e3"},
		"1e999999999": {"1e999999999", "10E+999999998"},
		"5e3":         {"5000", "5e3", "50E02"},
	} {
		for _, number := range numbers {
			if got, ok := decimal(number); got != want || !ok {
				t.Errorf("%s is %s, %v; want %s", number, got, ok, want)
			}
		}
	}
	for _, number := range []string{"1e1000000000", "1e-99999999999999999999", "-1E+1000000000"} {
		if got, ok := decimal(number); ok {
			t.Errorf("%s is %s", number, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	many := func(n int, format string) string {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf(format, i))
		}
		return strings.Join(parts, ",")
	}
	long := strings.Repeat("ü", MaxPath)
	for filter, valid := range map[string]bool{
		``: false, `{`: false, `[]`: false, `null`: false, `"x"`: false, `1`: false, `{}`: false, `{"a":1}{}`: false, "{\"a\":\"\xff\"}": false,
		`{"a":1,"a":2}`: false, `{"a":{"b":1}}`: false, `{"a":[[1]]}`: false, `{"a":[{}]}`: false, `{"a":[]}`: false,
		`{"":1}`: false, `{".a":1}`: false, `{"a.":1}`: false, `{"a..b":1}`: false, `{"a":1e1000000000}`: false,
		`{"a.b.c.d.e.f.g.h":1}`: true, `{"a.b.c.d.e.f.g.h.i":1}`: false,
		`{"` + long + `":1}`: true, `{"` + long + `x":1}`: false,
		`{` + many(16, `"a%d":1`) + `}`: true, `{` + many(17, `"a%d":1`) + `}`: false,
		`{"a":[` + many(16, `%d`) + `]}`: true, `{"a":[` + many(17, `%d`) + `]}`: false,
		`{"a":"` + strings.Repeat("x", MaxSize-8) + `"}`: true, `{"a":"` + strings.Repeat("x", MaxSize-7) + `"}`: false,
		strings.Repeat(" ", MaxSize) + ` { "a" : [ 1 , null ] } `: true,
	} {
		f, err := Parse([]byte(filter))
		if (err == nil) != valid {
			t.Errorf("%.60s: %v", filter, err)
		}
		if err != nil && strings.Contains(err.Error(), "invalid character") {
			t.Errorf("%.60s: %v is no message", filter, err)
		}
		if valid && f != nil && strings.ContainsAny(f.String(), " ") {
			t.Errorf("%s has spaces", f)
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add(`{"a.b":[1,"x",null,true]}`, `{"a":[{"b":1.0e0},{"b":null}]}`)
	f.Add(`{"a":-0.10e1}`, `{"a":-1}`)
	f.Fuzz(func(t *testing.T, filter, data string) {
		parsed, err := Parse([]byte(filter))
		if err != nil {
			return
		}
		again, err := Parse([]byte(parsed.String()))
		if err != nil || again.String() != parsed.String() || len(parsed.String()) > MaxSize {
			t.Fatalf("%s becomes %s: %v", filter, parsed, err)
		}
		d, err := ParseData([]byte(data))
		if err == nil && parsed.Match(d) != again.Match(d) {
			t.Fatalf("%s and %s differ in %s", filter, parsed, data)
		}
	})
}

// The same number, written with its point elsewhere, is the same.
func FuzzDecimal(f *testing.F) {
	f.Add("12", "340", int16(-3))
	f.Fuzz(func(t *testing.T, whole, fraction string, shift int16) {
		if strings.Trim(whole+fraction, "0123456789") != "" {
			return
		}
		one, ok := decimal(fmt.Sprintf("%s.%se%d", whole, fraction, shift))
		other, also := decimal(fmt.Sprintf("%s%s000e%d", whole, fraction, int(shift)-len(fraction)-3))
		if one != other || !ok || !also {
			t.Errorf("%s and %s", one, other)
		}
	})
}
