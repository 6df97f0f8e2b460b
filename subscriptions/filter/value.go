package filter

import (
	"encoding/json"
	"strconv"
	"strings"
)

// value is a JSON value that is neither an object nor an array. Equal values are
// equal in Go.
type value struct {
	kind byte // 0 for null
	text string
}

// scalar returns a decoded value, or false where it is none or cannot be
// compared.
func scalar(decoded any) (value, bool) {
	switch v := decoded.(type) {
	case nil:
		return value{}, true
	case bool:
		return value{'b', strconv.FormatBool(v)}, true
	case string:
		return value{'s', v}, true
	case json.Number:
		text, ok := decimal(string(v))
		return value{'n', text}, ok
	}
	return value{}, false
}

// maxExponent is how many digits an exponent may have: with more, a number is
// equal to none.
const maxExponent = 9

// decimal writes a JSON number in one way of those that there are: digits
// without zeros at either end, and an exponent. Nothing is rounded, and no
// number takes more space than it had.
func decimal(number string) (canonical string, ok bool) {
	mantissa, exponent := number, 0
	if i := strings.IndexAny(number, "eE"); i >= 0 {
		mantissa = number[:i]
		written := strings.TrimPrefix(number[i+1:], "+")
		written, negative := strings.CutPrefix(written, "-")
		written = strings.TrimLeft(written, "0")
		if ok = len(written) <= maxExponent; ok {
			exponent, _ = strconv.Atoi(written) // "" is 0
		}
		if negative {
			exponent = -exponent
		}
	} else {
		ok = true
	}
	mantissa, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return "0", true // whatever its sign and exponent
	}
	exponent -= len(fraction)
	short := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(short)
	if negative {
		short = "-" + short
	}
	return short + "e" + strconv.Itoa(exponent), ok
}
