package anychannel

import (
	"os"
	"testing"

	"github.com/f737063d/caddy-connector/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
