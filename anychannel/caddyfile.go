package anychannel

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/f737063d/caddy-connector/internal/directive"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("any_channel", parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder("any_channel", httpcaddyfile.Before, "reverse_proxy")
}

func parseCaddyfile(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	any_channel [<matcher>] {
//	    path            <path>
//	    user            <placeholder>
//	    trusted_origins <origin>...
//	    integration <name> {
//	        manifest <url>
//	        encoding form|json
//	        poll     <duration>|off
//	    }
//	    instance <name> {
//	        integration <name>
//	        metadata    <metadata>
//	        inactive
//	        rate_limit  <requests> <window>
//	    }
//	    tickets static {
//	        <ticket_id> <instance> [<agent>...]
//	    }
//	    tickets http <url> {
//	        ...
//	    }
//	    tickets database
//	    timeout  <duration>
//	    max_body <size>
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if d.NextArg() {
		return d.ArgErr()
	}
	p := parser{Handler: h, start: d.Token(), instances: make(map[string]caddyfile.Token), tickets: make(map[string]caddyfile.Token)}
	if err := directive.Block(d, func(name string) (bool, error) { return p.unmarshal(d, name) }); err != nil {
		return err
	}
	return p.check()
}

// parser remembers where names stand, so that those which lead nowhere can be
// told with their line.
type parser struct {
	*Handler
	start     caddyfile.Token
	instances map[string]caddyfile.Token // by instance
	tickets   map[string]caddyfile.Token // by the instance that a static ticket names
	keeps     bool                       // whether a source may keep instances of its own
	database  bool                       // whether there are tickets in the database
}

func (p *parser) unmarshal(d *caddyfile.Dispenser, name string) (known bool, err error) {
	switch name {
	case "path":
		return true, directive.Word(d, &p.Path, checkPath)
	case "user":
		return true, directive.Word(d, &p.User, nil)
	case "trusted_origins":
		return true, p.unmarshalOrigins(d)
	case "integration":
		return true, p.unmarshalIntegration(d)
	case "instance":
		return true, p.unmarshalInstance(d)
	case "tickets":
		return true, p.unmarshalTickets(d)
	case "timeout":
		return true, directive.Duration(d, &p.Timeout)
	case "max_body":
		return true, directive.Size(d, &p.MaxBody)
	}
	return false, nil
}

func (p *parser) unmarshalOrigins(d *caddyfile.Dispenser) error {
	if p.TrustedOrigins != nil {
		return directive.Duplicate(d)
	}
	if p.TrustedOrigins = d.RemainingArgs(); len(p.TrustedOrigins) == 0 {
		return d.ArgErr()
	}
	for _, origin := range p.TrustedOrigins {
		if err := http.NewCrossOriginProtection().AddTrustedOrigin(origin); err != nil {
			return d.Errf("'%s' is not an origin such as https://apps.example.com", origin)
		}
	}
	return directive.NoBlock(d, "trusted_origins")
}

// unmarshalName reads the name behind `integration` or `instance`.
func unmarshalName(d *caddyfile.Dispenser) (string, error) {
	var name string
	if !d.AllArgs(&name) {
		return "", d.ArgErr()
	}
	if err := checkName(name); err != nil {
		return "", d.WrapErr(err)
	}
	return name, nil
}

func (p *parser) unmarshalIntegration(d *caddyfile.Dispenser) error {
	id, err := unmarshalName(d)
	if err != nil {
		return err
	}
	if p.Integrations[id] != nil {
		return d.Errf("duplicate integration '%s'", id)
	}
	integration := new(Integration)
	err = directive.Block(d, func(name string) (bool, error) {
		switch name {
		case "manifest":
			return true, directive.Word(d, &integration.Manifest, checkManifestURL)
		case "encoding":
			return true, directive.Word(d, &integration.Encoding, checkEncoding)
		case "poll":
			return true, integration.unmarshalPoll(d)
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	if integration.Manifest == "" {
		return d.Errf("integration '%s' has no manifest", id)
	}
	if p.Integrations == nil {
		p.Integrations = make(map[string]*Integration)
	}
	p.Integrations[id] = integration
	return nil
}

func (i *Integration) unmarshalPoll(d *caddyfile.Dispenser) error {
	if i.Poll != 0 {
		return directive.Duplicate(d)
	}
	var word string
	if err := directive.Word(d, &word, nil); err != nil {
		return err
	}
	if word == "off" {
		i.Poll = -1
		return nil
	}
	interval, err := caddy.ParseDuration(word)
	if err != nil || interval < minPoll {
		return d.Errf("poll '%s' is neither 'off' nor a time of at least %s", word, minPoll)
	}
	i.Poll = caddy.Duration(interval)
	return nil
}

func (p *parser) unmarshalInstance(d *caddyfile.Dispenser) error {
	at := d.Token()
	id, err := unmarshalName(d)
	if err != nil {
		return err
	}
	if p.Instances[id] != nil {
		return d.Errf("duplicate instance '%s'", id)
	}
	instance := new(Instance)
	err = directive.Block(d, func(name string) (bool, error) {
		switch name {
		case "integration":
			return true, directive.Word(d, &instance.Integration, checkName)
		case "metadata":
			return true, directive.Word(d, &instance.Metadata, checkMetadata)
		case "inactive":
			return true, directive.Flag(d, &instance.Inactive)
		case "rate_limit":
			return true, instance.unmarshalRateLimit(d)
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	if instance.Integration == "" || instance.Metadata == "" {
		return d.Errf("instance '%s' needs an integration and metadata", id)
	}
	if p.Instances == nil {
		p.Instances = make(map[string]*Instance)
	}
	p.Instances[id], p.instances[id] = instance, at
	return nil
}

func (i *Instance) unmarshalRateLimit(d *caddyfile.Dispenser) error {
	if i.RateLimit != nil {
		return directive.Duplicate(d)
	}
	var requests, window string
	if !d.AllArgs(&requests, &window) {
		return d.ArgErr()
	}
	number, err := strconv.Atoi(requests)
	if err != nil || number <= 0 {
		return d.Errf("rate_limit '%s' is not a number above zero", requests)
	}
	duration, err := caddy.ParseDuration(window)
	if err != nil || duration <= 0 {
		return d.Errf("rate_limit '%s' is not a time above zero", window)
	}
	i.RateLimit = &RateLimit{number, caddy.Duration(duration)}
	return directive.NoBlock(d, "rate_limit")
}

func (p *parser) unmarshalTickets(d *caddyfile.Dispenser) error {
	at := d.Token()
	if !d.NextArg() {
		return d.ArgErr()
	}
	source := d.Val()
	module, err := caddyfile.UnmarshalModule(d, "http.any_channel.tickets."+source)
	if err != nil {
		return err
	}
	known, ok := module.(TicketSource)
	if !ok {
		return d.Errf("module '%s' is not a source of tickets", source)
	}
	switch known := known.(type) {
	case *StaticTickets:
		for _, ticket := range known.Tickets {
			p.tickets[ticket.Instance] = at
		}
	case *DatabaseTickets:
		if p.database {
			return d.Err("duplicate 'tickets database'")
		}
		p.database = true
	}
	p.keeps = p.keeps || mayKeepInstances(known)
	p.TicketsRaw = append(p.TicketsRaw, caddyconfig.JSONModuleObject(module, "source", source, nil))
	return nil
}

// check finds what is missing, and names that lead nowhere.
func (p *parser) check() error {
	for name, at := range p.instances {
		if integration := p.Instances[name].Integration; p.Integrations[integration] == nil {
			return fmt.Errorf("instance '%s': there is no integration '%s', at %s:%d", name, integration, at.File, at.Line)
		}
	}
	for name, at := range p.tickets {
		if p.Instances[name] == nil {
			return fmt.Errorf("tickets static: there is no instance '%s', at %s:%d", name, at.File, at.Line)
		}
	}
	var missing string
	switch {
	case len(p.Integrations) == 0:
		missing = "integration"
	case len(p.Instances) == 0 && !p.keeps:
		missing = "instance"
	case len(p.TicketsRaw) == 0:
		missing = "tickets"
	default:
		return nil
	}
	return fmt.Errorf("any_channel: at least one '%s' is required, at %s:%d", missing, p.start.File, p.start.Line)
}

func checkMetadata(metadata string) error {
	if metadata == "" {
		return fmt.Errorf("the metadata is empty")
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
