package anychannel

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/f737063d/caddy-connector/internal/caller"
	"github.com/f737063d/caddy-connector/internal/problem"
	"github.com/f737063d/caddy-connector/internal/strictjson"
)

const (
	maxAdminBody = 64 << 10 // bytes; 5000 characters, each escaped as two units, fit in
	maxAgents    = 500      // of one ticket

	// How many entries a page has.
	defaultPage = 50
	maxPage     = 100
)

// members are those of a body, by their exact names.
type members map[string]json.RawMessage

// readMembers reads a body that is one JSON object, with no other members than
// these.
func readMembers(r *http.Request, other error, names ...string) (members, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") ||
		!isJSONType(r.Header.Get("Content-Type")) {
		return nil, errAdminMediaType
	}
	body, broken := problem.ReadBody(r, maxAdminBody)
	if broken != nil {
		return nil, adminError{broken}
	}
	found, err := strictjson.Object(body)
	if err != nil {
		return nil, errAdminBody
	}
	for name := range found {
		if !slices.Contains(names, name) {
			return nil, other
		}
	}
	return found, nil
}

func parseInstance(name string, m members) (*instanceChange, error) {
	c := &instanceChange{name: name, state: stateActive}
	var ok bool
	if c.integration, ok = strictjson.Text(m["integration"]); !ok || checkName(c.integration) != nil {
		return nil, errIntegrationName
	}
	switch string(m["active"]) {
	case "", "true":
	case "false":
		c.state = stateInactive
	default:
		return nil, errActive
	}
	if given, there := m["metadata"]; there {
		metadata, ok := strictjson.Text(given)
		switch {
		case !ok || metadata == "":
			return nil, errMetadata
		case utf8.RuneCountInString(metadata) > maxMetadata:
			return nil, errMetadataLong
		}
		c.metadata = &metadata
	}
	return c, nil
}

func parseTicket(id string, m members) (*ticketRow, error) {
	t := &ticketRow{id: id}
	var ok bool
	if t.instance, ok = strictjson.Text(m["instance"]); !ok || checkName(t.instance) != nil {
		return nil, errInstanceName
	}
	if given, there := m["agents"]; there {
		if t.agents, ok = parseAgents(given); !ok {
			return nil, errAgents
		}
	}
	return t, nil
}

// parseAgents returns each id once.
func parseAgents(given json.RawMessage) (agents []string, ok bool) {
	var list []json.RawMessage
	if given[0] != '[' || json.Unmarshal(given, &list) != nil || len(list) > maxAgents {
		return nil, false
	}
	for _, encoded := range list {
		agent, ok := strictjson.Text(encoded)
		if !ok || !caller.ValidID(agent) {
			return nil, false
		}
		agents = append(agents, agent)
	}
	slices.Sort(agents)
	return slices.Compact(agents), true
}

// parsePage reads which page of a list is asked for. Cursors are what the last
// entry of a page is called.
func parsePage(query url.Values, validCursor func(string) bool) (p page, err error) {
	p.limit = defaultPage
	if query.Has("limit") {
		if p.limit, err = strconv.Atoi(query.Get("limit")); err != nil || p.limit < 1 || p.limit > maxPage {
			return page{}, errPageLimit
		}
	}
	if p.after = query.Get("cursor"); p.after != "" && !validCursor(p.after) {
		return page{}, errCursor
	}
	return p, nil
}
