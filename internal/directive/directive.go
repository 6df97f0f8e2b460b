// Package directive reads the parts that Caddyfile directives are made of, as
// strictly in all of them: what is repeated, surplus or unknown is an error
// that names it.
package directive

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/dustin/go-humanize"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Block reads the block that follows, if there is one: it calls read with each
// subdirective's name. Read consumes the subdirective's arguments and reports
// whether it knows the name.
func Block(d *caddyfile.Dispenser, read func(name string) (known bool, err error)) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		known, err := read(d.Val())
		if err != nil {
			return err
		}
		if !known {
			return d.Errf("unrecognized subdirective '%s'", d.Val())
		}
	}
	return nil
}

// Word reads the one argument of a subdirective that may stand once. The
// check, if there is one, says what is wrong with the argument.
func Word(d *caddyfile.Dispenser, word *string, check func(string) error) error {
	name := d.Val()
	if *word != "" {
		return Duplicate(d)
	}
	if !d.NextArg() {
		return d.ArgErr()
	}
	*word = d.Val()
	if check != nil {
		if err := check(*word); err != nil {
			return d.WrapErr(err)
		}
	}
	return end(d, name)
}

// Flag reads a subdirective that may stand once, alone.
func Flag(d *caddyfile.Dispenser, flag *bool) error {
	name := d.Val()
	if *flag {
		return Duplicate(d)
	}
	*flag = true
	return end(d, name)
}

// Size reads a number of bytes above zero, such as 10MiB.
func Size(d *caddyfile.Dispenser, size *int64) error {
	name := d.Val()
	if *size != 0 {
		return Duplicate(d)
	}
	var word string
	if err := Word(d, &word, nil); err != nil {
		return err
	}
	bytes, err := humanize.ParseBytes(word)
	if err != nil || bytes == 0 || bytes > math.MaxInt64 {
		return d.Errf("%s '%s' is not a size above zero", name, word)
	}
	*size = int64(bytes)
	return nil
}

// Number reads a number above zero.
func Number(d *caddyfile.Dispenser, number *int) error {
	name := d.Val()
	if *number != 0 {
		return Duplicate(d)
	}
	var word string
	if err := Word(d, &word, nil); err != nil {
		return err
	}
	parsed, err := strconv.Atoi(word)
	if err != nil || parsed <= 0 {
		return d.Errf("%s '%s' is not a number above zero", name, word)
	}
	*number = parsed
	return nil
}

// Duration reads a time above zero, such as 10s.
func Duration(d *caddyfile.Dispenser, duration *caddy.Duration) error {
	name := d.Val()
	if *duration != 0 {
		return Duplicate(d)
	}
	var word string
	if err := Word(d, &word, nil); err != nil {
		return err
	}
	parsed, err := caddy.ParseDuration(word)
	if err != nil || parsed <= 0 {
		return d.Errf("%s '%s' is not a time above zero", name, word)
	}
	*duration = caddy.Duration(parsed)
	return nil
}

// Duplicate is the error of a subdirective that stands twice, which has just
// been read.
func Duplicate(d *caddyfile.Dispenser) error {
	return d.Errf("duplicate subdirective '%s'", d.Val())
}

// end refuses further arguments and a block.
func end(d *caddyfile.Dispenser, name string) error {
	if d.NextArg() { // the error names it
		return d.ArgErr()
	}
	return NoBlock(d, name)
}

// NoBlock refuses a block behind the subdirective of that name.
func NoBlock(d *caddyfile.Dispenser, name string) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		return d.Errf("'%s' takes no block", name)
	}
	return nil
}

// HTTPTransport reads a `transport http { … }`, Caddy's own, and returns its
// JSON.
func HTTPTransport(d *caddyfile.Dispenser) (json.RawMessage, error) {
	if !d.NextArg() {
		return nil, d.ArgErr()
	}
	if d.Val() != "http" {
		return nil, d.Errf("transport must be 'http', not '%s'", d.Val())
	}
	transport, err := caddyfile.UnmarshalModule(d, "http.reverse_proxy.transport.http")
	if err != nil {
		return nil, err
	}
	return caddyconfig.JSONModuleObject(transport, "protocol", "http", nil), nil
}
