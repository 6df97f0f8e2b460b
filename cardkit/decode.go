package cardkit

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Decode reads a client action. The parameters may be in any order.
//
// It is lenient about how url and body are encoded, because published cards
// and even the documentation's samples are not exact: padding may be
// missing, unescaped or too long, the URL-safe alphabet is taken for the
// standard one, and a space is taken for the "+" that it was before somebody
// decoded it as a form.
//
// It is strict about everything else, because what it returns is going to be
// opened or sent: the same rules hold as for [Action.Encode], and a
// parameter that is repeated or that the action does not have is refused.
//
// Errors are [ErrTooLarge], [ErrUnknownAction] or a [*ParamError].
func Decode(s string) (Action, error) {
	if len(s) > MaxSize {
		return Action{}, ErrTooLarge
	}
	kind, query, err := splitAction(s)
	if err != nil {
		return Action{}, err
	}
	values, err := splitQuery(kind, query)
	if err != nil {
		return Action{}, err
	}
	action, err := newAction(kind, values)
	if err != nil {
		return Action{}, err
	}
	if err := action.validate(); err != nil {
		return Action{}, err
	}
	return action, nil
}

// splitAction returns the kind of action and its undecoded parameters.
func splitAction(s string) (Kind, string, error) {
	rest, isBlink := strings.CutPrefix(s, scheme)
	name, query, hasQuery := strings.Cut(rest, "?")
	kind := Kind(name)
	if _, known := parameters[kind]; !isBlink || !hasQuery || !known {
		return "", "", ErrUnknownAction
	}
	return kind, query, nil
}

// splitQuery returns the percent-decoded values by name. Names are taken
// literally: an escaped one is an unknown one, so that two readers cannot
// disagree on which parameter it is.
func splitQuery(kind Kind, query string) (map[string]string, error) {
	values := make(map[string]string)
	if query == "" {
		return values, nil
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, raw, _ := strings.Cut(pair, "=")
		if !slices.Contains(parameters[kind], name) {
			return nil, paramError(name, ErrUnknownParam)
		}
		if _, seen := values[name]; seen {
			return nil, paramError(name, ErrDuplicate)
		}
		value, err := unescapeText(raw)
		if err != nil {
			return nil, paramError(name, err)
		}
		values[name] = value
	}
	return values, nil
}

// unescapeText percent-decodes a value. A "+" stays a "+": in base64 it is
// one, and an id is percent-encoded, not form-encoded.
func unescapeText(raw string) (string, error) {
	if strings.Contains(raw, "#") {
		return "", fmt.Errorf("%w: a # starts a fragment and must be escaped", ErrEncoding)
	}
	value, err := url.PathUnescape(raw)
	if err != nil {
		return "", fmt.Errorf("%w: bad percent-encoding", ErrEncoding)
	}
	return value, nil
}

// newAction fills an action from its percent-decoded parameters, without
// judging what url, body and id say.
func newAction(kind Kind, values map[string]string) (Action, error) {
	action := Action{Kind: kind, ID: values[paramID]}

	target, err := decodeValue(values, paramURL)
	if err != nil {
		return Action{}, err
	}
	action.URL = string(target)

	if kind == KindPost {
		body, err := decodeValue(values, paramBody)
		if err != nil {
			return Action{}, err
		}
		action.Body = json.RawMessage(body)
		return action, nil
	}

	switch values[paramAction] {
	case actionOpen:
		return action, nil
	case "":
		return Action{}, paramError(paramAction, ErrMissing)
	default:
		return Action{}, paramError(paramAction, fmt.Errorf("%w: it can only be open", ErrInvalid))
	}
}

var base64Normalizer = strings.NewReplacer(" ", "+", "-", "+", "_", "/")

// decodeValue decodes the base64 of url or body, which are both required.
func decodeValue(values map[string]string, name string) ([]byte, error) {
	value := values[name]
	if value == "" {
		return nil, paramError(name, ErrMissing)
	}
	// the decoder would skip line breaks, other readers do not
	if strings.ContainsAny(value, "\r\n") {
		return nil, paramError(name, fmt.Errorf("%w: line break in base64", ErrEncoding))
	}
	value = strings.TrimRight(base64Normalizer.Replace(value), "=")
	decoded, err := base64.RawStdEncoding.DecodeString(value)
	if err != nil {
		return nil, paramError(name, fmt.Errorf("%w: bad base64", ErrEncoding))
	}
	return decoded, nil
}
