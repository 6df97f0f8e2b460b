package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/rpc"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// loadCommand as the only argument makes this binary the child process.
const loadCommand = "load-and-upstream"

// load is the child process, called over its standard input and output.
type load struct {
	cmd      *exec.Cmd
	client   *rpc.Client
	upstream Upstream
}

// startLoad starts the child process. It ends when this process does.
func startLoad() (*load, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, loadCommand)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the load: %w", err)
	}
	l := &load{cmd: cmd, client: rpc.NewClient(pipes{stdout, stdin})}
	if err := l.client.Call("Child.Upstream", struct{}{}, &l.upstream); err != nil {
		l.stop()
		return nil, fmt.Errorf("starting the upstream: %w", err)
	}
	return l, nil
}

// stop ends the child process.
func (l *load) stop() {
	_ = l.client.Close()
	_ = l.cmd.Wait()
}

// prepare connects to a site.
func (l *load) prepare(t Target) error {
	return l.client.Call("Child.Prepare", t, new(struct{}))
}

// run loads a prepared site for a while; with all, at least until it has sent
// every request.
func (l *load) run(name string, duration time.Duration, all bool) (Slice, error) {
	var slice Slice
	err := l.client.Call("Child.Run", Order{name, duration, all}, &slice)
	return slice, err
}

// pipes make one connection of the two ends of a process.
type pipes struct {
	io.ReadCloser
	io.WriteCloser
}

func (p pipes) Close() error {
	return errors.Join(p.WriteCloser.Close(), p.ReadCloser.Close())
}

// serveLoad is the child process, until its standard input ends.
func serveLoad() {
	server := rpc.NewServer()
	if err := server.Register(&Child{targets: make(map[string]*generator), receiver: newReceiver()}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	server.ServeConn(pipes{os.Stdin, os.Stdout})
}

// Child is what the child process does. Calls come one at a time.
type Child struct {
	targets  map[string]*generator
	receiver *receiver
}

// Order is one call of Run.
type Order struct {
	Name     string
	Duration time.Duration
	All      bool
}

// Upstream is one upstream, on three addresses.
type Upstream struct {
	Plain, HTTP1, HTTP2 string // HTTP/1.1 without TLS, and both over TLS
	Certificate         []byte // of those with TLS, as DER
	Webhooks            string // answers 200 with no body
	Hanging             string // accepts connections and never answers
}

// Upstream starts the upstream.
func (c *Child) Upstream(_ struct{}, started *Upstream) error {
	plain := httptest.NewServer(http.HandlerFunc(answer))
	http1 := httptest.NewUnstartedServer(http.HandlerFunc(answer))
	http1.StartTLS()
	http2 := httptest.NewUnstartedServer(http.HandlerFunc(answer))
	http2.EnableHTTP2 = true
	http2.StartTLS()
	c.receiver.start()
	*started = Upstream{
		Plain: plain.Listener.Addr().String(), HTTP1: http1.Listener.Addr().String(), HTTP2: http2.Listener.Addr().String(),
		Certificate: http1.Certificate().Raw,
		Webhooks:    c.receiver.webhooks.Listener.Addr().String(), Hanging: c.receiver.hanging.Listener.Addr().String(),
	}
	return nil
}

var (
	smallAnswer = body(smallBody)
	largeAnswer = body(largeBody)
)

func answer(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	content := smallAnswer
	if r.URL.Path == "/large" {
		content = largeAnswer
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content)
}

// Prepare connects to a site, in the place of the one that had its name.
func (c *Child) Prepare(t Target, _ *struct{}) error {
	if former := c.targets[t.Name]; former != nil {
		former.close()
	}
	g, err := newGenerator(t)
	c.targets[t.Name] = g
	return err
}

// Run loads a prepared site.
func (c *Child) Run(o Order, slice *Slice) (err error) {
	*slice, err = c.targets[o.Name].run(o.Duration, o.All)
	return err
}
