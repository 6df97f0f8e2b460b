// Package rawpath works on the path of a request target as the client wrote
// it, so that what is forwarded has the client's own bytes.
package rawpath

import (
	"errors"
	"net/url"
	"strings"
)

// Errors that Check and Set return. None holds bytes of the request.
var (
	ErrDotSegment = errors.New("path has a dot segment")
	ErrCharacter  = errors.New("path has a backslash, a fragment or a control character")
	ErrNested     = errors.New("path is percent-encoded more than three times over")
	ErrAmbiguous  = errors.New("path begins with two slashes and is not percent-encoded")
)

// maxDecodings is how often Check decodes a path: once for the upstream, and
// twice more for what stands behind it.
const maxDecodings = 3

// Of returns the escaped path of u, byte for byte as it was parsed.
// URL.EscapedPath alone would re-encode a path that has bytes which RFC 3986
// does not allow raw, such as `|` (browsers send it) or UTF-8.
func Of(u *url.URL) string {
	if u.RawPath != "" {
		if path, err := url.PathUnescape(u.RawPath); err == nil && path == u.Path {
			return u.RawPath
		}
	}
	return u.EscapedPath()
}

// Cut splits an escaped path after the prefix and one segment. The rest is
// empty or begins with a slash. It reports false where the path does not go on
// below the prefix. The prefix is compared as bytes: no case is folded and
// nothing is decoded, so that one service has one spelling.
func Cut(escaped, prefix string) (segment, rest string, ok bool) {
	below, ok := strings.CutPrefix(escaped, prefix)
	if !ok || below == "" || below[0] != '/' {
		return "", "", false
	}
	below = below[1:]
	if i := strings.IndexByte(below, '/'); i >= 0 {
		return below[:i], below[i:], true
	}
	return below, "", true
}

// Join appends rest to the escaped path of a base URL with exactly one slash
// between them. Without a rest, or with nothing but a slash, the base stands
// as it is.
func Join(base, rest string) string {
	if rest == "" || rest == "/" {
		if base == "" {
			return "/"
		}
		return base
	}
	return strings.TrimSuffix(base, "/") + rest
}

// Check refuses an escaped path that could leave the base path it is appended
// to, or that servers read differently: dot segments (also with a path
// parameter, as in `..;/`), backslashes, control characters and NUL, in any
// encoding, overlong UTF-8 included, nested up to three deep; deeper nesting is
// refused unseen. So is a raw `#`, because no request target has one.
func Check(escaped string) error {
	if strings.IndexByte(escaped, '#') >= 0 {
		return ErrCharacter
	}
	path := escaped
	for range maxDecodings {
		if err := check(path); err != nil {
			return err
		}
		decoded := decode(path)
		if decoded == path {
			return nil
		}
		path = decoded
	}
	if err := check(path); err != nil {
		return err
	}
	if decode(path) != path {
		return ErrNested
	}
	return nil
}

// IsLiteral reports whether a path that a config has can be one of a request
// target as it stands: it begins with a slash, and has no placeholder, query,
// fragment or space, nor anything that Check refuses.
func IsLiteral(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.ContainsAny(path, "{}?# ") && Check(path) == nil
}

func check(path string) error {
	for i := range len(path) {
		if c := path[i]; c < 0x20 || c == 0x7f || c == '\\' {
			return ErrCharacter
		}
	}
	for segment := range strings.SplitSeq(path, "/") {
		if len(segment) == 0 || segment[0] != '.' {
			continue
		}
		segment, _, _ = strings.Cut(segment, ";")
		if segment == "." || segment == ".." {
			return ErrDotSegment
		}
	}
	return nil
}

// decode undoes one level of percent-encoding and of overlong UTF-8. What is
// not an escape stays.
func decode(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi < 16 && lo < 16 {
				out = append(out, hi<<4|lo)
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(shorten(out))
}

// shorten replaces the two- to four-byte forms of ASCII, which lenient
// decoders still accept, by the byte they mean.
func shorten(b []byte) []byte {
	out := b[:0]
	for i := 0; i < len(b); i++ {
		width, lead := overlong(b[i:])
		if width == 0 {
			out = append(out, b[i])
			continue
		}
		out = append(out, lead<<6|b[i+width-1]&0x3f)
		i += width - 1
	}
	return out
}

// overlong returns the length of the overlong form of an ASCII byte that b
// begins with, or 0, and the byte's seventh bit.
func overlong(b []byte) (width int, lead byte) {
	continues := func(i int, low, high byte) bool { return len(b) > i && low <= b[i] && b[i] <= high }
	switch {
	case len(b) > 1 && b[0]&0xfe == 0xc0 && continues(1, 0x80, 0xbf):
		return 2, b[0] & 1
	case b[0] == 0xe0 && continues(1, 0x80, 0x81) && continues(2, 0x80, 0xbf):
		return 3, b[1] & 1
	case b[0] == 0xf0 && continues(1, 0x80, 0x80) && continues(2, 0x80, 0x81) && continues(3, 0x80, 0xbf):
		return 4, b[2] & 1
	}
	return 0, 0
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

// Set makes escaped the path of u in a way that net/http writes to the wire
// byte for byte. The escapes in it must be valid.
func Set(u *url.URL, escaped string) error {
	path, err := url.PathUnescape(escaped)
	if err != nil {
		return ErrCharacter
	}
	u.Path, u.RawPath, u.Opaque = path, escaped, ""
	if u.EscapedPath() == escaped {
		return nil
	}
	// net/url would re-encode it; net/http writes Opaque as it is, except
	// that it would read two leading slashes as an authority
	if strings.HasPrefix(escaped, "//") {
		return ErrAmbiguous
	}
	u.Opaque = escaped
	return nil
}
