package datastore

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func TestRetention(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	for configured, want := range map[time.Duration]time.Duration{
		0: 720 * time.Hour, 96 * time.Hour: 96 * time.Hour, 1000 * time.Hour: 1000 * time.Hour,
	} {
		app := &App{Retention: caddy.Duration(configured)}
		if err := app.Provision(ctx); err != nil || time.Duration(app.Retention) != want {
			t.Errorf("%v: %v, %v", configured, app.Retention, err)
		}
	}
	for _, configured := range []time.Duration{-1, time.Hour, 96*time.Hour - 1} {
		app := &App{Retention: caddy.Duration(configured)}
		if err := app.Provision(ctx); err == nil || !strings.Contains(err.Error(), "is shorter than 96h") {
			t.Errorf("%v: %v", configured, err)
		}
	}
}
