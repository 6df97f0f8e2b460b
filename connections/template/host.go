package template

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"
)

const (
	maxHost  = 253
	maxLabel = 63
)

// isLabel reports whether a text is one DNS label. Labels with hyphens in the
// third and fourth place are for names in other scripts (RFC 5891, section
// 4.2.3.1): nobody's subdomain is one by chance.
func isLabel(text string) bool {
	return isHostText(text) && isShaped(text) && !strings.ContainsAny(text, "._") && (len(text) < 4 || text[2:4] != "--")
}

// isHostText reports whether a text has nothing but what labels are made of, and
// the dots between them.
func isHostText(text string) bool {
	for i := range len(text) {
		if c := text[i]; !isAlphanumeric(c) && c != '-' && c != '.' && c != '_' || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

// isShaped reports whether a label can be one by its length and its ends.
func isShaped(label string) bool {
	return label != "" && len(label) <= maxLabel && label[0] != '-' && label[len(label)-1] != '-'
}

// isName reports whether a text is a name of the DNS in its usual spelling, and
// not an address in an unusual one.
func isName(host string) bool {
	if len(host) > maxHost || !isHostText(host) {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(host, ".") {
		if !isShaped(label) {
			return false
		}
		last = label
	}
	return !isNumeric(last)
}

// isExpandedHost reports whether a host that values are a part of may be asked:
// never this machine, or another by a name that only the resolver completes.
func isExpandedHost(host string) bool {
	return isName(host) && strings.Contains(host, ".") && !strings.HasSuffix(host, ".localhost")
}

// isNumeric reports whether a name that ends with this label is an IPv4 address
// to some resolvers.
func isNumeric(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// checkHost checks the host of a template. In it stand variables, or not.
func checkHost(pieces []piece) error {
	var filled, fixed strings.Builder // fixed: what stands behind the last variable
	var unbound *variable             // one that any label can be put for
	for _, p := range pieces {
		if p.variable == nil {
			filled.WriteString(p.text)
			fixed.WriteString(p.text)
			continue
		}
		filled.WriteString("x")
		fixed.Reset()
		if p.variable.pattern == nil {
			unbound = p.variable
		}
	}
	host := filled.String()
	if firstVariable(pieces) == nil {
		if !isName(host) && !isAddress(host) {
			return errors.New("this is no host")
		}
		return nil
	}
	if !isName(host) {
		return errors.New("this is no host, whatever the variables are")
	}
	// the first label behind a variable begins with what the variable can be
	_, suffix, _ := strings.Cut(fixed.String(), ".")
	if unbound != nil && !isOwned(suffix) {
		return errors.New("the variable " + unbound.name + " needs a pattern of its own: " +
			"without one, whoever sets it could choose any domain")
	}
	return nil
}

// isOwned reports whether all names that end so are of one owner, or of the
// customers of one.
func isOwned(suffix string) bool {
	if !strings.Contains(suffix, ".") {
		return false
	}
	for _, name := range []string{suffix, "x." + suffix} { // the list has wildcards
		if public, official := publicsuffix.PublicSuffix(name); official && public == name {
			return false
		}
	}
	return true
}

func isAddress(host string) bool {
	bracketed := strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]")
	if bracketed {
		host = host[1 : len(host)-1]
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Zone() == "" && addr.Is6() == bracketed && !addr.Is4In6()
}

// isPort reports whether a text is a port in its usual spelling.
func isPort(text string) bool {
	number, err := strconv.ParseUint(text, 10, 16)
	return err == nil && number > 0 && text[0] != '0'
}
