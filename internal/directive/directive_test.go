package directive

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestBlock(t *testing.T) {
	for input, wantErr := range map[string]string{
		"":                               "",
		"{\n}":                           "",
		"{\nword a\nflag\nsize 1KiB\n}":  "",
		"{\ntime 1d\n}":                  "",
		"{\nword\n}":                     "wrong argument count or unexpected line ending after 'word'",
		"{\nword a b\n}":                 "unexpected line ending after 'b'",
		"{\nword a\nword b\n}":           "duplicate subdirective 'word', at Testfile:3",
		"{\nword bad\n}":                 "this is bad, at Testfile:2",
		"{\nword a {\nb\n}\n}":           "'word' takes no block",
		"{\nflag on\n}":                  "unexpected line ending after 'on'",
		"{\nflag\nflag\n}":               "duplicate subdirective 'flag'",
		"{\nflag {\nx\n}\n}":             "'flag' takes no block",
		"{\nsize 0\n}":                   "size '0' is not a size above zero",
		"{\nsize -1\n}":                  "size '-1' is not a size above zero",
		"{\nsize 16EiB\n}":               "size '16EiB' is not a size above zero",
		"{\nsize x\n}":                   "size 'x' is not a size above zero",
		"{\nsize\n}":                     "after 'size'",
		"{\nsize 1 2\n}":                 "after '2'",
		"{\nsize 1KiB\nsize 1KiB\n}":     "duplicate subdirective 'size'",
		"{\ntime 0\n}":                   "time '0' is not a time above zero",
		"{\ntime -1s\n}":                 "time '-1s' is not a time above zero",
		"{\ntime 1\n}":                   "time '1' is not a time above zero",
		"{\ntime 1s\ntime 1s\n}":         "duplicate subdirective 'time'",
		"{\ntime 1s {\nx\n}\n}":          "'time' takes no block",
		"{\nother x\n}":                  "unrecognized subdirective 'other', at Testfile:2",
		"{\nword a\nword {\nunclosed\n}": "duplicate subdirective 'word'",
	} {
		var word string
		var flag bool
		var size int64
		var duration caddy.Duration
		d := caddyfile.NewTestDispenser("directive " + input)
		d.Next()
		err := Block(d, func(name string) (bool, error) {
			switch name {
			case "word":
				return true, Word(d, &word, func(word string) error {
					if word == "bad" {
						return errors.New("this is bad")
					}
					return nil
				})
			case "flag":
				return true, Flag(d, &flag)
			case "size":
				return true, Size(d, &size)
			case "time":
				return true, Duration(d, &duration)
			}
			return false, nil
		})
		if wantErr == "" {
			if err != nil {
				t.Errorf("%q: %v", input, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%q: %v, want %s", input, err, wantErr)
		}
	}
}
