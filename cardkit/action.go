// Package cardkit encodes and decodes the client actions of a Blink card:
// the strings under "client_action" in a buttons section that say what a
// button does. Three are documented, and there are no others:
//
//	blink:webview?url=<url>&action=open[&id=<id>]
//	blink:link?url=<url>&action=open
//	blink:post?url=<path>&body=<json>
//
// url and body are base64 (standard alphabet, padded) and then
// percent-encoded; action and id are only percent-encoded. What is written
// here follows that to the letter. What is read may be sloppier, because
// Blink's own samples are: see [Decode].
//
// The source is Blink's developer documentation, "Client Actions"
// (https://developer.joinblink.com/docs/client-actions) and "CardKit"
// (https://developer.joinblink.com/docs/cardkit). It names no limits and no
// errors; those are this package's own.
package cardkit

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
)

// MaxSize is the longest client action that is written or read, in bytes.
const MaxSize = 64 << 10

// Kind is which of the three client actions an [Action] is, by its name in
// the documentation.
type Kind string

const (
	// KindWebview opens a web page inside the Blink app.
	KindWebview Kind = "webview"

	// KindLink opens a web page in the system's browser.
	KindLink Kind = "link"

	// KindPost sends an HTTP POST request to an integration, through
	// /connector/<service_id>.
	KindPost Kind = "post"
)

const (
	scheme = "blink:"

	paramURL    = "url"
	paramBody   = "body"
	paramAction = "action"
	paramID     = "id"

	// actionOpen is the only documented value of the parameter "action".
	actionOpen = "open"

	// emptyBody is what the documentation has a post send when there is
	// nothing to say; body itself may not be left out.
	emptyBody = "{}"
)

// parameters are those that each action has, in the order of Blink's samples.
var parameters = map[Kind][]string{
	KindWebview: {paramURL, paramAction, paramID},
	KindLink:    {paramURL, paramAction},
	KindPost:    {paramURL, paramBody},
}

// Action is one client action.
type Action struct {
	// Which action it is.
	Kind Kind `json:"kind"`

	// For webview and link, an absolute http or https URL, without
	// credentials. For post, a path and optional query, percent-encoded as
	// it is to be sent: `/connector/<service_id>[/<path>][?<query>]`; the
	// Blink app puts the address of Blink's API before it.
	URL string `json:"url"`

	// Names the webview: the desktop app does not open a second one with the
	// same ID. Optional, and only for webview.
	ID string `json:"id,omitempty"`

	// The JSON text that a post sends. Only for post. Default: `{}`.
	Body json.RawMessage `json:"body,omitempty"`
}

// Encode returns the action as the string that goes under "client_action".
// It refuses what [Decode] would refuse, with the same errors.
//
// In base64, "+" and "=" are escaped, since both mean something in a query;
// "/" is left as it is, since it does not. That is also how the
// documentation's samples are written.
func (a Action) Encode() (string, error) {
	// nothing gets shorter by encoding, so this spares the work
	if len(a.URL)+len(a.ID)+len(a.Body) > MaxSize {
		return "", ErrTooLarge
	}
	if a.Kind == KindPost && len(a.Body) == 0 {
		a.Body = json.RawMessage(emptyBody)
	}
	if err := a.validate(); err != nil {
		return "", err
	}

	s := scheme + string(a.Kind) + "?" + a.query()
	if len(s) > MaxSize {
		return "", ErrTooLarge
	}
	return s, nil
}

// query returns the encoded parameters of a valid action.
func (a Action) query() string {
	q := paramURL + "=" + encodeValue(a.URL)
	if a.Kind == KindPost {
		return q + "&" + paramBody + "=" + encodeValue(string(a.Body))
	}
	q += "&" + paramAction + "=" + actionOpen
	if a.ID != "" {
		q += "&" + paramID + "=" + escapeText(a.ID)
	}
	return q
}

// ServiceID returns the id of the integration that a post is sent to, or ""
// if the action is not a valid post. Whoever carries a post out must know
// that id before doing so.
func (a Action) ServiceID() string {
	if a.Kind != KindPost {
		return ""
	}
	id, err := checkConnectorPath(a.URL)
	if err != nil {
		return ""
	}
	return id
}

var base64Escaper = strings.NewReplacer("+", "%2B", "=", "%3D")

// encodeValue encodes the value of url or body.
func encodeValue(s string) string {
	return base64Escaper.Replace(base64.StdEncoding.EncodeToString([]byte(s)))
}

// escapeText percent-encodes a plain value. QueryEscape writes a space as
// "+", which not every reader turns back; a "+" of the value itself is
// escaped by then.
func escapeText(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
