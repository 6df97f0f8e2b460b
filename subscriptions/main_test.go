package subscriptions

import (
	"fmt"
	"os"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/f737063d/caddy-connector/internal/pgtest"
)

// childConfig names the config, as JSON, that makes this binary a Caddy that
// runs until it is killed, or stopped by a signal.
const childConfig = "SUBSCRIPTIONS_TEST_CONFIG"

func TestMain(m *testing.M) {
	if path := os.Getenv(childConfig); path != "" {
		caddy.TrapSignals()
		config, err := os.ReadFile(path)
		if err == nil {
			err = caddy.Load(config, true)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		select {}
	}
	os.Exit(pgtest.Main(m))
}
