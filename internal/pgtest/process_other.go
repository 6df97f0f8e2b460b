//go:build !unix

package pgtest

import (
	"errors"
	"os/exec"
)

type supervised struct{}

func supervise(string, string, ...string) (*supervised, error) {
	return nil, errors.New("PostgreSQL is started on Unix only")
}

func (*supervised) stop() error { return nil }

func unprivileged(*exec.Cmd) {}

func giveAway(...string) error { return nil }
