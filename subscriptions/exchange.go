package subscriptions

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/internal/rawpath"
	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

func (ex *exchange) create() (*answer, error) {
	h := ex.handler
	o, err := readObject(ex.request, h.MaxBody)
	if err != nil {
		return nil, err
	}
	a, err := h.parseApplication(o)
	if err != nil {
		return nil, err
	}
	a.owner = ex.owner
	kept, created, err := h.store.create(ex.request.Context(), a, h.MaxPerOwner)
	if err != nil {
		return nil, err
	}
	ex.id = kept.id
	shown := kept.view()
	if !created {
		return &answer{status: http.StatusOK, body: shown}, nil
	}
	shown.Secret = a.secret.Reveal()
	return &answer{http.StatusCreated, ex.location(), shown}, nil
}

// location returns where the new subscription is for the client.
func (ex *exchange) location() string {
	return ex.seen(ex.handler.base+"/subscriptions") + "/" + ex.id
}

// seen returns the path of this request as the client sees it, which may be
// below another one than this handler's.
func (ex *exchange) seen(path string) string {
	if original, ok := ex.request.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		written := rawpath.Of(original.URL)
		if strings.HasSuffix(written, path) && !strings.HasPrefix(written, "//") { // which would be another host
			path = written
		}
	}
	return path
}

func (ex *exchange) list() (*answer, error) {
	limit, after, err := parsePage(ex.request.URL.Query())
	if err != nil {
		return nil, err
	}
	found, more, err := ex.handler.store.list(ex.request.Context(), ex.owner, after, limit)
	if err != nil {
		return nil, err
	}
	page := struct {
		Data       []view  `json:"data"`
		NextCursor *string `json:"next_cursor"`
	}{Data: make([]view, len(found))}
	for i, s := range found {
		page.Data[i] = s.view()
	}
	if more {
		page.NextCursor = &found[len(found)-1].id
	}
	return &answer{status: http.StatusOK, body: page}, nil
}

func parsePage(query url.Values) (limit int, after string, err error) {
	limit = defaultPage
	if query.Has("limit") {
		if limit, err = strconv.Atoi(query.Get("limit")); err != nil || limit < 1 || limit > maxPage {
			return 0, "", errPageLimit
		}
	}
	if after = query.Get("cursor"); after != "" && !validID(after) {
		return 0, "", errCursor
	}
	return limit, after, nil
}

func (ex *exchange) get() (*answer, error) {
	return shown(ex.handler.store.get(ex.request.Context(), ex.owner, ex.id))
}

func shown(s *subscription, err error) (*answer, error) {
	if err != nil {
		return nil, err
	}
	return &answer{status: http.StatusOK, body: s.view()}, nil
}

func (ex *exchange) update() (*answer, error) {
	o, err := readObject(ex.request, ex.handler.MaxBody)
	if err != nil {
		return nil, err
	}
	c, err := ex.handler.parseChange(o, ex.request.Method == http.MethodPatch)
	if err != nil {
		return nil, err
	}
	return ex.change(c)
}

func (ex *exchange) pause() (*answer, error) { return ex.change(change{status: statusPaused}) }

func (ex *exchange) resume() (*answer, error) { return ex.change(change{status: statusActive}) }

func (ex *exchange) change(c change) (*answer, error) {
	return shown(ex.handler.store.change(ex.request.Context(), ex.owner, ex.id, c))
}

func (ex *exchange) delete() (*answer, error) {
	if err := ex.handler.store.delete(ex.request.Context(), ex.owner, ex.id); err != nil {
		return nil, err
	}
	return &answer{status: http.StatusNoContent}, nil
}

func (ex *exchange) rotate() (*answer, error) {
	secret := signature.NewSecret()
	if err := ex.handler.store.rotate(ex.request.Context(), ex.owner, ex.id, secret); err != nil {
		return nil, err
	}
	return &answer{status: http.StatusOK, body: map[string]string{"secret": secret.Reveal()}}, nil
}
