//go:build unix

package pgtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// supervisor starts the server and stops it when its input ends, which is at
// the latest when the tests' process does, however that dies.
const supervisor = `"$@" & read -r line; kill -QUIT $! 2>/dev/null; wait $!`

type supervised struct {
	input io.WriteCloser
	done  chan struct{}
}

func supervise(dir, command string, args ...string) (*supervised, error) {
	cmd := exec.Command("/bin/sh", append([]string{"-c", supervisor, "supervisor", command}, args...)...)
	cmd.Dir = dir
	unprivileged(cmd)
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid = true // a Ctrl-C is for the tests
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &supervised{input, make(chan struct{})}
	go func() {
		defer close(s.done)
		_ = cmd.Wait()
	}()
	return s, nil
}

func (s *supervised) stop() error {
	_ = s.input.Close()
	select {
	case <-s.done:
		return nil
	case <-time.After(30 * time.Second):
		return errors.New("PostgreSQL does not stop")
	}
}

// other returns the user to run the server as, where the tests run as root,
// which PostgreSQL refuses.
func other() (uid, gid uint32, needed bool, err error) {
	if os.Geteuid() != 0 {
		return 0, 0, false, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, lookupErr := user.Lookup(name)
		if lookupErr != nil {
			err = lookupErr
			continue
		}
		u, uidErr := strconv.ParseUint(found.Uid, 10, 32)
		g, gidErr := strconv.ParseUint(found.Gid, 10, 32)
		return uint32(u), uint32(g), true, errors.Join(uidErr, gidErr)
	}
	return 0, 0, true, fmt.Errorf("PostgreSQL does not run as root: %w", err)
}

func unprivileged(cmd *exec.Cmd) {
	if uid, gid, needed, err := other(); needed && err == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	}
}

func giveAway(paths ...string) error {
	uid, gid, needed, err := other()
	if !needed || err != nil {
		return err
	}
	for _, path := range paths {
		err = errors.Join(err, os.Chown(path, int(uid), int(gid)))
	}
	return err
}
