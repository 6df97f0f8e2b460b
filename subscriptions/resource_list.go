package subscriptions

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxSearch is the longest text that can be looked for, in characters.
const maxSearch = 255

// resourceQuery is what part of a list is asked for.
type resourceQuery struct {
	search   string // in lower case
	limit    int
	after    string // an id
	envelope bool
}

func parseResourceQuery(query url.Values) (q resourceQuery, err error) {
	if q.limit, err = parseLimit(query); err != nil {
		return q, err
	}
	search := query.Get("q")
	if !utf8.ValidString(search) || utf8.RuneCountInString(search) > maxSearch {
		return q, errResourceSearch
	}
	q.search = strings.ToLower(search)
	if cursor := query.Get("cursor"); cursor != "" {
		var ok bool
		if q.after, ok = parseCursor(cursor); !ok {
			return q, errCursor
		}
	}
	q.envelope = query.Get("envelope") == "1"
	return q, nil
}

// cursorBehind returns the cursor of what follows the resource with this id.
func cursorBehind(id string) string { return base64.RawURLEncoding.EncodeToString([]byte(id)) }

func parseCursor(cursor string) (id string, ok bool) {
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || !utf8.Valid(decoded) {
		return "", false
	}
	encoded, _ := json.Marshal(string(decoded)) // strings always encode
	return identifier(encoded)
}

// listResources answers with a page of the resources that the user sees.
func (ex *exchange) listResources() (*answer, error) {
	resource := ex.handler.Resources[ex.params["type"]]
	if resource == nil {
		return nil, errResourcePath
	}
	if resource.Public {
		return nil, errResourcePublic
	}
	query, err := parseResourceQuery(ex.request.URL.Query())
	if err != nil {
		return nil, err
	}
	page, next, err := ex.resourcePage(resource, query)
	if err != nil {
		return nil, err
	}
	a := &answer{status: http.StatusOK, body: page}
	if query.envelope {
		a.body = struct {
			Data       []choice `json:"data"`
			NextCursor *string  `json:"next_cursor"`
		}{page, next}
	}
	if next != nil {
		a.next = ex.written("/resources/"+resource.name) + "?" + ex.nextQuery(*next)
	}
	return a, nil
}

// resourcePage returns a page and the cursor of the next one, if there is one.
func (ex *exchange) resourcePage(resource *Resource, query resourceQuery) (page []choice, next *string, err error) {
	page = []choice{}
	begun := query.after == ""
	err = ex.lookUp(resource, func(c choice) bool {
		switch {
		case !begun:
			begun = c.ID == query.after
		case !strings.Contains(strings.ToLower(c.Value), query.search):
		case len(page) < query.limit:
			page = append(page, c)
		default:
			cursor := cursorBehind(page[len(page)-1].ID)
			next = &cursor
		}
		return next != nil
	})
	if err == nil && !begun {
		err = errCursor
	}
	return page, next, err
}

// nextQuery is the query of this request with another cursor.
func (ex *exchange) nextQuery(cursor string) string {
	asked, query := ex.request.URL.Query(), url.Values{"cursor": {cursor}}
	for _, name := range []string{"envelope", "limit", "q"} {
		if asked.Has(name) {
			query.Set(name, asked.Get(name))
		}
	}
	return query.Encode()
}
