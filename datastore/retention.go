package datastore

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/f737063d/caddy-connector/internal/directive"
)

const (
	defaultRetention = caddy.Duration(30 * 24 * time.Hour)
	minRetention     = caddy.Duration(96 * time.Hour)
)

func checkRetention(retention caddy.Duration) error {
	if retention < minRetention {
		return fmt.Errorf("retention %v is shorter than 96h: deliveries are tried for 72h", time.Duration(retention))
	}
	return nil
}

func (a *App) unmarshalRetention(d *caddyfile.Dispenser) error {
	if err := directive.Duration(d, &a.Retention); err != nil {
		return err
	}
	if err := checkRetention(a.Retention); err != nil {
		return d.WrapErr(err)
	}
	return nil
}
