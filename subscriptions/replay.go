package subscriptions

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/f737063d/caddy-connector/subscriptions/delivery"
)

// What a replay's status can be.
const (
	replayRunning   = "running"
	replayDone      = "done"
	replayCancelled = "cancelled" // by its owner, or because its subscription ended
)

const replayPrefix = "rpl_"

func newReplayID() string { return replayPrefix + ulid.Make().String() }

func validReplayID(text string) bool {
	encoded, ok := strings.CutPrefix(text, replayPrefix)
	return ok && validID(idPrefix+encoded)
}

// replay is a job that sends a subscription's deliveries of a time again. Times
// are microseconds since 1970.
type replay struct {
	id           string
	subscription string
	since, until int64 // the first and the last time of publishing
	states       []delivery.State
	status       string
	position     int64 // the last delivery that was looked at
	replayed     int64
	total        int64 // how many there were when it was made
	createdAt    int64
	updatedAt    int64
}

// replayView is a replay as its owner sees it.
type replayView struct {
	ID             string   `json:"id"`
	SubscriptionID string   `json:"subscription_id"`
	Status         string   `json:"status"`
	Since          string   `json:"since"`
	Until          string   `json:"until"`
	States         []string `json:"states"`
	Replayed       int64    `json:"replayed"`
	Total          int64    `json:"total"`
	CreatedAt      string   `json:"created_at"`
	UpdatedAt      string   `json:"updated_at"`
}

func (r *replay) view() replayView {
	v := replayView{
		ID: r.id, SubscriptionID: r.subscription, Status: r.status, Since: formatTime(r.since), Until: formatTime(r.until),
		Replayed: r.replayed, Total: r.total, CreatedAt: formatTime(r.createdAt), UpdatedAt: formatTime(r.updatedAt),
	}
	for _, state := range r.states {
		v.States = append(v.States, stateNames[state])
	}
	return v
}

// parseReplay reads what is to be replayed. An until that was not given is never.
func parseReplay(o object) (*replay, error) {
	r := &replay{status: replayRunning, states: []delivery.State{delivery.Dead}, until: never}
	written, ok := text(o.get("since"))
	if !ok {
		return nil, errReplaySince
	}
	if r.since, ok = parseMoment(written); !ok {
		return nil, errReplaySince
	}
	if given := o.get("until"); given != nil {
		if written, ok = text(given); !ok {
			return nil, errReplayUntil
		}
		if r.until, ok = parseMoment(written); !ok || r.until < r.since {
			return nil, errReplayUntil
		}
	}
	if given := o.get("states"); given != nil {
		var names []string
		if json.Unmarshal(given, &names) != nil {
			return nil, errStates
		}
		if r.states, ok = parseStates(names); !ok {
			return nil, errStates
		}
	}
	return r, nil
}

func (ex *exchange) replay() (*answer, error) {
	o, err := readObject(ex.request, ex.handler.MaxBody)
	if err != nil {
		return nil, err
	}
	r, err := parseReplay(o)
	if err != nil {
		return nil, err
	}
	of, err := ex.handler.store.get(ex.request.Context(), ex.owner, ex.id)
	if err != nil {
		return nil, err
	}
	if err := ex.mayReceive(of); err != nil {
		return nil, err
	}
	r.subscription = ex.id
	if err := ex.handler.store.createReplay(ex.request.Context(), ex.owner, r); err != nil {
		return nil, err
	}
	return &answer{status: http.StatusAccepted, location: ex.written("/subscriptions/"+ex.id+"/replays") + "/" + r.id, body: r.view()}, nil
}

func (ex *exchange) listReplays() (*answer, error) {
	query := ex.request.URL.Query()
	limit, err := parseLimit(query)
	if err != nil {
		return nil, err
	}
	before := query.Get("cursor")
	if before != "" && !validReplayID(before) {
		return nil, errCursor
	}
	found, more, err := ex.handler.store.replays(ex.request.Context(), ex.owner, ex.id, before, limit)
	if err != nil {
		return nil, err
	}
	page := struct {
		Data       []replayView `json:"data"`
		NextCursor *string      `json:"next_cursor"`
	}{Data: make([]replayView, len(found))}
	for i, r := range found {
		page.Data[i] = r.view()
	}
	if more {
		page.NextCursor = &found[len(found)-1].id
	}
	return &answer{status: http.StatusOK, body: page}, nil
}

func (ex *exchange) getReplay() (*answer, error) {
	found, err := ex.handler.store.replay(ex.request.Context(), ex.owner, ex.id, ex.params["replay"])
	if err != nil {
		return nil, err
	}
	return &answer{status: http.StatusOK, body: found.view()}, nil
}

func (ex *exchange) cancelReplay() (*answer, error) {
	if err := ex.handler.store.cancelReplay(ex.request.Context(), ex.owner, ex.id, ex.params["replay"]); err != nil {
		return nil, err
	}
	return &answer{status: http.StatusNoContent}, nil
}
