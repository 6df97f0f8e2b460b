package anychannel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"
	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/f737063d/caddy-connector/internal/egress"
	"github.com/f737063d/caddy-connector/internal/httptransport"
	"github.com/f737063d/caddy-connector/internal/proxyerror"
	"github.com/f737063d/caddy-connector/internal/rawpath"
	"github.com/f737063d/caddy-connector/internal/secret"
	"github.com/f737063d/caddy-connector/internal/strictjson"
)

func init() {
	caddy.RegisterModule(new(HTTPTickets))
}

const (
	defaultAgentHeader   = "X-Agent-Id"
	defaultTicketTimeout = 5 * time.Second

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
	headers   map[string]secret.Value
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
	if err := checkAgentHeader(s.AgentHeader); err != nil {
		return err
	}
	repl := caddy.NewReplacer()
	s.template = repl.ReplaceKnown(s.URL, "")
	if err := checkTicketURL(s.template); err != nil {
		return err
	}
	if err := s.provisionHeaders(repl, ctx.Logger()); err != nil {
		return err
	}
	if s.Cache > 0 {
		// it expires by its own time, which begins before the helpdesk is asked
		s.cache = otter.Must(&otter.Options[ticketKey, cachedTicket]{MaximumSize: maxCachedTickets})
	}
	var err error
	s.transport, err = httptransport.Load(ctx, s, &s.TransportRaw)
	return err
}

func (s *HTTPTickets) provisionHeaders(repl *caddy.Replacer, logger *zap.Logger) error {
	s.headers = make(map[string]secret.Value)
	for name, configured := range s.Headers {
		if err := checkHelpdeskHeader(name); err != nil {
			return err
		}
		if strings.EqualFold(name, s.AgentHeader) {
			return fmt.Errorf("header %s is the agent's", name)
		}
		value, err := secret.Resolve(repl, configured)
		if err == nil && !httpguts.ValidHeaderFieldValue(value.Reveal()) {
			err = errors.New("its value has characters that no header can carry")
		}
		if err != nil {
			return fmt.Errorf("header %s: %w", name, err)
		}
		if secret.IsLiteral(configured) && strings.EqualFold(name, "Authorization") {
			logger.Warn("the header's secret can be read in the config; use {env.*} or {file.*}", zap.String("header", name))
		}
		key := http.CanonicalHeaderKey(name)
		if _, ok := s.headers[key]; ok {
			return fmt.Errorf("header %s is given twice", key)
		}
		s.headers[key] = value
	}
	return nil
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
	target, err := expandTicketURL(s.template, ticketID, agentID)
	if err != nil {
		return "", errAgentID
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.Timeout))
	defer cancel()
	header := http.Header{"Accept": {"application/json"}, "User-Agent": {userAgent}}
	for name, value := range s.headers {
		header[name] = []string{value.Reveal()}
	}
	header[http.CanonicalHeaderKey(s.AgentHeader)] = []string{agentID}
	request := (&http.Request{Method: http.MethodGet, URL: target, Host: target.Host, Header: header}).WithContext(ctx)

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

// expandTicketURL puts the ids into the URL, percent-encoded where they stand.
func expandTicketURL(template, ticketID, agentID string) (*url.URL, error) {
	// QueryEscape leaves what no path either reads as more than itself, and an id
	// has no space, which it would make a plus sign
	expanded := strings.NewReplacer("{ticket_id}", ticketID, "{agent_id}", url.QueryEscape(agentID)).Replace(template)
	u, err := url.Parse(expanded)
	if err != nil {
		return nil, err
	}
	return u, rawpath.Check(u.EscapedPath())
}

// checkTicketURL checks the URL before the ids are in it. Errors do not repeat
// it: it may hold a secret.
func checkTicketURL(template string) error {
	if !strings.Contains(template, "{ticket_id}") {
		return errors.New("the URL has no {ticket_id}")
	}
	u, err := expandTicketURL(template, "1", "agent")
	if err != nil {
		return errors.New("the URL cannot be parsed, or has dot segments")
	}
	other, err := expandTicketURL(template, "2", "other")
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return errors.New("the URL must begin with http:// or https:// and a host")
	case u.Scheme != other.Scheme || u.Host != other.Host:
		return errors.New("the URL's host must not depend on the ticket or the agent")
	case u.User != nil:
		return errors.New("the URL must not have a user or password; use a header")
	case u.Fragment != "" || strings.Contains(template, "#"):
		return errors.New("the URL must not have a fragment")
	}
	return nil
}

func checkAgentHeader(name string) error {
	if err := checkHelpdeskHeader(name); err != nil {
		return err
	}
	if strings.ContainsAny(name, "_.") {
		return fmt.Errorf("header '%s': Caddy drops names with '_' or '.'", name)
	}
	return nil
}

// checkHelpdeskHeader refuses names that are not for the config to set.
func checkHelpdeskHeader(name string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("'%s' is not a header name", name)
	}
	switch http.CanonicalHeaderKey(name) {
	case "Connection", "Content-Length", "Expect", "Host", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return fmt.Errorf("header '%s' has a meaning of its own", name)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Module      = (*HTTPTickets)(nil)
	_ caddy.Provisioner = (*HTTPTickets)(nil)
	_ TicketSource      = (*HTTPTickets)(nil)
)
