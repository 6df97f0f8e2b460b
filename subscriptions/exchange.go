package subscriptions

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/f737063d/caddy-connector/internal/clientpath"
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
	if err := ex.mayCreate(&a.subscription); err != nil {
		return nil, err
	}
	a.owner = ex.owner
	kept, created, err := h.store.create(ex.request.Context(), a, h.MaxPerOwner)
	if errors.Is(err, errNotAgreed) {
		kept, created, err = h.createAgreed(ex.request.Context(), a)
	}
	if err != nil {
		return nil, err
	}
	ex.id = kept.id
	shown := kept.view()
	if !created {
		return &answer{status: http.StatusOK, body: shown}, nil
	}
	if a.signing.Version != versionPair { // its public key is always shown
		shown.Secret = a.secret.Reveal()
	}
	return &answer{status: http.StatusCreated, location: ex.location(), body: shown}, nil
}

// location returns where the new subscription is for the client.
func (ex *exchange) location() string {
	return ex.written("/subscriptions") + "/" + ex.id
}

// written returns a path below the prefix as the client wrote it.
func (ex *exchange) written(path string) string {
	return clientpath.Of(ex.request, ex.handler.base+path)
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

func parseLimit(query url.Values) (limit int, err error) {
	if !query.Has("limit") {
		return defaultPage, nil
	}
	if limit, err = strconv.Atoi(query.Get("limit")); err != nil || limit < 1 || limit > maxPage {
		return 0, errPageLimit
	}
	return limit, nil
}

func parsePage(query url.Values) (limit int, after string, err error) {
	if limit, err = parseLimit(query); err != nil {
		return 0, "", err
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
	s, err := ex.handler.store.get(ex.request.Context(), ex.owner, ex.id)
	if err != nil {
		return nil, err
	}
	c, err := ex.handler.parseChange(o, ex.request.Method == http.MethodPatch, ex.handler.catalogueOf(s.resourceType))
	if err != nil {
		return nil, err
	}
	return ex.change(s, c)
}

func (ex *exchange) pause() (*answer, error) { return ex.setStatus(statusPaused) }

func (ex *exchange) resume() (*answer, error) { return ex.setStatus(statusActive) }

func (ex *exchange) setStatus(status string) (*answer, error) {
	s, err := ex.handler.store.get(ex.request.Context(), ex.owner, ex.id)
	if err != nil {
		return nil, err
	}
	return ex.change(s, change{status: status})
}

func (ex *exchange) change(s *subscription, c change) (*answer, error) {
	if err := ex.mayChange(s, c); err != nil {
		return nil, err
	}
	return shown(ex.handler.store.change(ex.request.Context(), ex.owner, ex.id, c))
}

func (ex *exchange) delete() (*answer, error) {
	if err := ex.handler.store.delete(ex.request.Context(), ex.owner, ex.id); err != nil {
		return nil, err
	}
	return &answer{status: http.StatusNoContent}, nil
}

func (ex *exchange) rotate() (*answer, error) {
	secret, err := ex.handler.store.rotate(ex.request.Context(), ex.owner, ex.id)
	if err != nil {
		return nil, err
	}
	if public, isPair := secret.PublicKey(); isPair {
		return &answer{status: http.StatusOK, body: map[string]string{"public_key": public.String()}}, nil
	}
	return &answer{status: http.StatusOK, body: map[string]string{"secret": secret.Reveal()}}, nil
}
