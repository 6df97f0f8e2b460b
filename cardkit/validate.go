package cardkit

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// validate returns the first thing that makes the action one that must
// neither be written nor carried out.
func (a Action) validate() error {
	switch a.Kind {
	case KindWebview, KindLink:
		return a.validateOpen()
	case KindPost:
		return a.validatePost()
	default:
		return ErrUnknownAction
	}
}

func (a Action) validateOpen() error {
	if len(a.Body) > 0 {
		return paramError(paramBody, ErrUnknownParam)
	}
	if a.ID != "" && a.Kind != KindWebview {
		return paramError(paramID, ErrUnknownParam)
	}
	if a.URL == "" {
		return paramError(paramURL, ErrMissing)
	}
	if err := checkWebURL(a.URL); err != nil {
		return paramError(paramURL, err)
	}
	if !utf8.ValidString(a.ID) || strings.ContainsFunc(a.ID, unicode.IsControl) {
		return paramError(paramID, fmt.Errorf("%w: it must be UTF-8 without control characters", ErrInvalid))
	}
	return nil
}

func (a Action) validatePost() error {
	if a.ID != "" {
		return paramError(paramID, ErrUnknownParam)
	}
	if a.URL == "" {
		return paramError(paramURL, ErrMissing)
	}
	if _, err := checkConnectorPath(a.URL); err != nil {
		return paramError(paramURL, err)
	}
	// json.Valid does not look at the bytes inside of strings
	if !utf8.Valid(a.Body) || !json.Valid(a.Body) {
		return paramError(paramBody, fmt.Errorf("%w: it must be JSON", ErrInvalid))
	}
	return nil
}

// checkWebURL refuses what must not be opened by somebody pressing a button:
// anything that is not on the web (javascript:, data:, file:), and anything
// that can be mistaken for another site (credentials before the host,
// characters that readers of URLs disagree on). The parser's own errors
// repeat the URL, so they are not passed on.
func checkWebURL(s string) error {
	if err := checkText(s); err != nil {
		return err
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return fmt.Errorf("%w: it must be a URL", ErrInvalid)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%w: it must be an http or https URL", ErrInvalid)
	case u.Hostname() == "":
		return fmt.Errorf("%w: it must have a host", ErrInvalid)
	case u.User != nil:
		return fmt.Errorf("%w: it must not have credentials", ErrInvalid)
	}
	// once more, because the parser decodes the host
	return checkText(u.Host)
}

// checkText refuses what has no place in a URL or path in any encoding, and
// which some readers drop, and others turn into something else.
func checkText(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("%w: it must be UTF-8", ErrInvalid)
	}
	for _, r := range s {
		if r == '\\' || unicode.IsControl(r) || unicode.IsSpace(r) {
			return fmt.Errorf("%w: it must not have control characters, white space or backslashes", ErrInvalid)
		}
	}
	return nil
}
