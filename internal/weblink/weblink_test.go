package weblink

import (
	"strings"
	"testing"
)

func TestNext(t *testing.T) {
	for _, test := range []struct {
		want   string // "-" for none
		fields []string
	}{
		{"-", nil},
		{"-", []string{""}},
		{"/2", []string{`</2>; rel="next"`}},
		{"/2", []string{`</2>; rel=next`}},
		{"/2", []string{`</2>;rel=next`}},
		{"/2", []string{` </2> ; rel = "next" `}},
		{"/2", []string{"\t</2>\t;\tREL\t=\tNEXT\t"}},
		{"/2", []string{`</2>; rel="last next"`}},
		{"/2", []string{`</2>; rel="NEXT"`}},
		{"/2", []string{`</2>; rel="n\ext"`}},
		{"/2", []string{`</2>; title="a, <b>; rel=prev \" ; x"; rel=next`}},
		{"/2", []string{`</2>; title*=UTF-8''%e2%82%ac; rel=next; type="text/html"`}},
		{"/2", []string{`</2>; crossorigin; rel=next`}},
		{"/2", []string{`</2>; ; rel=next;`}},
		{"/2?a=1,2;b", []string{`</2?a=1,2;b>; rel=next`}},
		{"", []string{`<>; rel=next`}},
		{"/3", []string{`</1>; rel=prev, </3>; rel=next`}},
		{"/3", []string{`</1>; rel=prev,</3>; rel=next, </4>; rel=next`}},
		{"/3", []string{`</1>, ,, </3>; rel=next`}},
		{"/3", []string{`</1>; rel=prev`, `</3>; rel=next`}},
		{"/3", []string{`broken`, `</3>; rel=next`}},
		{"-", []string{`</2>`}},
		{"-", []string{`</2>; rel`}},
		{"-", []string{`</2>; rel=`}},
		{"-", []string{`</2>; rel=nexted`}},
		{"-", []string{`</2>; rel="prev"; rel="next"`}},
		{"-", []string{`</2>; rel=; rel="next"`}},
		{"-", []string{`</2>; rev=next`}},
		{"-", []string{`</2>; title="; rel=next"`}},
		{"-", []string{`</2>; rel=next; anchor="/elsewhere"`}},
		{"-", []string{`</2; rel=next`}},
		{"-", []string{`/2; rel=next`}},
		{"-", []string{`</2> rel=next`}},
		{"-", []string{`</2>; rel="next`}},
		{"-", []string{`</2>; rel="next\`}},
		{"-", []string{`broken, </2>; rel=next`}},
		{"-", []string{`</1>; rel="prev" x, </2>; rel=next`}},
	} {
		got, found := Next(test.fields)
		if !found {
			got = "-"
		}
		if got != test.want {
			t.Errorf("%q: %q, want %q", test.fields, got, test.want)
		}
	}
}

// Whatever stands in a field is read without harm, and what is found is in it;
// a well-formed link is found behind any other.
func FuzzNext(f *testing.F) {
	f.Add(`</1>; rel=prev, </2>; rel="next"`, "/2")
	f.Add(`<a>; title="\"`, "?cursor=a,b;c")
	f.Add("<", "")
	f.Fuzz(func(t *testing.T, field, target string) {
		if got, found := Next([]string{field}); found && (!strings.Contains(field, "<"+got+">") || strings.Contains(got, ">")) {
			t.Errorf("%q: %q is not in it", field, got)
		}
		if strings.Contains(target, ">") {
			return
		}
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(field)
		whole := `<x>; rel=prev; title="` + quoted + `", <` + target + `>; title="` + quoted + `"; rel="other next"`
		if got, found := Next([]string{whole}); !found || got != target {
			t.Errorf("%q: %q, want %q", whole, got, target)
		}
	})
}
