package anychannel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/f737063d/caddy-connector/internal/appcall"
	"github.com/f737063d/caddy-connector/internal/egress"
	"github.com/f737063d/caddy-connector/internal/httptransport"
	"github.com/f737063d/caddy-connector/internal/proxyerror"
	"github.com/f737063d/caddy-connector/internal/strictjson"
)

func init() {
	caddy.RegisterModule(new(HTTPTickets))
}

const (
	defaultAgentHeader   = "X-Agent-Id"
	defaultTicketTimeout = 5 * time.Second

	// in the helpdesk's URL
	ticketPlaceholder = "{ticket_id}"
	agentPlaceholder  = "{agent_id}"

	maxTicketAnswer  = 64 << 10 // bytes of the helpdesk's answer
	maxCachedTickets = 10_000   // by agent
)

// HTTPTickets is a ticket source that asks the helpdesk, with a GET for each
// request. It answers 200 with `{"instance":"<name>"}` if this agent may use the
// ticket. 404 has the next source asked; 403 is final. No redirect is followed.
type HTTPTickets struct {
	// What is asked: an http or https URL with `{ticket_id}` in its path or
	// query, and `{agent_id}` if the helpdesk wants it there. Other placeholders
	// are resolved once, when the config is loaded. The operator writes it, so
	// it may lead to a private address. In a path, an agent's id must not have
	// backslashes, control characters or dot segments, in any encoding: such
	// agents are answered 403.
	URL string `json:"url,omitempty"`

	// The header that carries the agent's id. Default: `X-Agent-Id`.
	AgentHeader string `json:"agent_header,omitempty"`

	// More request headers, such as an `Authorization` by which the helpdesk
	// knows the edge. Each value is a secret and takes placeholders, as in
	// `Bearer {env.HELPDESK_TOKEN}`, which are resolved once, when the config is
	// loaded; an empty one is an error.
	Headers map[string]string `json:"headers,omitempty"`

	// How long the helpdesk may take for its answer. Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How long an answer 200 counts for the same ticket and agent, so for how
	// long at most an access that was revoked still works. Other answers are not
	// kept. Default: none, each request is looked up.
	Cache caddy.Duration `json:"cache,omitempty"`

	// How to reach the helpdesk: Caddy's `http` reverse proxy transport.
	TransportRaw json.RawMessage `json:"transport,omitempty" caddy:"namespace=http.reverse_proxy.transport inline_key=protocol"`

	template  string
	headers   appcall.Headers
	transport *reverseproxy.HTTPTransport
	cache     *otter.Cache[ticketKey, cachedTicket]
}

// errAgentID says that {agent_id} stands in the URL's path, where servers read
// this agent's id as more than one segment, or as none.
var errAgentID = errors.New("the agent's id cannot stand in the path of the helpdesk's URL: " +
	"leave it to the header, or put {agent_id} into the query")

type ticketKey struct{ ticketID, agentID string }

type cachedTicket struct {
	instance string
	until    time.Time
}

// CaddyModule returns the Caddy module information.
func (*HTTPTickets) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.any_channel.tickets.http",
		New: func() caddy.Module { return new(HTTPTickets) },
	}
}

// Provision sets up the request and the transport.
func (s *HTTPTickets) Provision(ctx caddy.Context) error {
	if s.AgentHeader == "" {
		s.AgentHeader = defaultAgentHeader
	}
	if s.Timeout == 0 {
		s.Timeout = caddy.Duration(defaultTicketTimeout)
	}
	if s.Timeout < 0 || s.Cache < 0 {
		return errors.New("timeout and cache must not be negative")
	}
	repl := caddy.NewReplacer()
	s.template = repl.ReplaceKnown(s.URL, "")
	if !strings.Contains(s.template, ticketPlaceholder) {
		return errors.New("the URL has no " + ticketPlaceholder)
	}
	if err := appcall.CheckURL(s.template, ticketPlaceholder, agentPlaceholder); err != nil {
		return err
	}
	var err error
	if s.headers, err = appcall.NewHeaders(repl, s.AgentHeader, s.Headers, ctx.Logger()); err != nil {
		return err
	}
	if s.Cache > 0 {
		// it expires by its own time, which begins before the helpdesk is asked
		s.cache = otter.Must(&otter.Options[ticketKey, cachedTicket]{MaximumSize: maxCachedTickets})
	}
	s.transport, err = httptransport.Load(ctx, s, &s.TransportRaw)
	return err
}

// Instance implements TicketSource.
func (s *HTTPTickets) Instance(ctx context.Context, ticketID, agentID string) (TicketInstance, error) {
	name, err := s.look(ctx, ticketID, agentID)
	return ConfiguredInstance(name), err
}

// look returns what the helpdesk says, or has said not long ago.
func (s *HTTPTickets) look(ctx context.Context, ticketID, agentID string) (string, error) {
	key := ticketKey{ticketID, agentID}
	asked := time.Now()
	if s.cache != nil {
		if cached, ok := s.cache.GetIfPresent(key); ok && asked.Before(cached.until) {
			return cached.instance, nil
		}
	}
	instance, err := s.ask(ctx, ticketID, agentID)
	if s.cache != nil {
		if err == nil {
			s.cache.Set(key, cachedTicket{instance, asked.Add(time.Duration(s.Cache))})
		} else {
			s.cache.Invalidate(key)
		}
	}
	return instance, err
}

func (s *HTTPTickets) ask(ctx context.Context, ticketID, agentID string) (string, error) {
	target, err := appcall.Expand(s.template, ticketPlaceholder, ticketID, agentPlaceholder, agentID)
	if err != nil {
		return "", errAgentID
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.Timeout))
	defer cancel()
	request := (&http.Request{Method: http.MethodGet, URL: target, Host: target.Host, Header: s.headers.For(agentID)}).WithContext(ctx)

	res, err := s.transport.RoundTrip(request)
	if err != nil {
		return "", lookupError(ctx, err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return "", ErrUnknownTicket
	case http.StatusForbidden:
		return "", ErrNoAccess
	default:
		return "", fmt.Errorf("the helpdesk answered %d", res.StatusCode)
	}
	body, err := egress.ReadAll(res, maxTicketAnswer)
	if err != nil {
		return "", lookupError(ctx, err)
	}
	members, err := strictjson.Object(body)
	if err != nil {
		return "", fmt.Errorf("the helpdesk's answer: %w", err)
	}
	instance, ok := strictjson.Text(members["instance"])
	if !ok || instance == "" {
		return "", errors.New("the helpdesk's answer names no instance")
	}
	return instance, nil
}

// lookupError keeps from an error what may be logged: it may hold bytes of the
// answer.
func lookupError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, egress.ErrTooLarge):
		return errors.New("the helpdesk's answer is too large")
	case proxyerror.Of(err) != "":
		return err
	}
	return errors.New("the helpdesk's answer is malformed")
}

// Interface guards
var (
	_ caddy.Module      = (*HTTPTickets)(nil)
	_ caddy.Provisioner = (*HTTPTickets)(nil)
	_ TicketSource      = (*HTTPTickets)(nil)
)
