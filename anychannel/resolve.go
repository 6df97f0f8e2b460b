package anychannel

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/f737063d/caddy-connector/internal/rawpath"
)

// maxPostToPath is the longest post_to_path, in characters.
const maxPostToPath = 511

// endpoint is an absolute https URL in the parts that are compared.
type endpoint struct {
	url  *url.URL // host in lower case, IDNA's ASCII form, without a trailing dot or the port 443
	host string   // with the port, always
}

// parseEndpoint reads an absolute https URL such as a manifest's. Errors do not
// repeat it.
func parseEndpoint(raw string) (endpoint, error) {
	u, err := parseReference(raw)
	if err != nil {
		return endpoint{}, err
	}
	if u.Scheme != "https" || u.Host == "" {
		return endpoint{}, errors.New("it must begin with https:// and a host")
	}
	hostname, port, err := normalHost(u)
	if err != nil {
		return endpoint{}, err
	}
	if err := rawpath.Check(u.EscapedPath()); err != nil {
		return endpoint{}, err
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 || port[0] == '0' {
		return endpoint{}, errors.New("its port is not a number from 1 to 65535")
	}
	u.Host = hostname
	if port != "443" {
		u.Host += ":" + port
	}
	return endpoint{u, hostname + ":" + port}, nil
}

// resolve returns the URL that a reference means at the base: by RFC 3986,
// section 5.2; https, and on the base's host and port.
// What RFC 3987 would percent-encode, it does; any other bytes stay. Errors do
// not repeat the reference.
func (base endpoint) resolve(reference string) (*url.URL, error) {
	ref, err := parseReference(reference)
	if err != nil {
		return nil, err
	}
	if ref.Scheme != "" && ref.Scheme != "https" {
		return nil, errors.New("it must be an https URL")
	}
	if ref.Scheme != "" && ref.Host == "" {
		return nil, errors.New("it has no host")
	}
	if ref.Host != "" {
		hostname, port, err := normalHost(ref)
		if err != nil {
			return nil, err
		}
		if hostname+":"+port != base.host {
			return nil, errors.New("it must be on the host and port of the manifest")
		}
	}
	target := base.url.ResolveReference(ref)
	// the spelling of the manifest, which is what will be dialled
	target.Scheme, target.Host = base.url.Scheme, base.url.Host
	if target.Path == "" {
		target.Path = "/"
	}
	if err := rawpath.Check(target.EscapedPath()); err != nil {
		return nil, err
	}
	return target, nil
}

// parseReference parses a URL or a relative reference that has no part which
// servers and parsers are known to disagree on.
func parseReference(raw string) (*url.URL, error) {
	if err := checkCharacters(raw); err != nil {
		return nil, err
	}
	u, err := url.Parse(escape(raw))
	switch {
	case err != nil:
		return nil, errors.New("it is not a URL") // the parser's own text would repeat it
	case u.Opaque != "":
		return nil, errors.New("it is not an https URL")
	case u.Host == "" && strings.HasPrefix(raw, "//"):
		return nil, errors.New("it has no host") // browsers would skip the surplus slashes
	case u.User != nil:
		return nil, errors.New("it must not have a user or password")
	}
	return u, nil
}

// checkCharacters refuses what no URL has, or what some parsers drop or read as
// something else.
func checkCharacters(raw string) error {
	if !utf8.ValidString(raw) {
		return errors.New("it is not UTF-8")
	}
	for i, r := range raw {
		switch {
		case r <= ' ' || 0x7f <= r && r <= 0xa0 || r == '\u2028' || r == '\u2029':
			return errors.New("it has a space or a control character")
		case r == '\\':
			return errors.New("it has a backslash")
		case r == '#':
			return errors.New("it has a fragment")
		case r == '%' && !startsWithHex(raw[i+1:]):
			return errors.New("it has a percent sign that begins no escape")
		}
	}
	return nil
}

func startsWithHex(s string) bool { return len(s) >= 2 && isHex(s[0]) && isHex(s[1]) }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// escape percent-encodes what is not allowed in a URI: RFC 3987, section 3.1,
// for characters beyond ASCII, and the ASCII that RFC 3986 leaves out.
func escape(raw string) string {
	var out strings.Builder
	for i := range len(raw) {
		if c := raw[i]; c >= utf8.RuneSelf || strings.IndexByte("\"<>^`{|}", c) >= 0 {
			fmt.Fprintf(&out, "%%%02X", c)
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}

// normalHost returns the parts of a URL's authority as they are compared and
// dialled.
func normalHost(u *url.URL) (hostname, port string, err error) {
	hostname, port = u.Hostname(), u.Port()
	if port == "" {
		port = "443"
	}
	if strings.Contains(hostname, ":") { // IPv6, zones too, which no certificate has
		return "[" + strings.ToLower(hostname) + "]", port, nil
	}
	ascii, err := idna.Lookup.ToASCII(hostname)
	if err != nil {
		return "", "", errors.New("its host is not a domain name")
	}
	ascii = strings.TrimSuffix(ascii, ".")
	if ascii == "" {
		return "", "", errors.New("it has no host")
	}
	if strings.HasPrefix(ascii, ".") || strings.HasSuffix(ascii, ".") || strings.Contains(ascii, "..") {
		return "", "", errors.New("its host is not a domain name")
	}
	return ascii, port, nil
}
