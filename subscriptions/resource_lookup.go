package subscriptions

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/f737063d/caddy-connector/internal/appcall"
	"github.com/f737063d/caddy-connector/internal/egress"
	"github.com/f737063d/caddy-connector/internal/proxyerror"
	"github.com/f737063d/caddy-connector/internal/weblink"
)

// How much an app may answer to one lookup.
const (
	maxLookupPages     = 100
	maxLookupPage      = 4 << 20 // bytes
	maxLookup          = 16 << 20
	maxLookupResources = 100_000
	maxLookupLink      = 8 << 10
)

// lookupTimeout is how long all pages of a lookup may take.
var lookupTimeout = 10 * time.Second

// choice is a resource as users are shown it.
type choice struct {
	ID    string `json:"id"`
	Value string `json:"value"`
}

// lookupError is why a lookup failed: what the user is told, and what the log
// says beside, which has nothing of the app's answer.
type lookupError struct {
	*refusal
	text string
}

func invalidAnswer(text string) *lookupError { return &lookupError{errResourcesInvalid, text} }

// lookup is the question for one user's resources.
type lookup struct {
	resource *Resource
	header   http.Header
	read     int64               // bytes, so far
	count    int                 // of resources, so far
	asked    map[string]struct{} // URLs of pages
	seen     map[string]struct{} // ids
}

// newLookup returns the lookup for a user, whose request may bring credentials.
func (res *Resource) newLookup(user string, request *http.Request) *lookup {
	header := res.headers.For(user)
	for _, name := range credentials {
		if values := request.Header[name]; res.ForwardCredentials && len(values) > 0 {
			header[name] = values
		}
	}
	return &lookup{resource: res, header: header, asked: make(map[string]struct{}), seen: make(map[string]struct{})}
}

// run calls visit with each resource that the user sees, in the app's order and
// once each, until that has seen enough.
func (l *lookup) run(ctx context.Context, user string, visit func(choice) (enough bool)) *lookupError {
	page, err := appcall.Expand(l.resource.template, userPlaceholder, user)
	if err != nil {
		return &lookupError{errResourcesDenied, "the user's id cannot stand in the path of the URL: leave it to the header, or put {user_id} into the query"}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	for range maxLookupPages {
		body, links, failed := l.get(ctx, page)
		if failed != nil {
			return failed
		}
		choices, failed := l.resource.parse(body)
		if failed != nil {
			return failed
		}
		if l.count += len(choices); l.count > maxLookupResources {
			return invalidAnswer("the app lists too many resources")
		}
		for _, c := range choices {
			if _, again := l.seen[c.ID]; again { // pages overlap when something is made meanwhile
				continue
			}
			if l.seen[c.ID] = struct{}{}; visit(c) {
				return nil
			}
		}
		if page, failed = l.next(page, links); page == nil {
			return failed
		}
	}
	return invalidAnswer("the app's answer has too many pages")
}

// get asks for a page. Without an answer that would be empty.
func (l *lookup) get(ctx context.Context, page *url.URL) (body []byte, links []string, failed *lookupError) {
	l.asked[page.String()] = struct{}{}
	request := (&http.Request{Method: http.MethodGet, URL: page, Host: page.Host, Header: l.header.Clone()}).WithContext(ctx)
	res, err := l.resource.transport.RoundTrip(request)
	if err != nil {
		return nil, nil, lookupFailure(ctx, err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, nil, &lookupError{errResourcesDenied, "the app answered " + strconv.Itoa(res.StatusCode)}
	case http.StatusNotFound:
		// a URL that is the same for all users is wrong; a user's may not be there
		if len(l.asked) == 1 && strings.Contains(l.resource.template, userPlaceholder) {
			return []byte("[]"), nil, nil
		}
		fallthrough
	default:
		return nil, nil, &lookupError{errResourcesFailed, "the app answered " + strconv.Itoa(res.StatusCode)}
	}
	if body, err = egress.ReadAll(res, min(maxLookupPage, maxLookup-l.read)); err != nil {
		return nil, nil, lookupFailure(ctx, err)
	}
	l.read += int64(len(body))
	return body, res.Header["Link"], nil
}

// lookupFailure keeps from an error what may be logged: it may hold bytes of the
// app's answer.
func lookupFailure(ctx context.Context, err error) *lookupError {
	kind := proxyerror.Of(err)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded), kind == proxyerror.ResponseTimeout, kind == proxyerror.ConnectionTimeout:
		return &lookupError{errResourcesTimeout, "the app did not answer in time"}
	case errors.Is(err, egress.ErrTooLarge):
		return invalidAnswer("the app's answer is too large")
	case kind != "":
		return &lookupError{errResourcesFailed, err.Error()}
	}
	return &lookupError{errResourcesFailed, "the app's answer is malformed"}
}

// next returns the page behind this one, or nil. The user's credentials and the
// edge's go only to where the first page was.
func (l *lookup) next(page *url.URL, links []string) (*url.URL, *lookupError) {
	target, found := weblink.Next(links)
	if !found {
		return nil, nil
	}
	next, err := page.Parse(target)
	if err != nil || len(target) > maxLookupLink || next.User != nil || next.Opaque != "" {
		return nil, invalidAnswer("the app's link to the next page is malformed")
	}
	if next.Scheme != page.Scheme || !strings.EqualFold(next.Hostname(), page.Hostname()) || port(next) != port(page) {
		return nil, invalidAnswer("the app's link to the next page leads elsewhere")
	}
	next.Fragment, next.RawFragment = "", ""
	if _, again := l.asked[next.String()]; again {
		return nil, invalidAnswer("the app's pages go in a circle")
	}
	return next, nil
}

func port(u *url.URL) string {
	if u.Port() == "" && u.Scheme == "https" {
		return "443"
	}
	return cmp.Or(u.Port(), "80")
}

// parse reads a page, which is a JSON array of objects.
func (res *Resource) parse(page []byte) (choices []choice, failed *lookupError) {
	if !utf8.Valid(page) || !json.Valid(page) || !bytes.HasPrefix(bytes.TrimLeft(page, " \t\r\n"), []byte("[")) {
		return nil, invalidAnswer("the app's answer is not a JSON array")
	}
	decoder := json.NewDecoder(bytes.NewReader(page)) // one by one, so that small objects do not take much space
	_, _ = decoder.Token()
	for decoder.More() {
		var encoded json.RawMessage
		_ = decoder.Decode(&encoded) // it is valid
		item, ok := parseObject(encoded)
		if !ok {
			return nil, invalidAnswer("the app's answer has an item that is no object")
		}
		var c choice
		if c.ID, ok = identifier(item[res.ID]); !ok {
			return nil, invalidAnswer("the app's answer has an item without an id")
		}
		if c.Value, ok = label(item[res.Value]); !ok {
			return nil, invalidAnswer("the app's answer has an item without a label")
		}
		choices = append(choices, c)
	}
	return choices, nil
}

// label decodes what a resource is called. A number is the text that it is
// written as.
func label(encoded json.RawMessage) (string, bool) {
	if len(encoded) > 0 && (encoded[0] == '-' || '0' <= encoded[0] && encoded[0] <= '9') {
		return string(encoded), true
	}
	return text(encoded)
}
