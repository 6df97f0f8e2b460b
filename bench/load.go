package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how much longer than its slice a request may take.
const patience = 20 * time.Second

// Target is a site under load.
type Target struct {
	Name     string
	Addr     string
	Conns    int
	Requests [][]byte // as they are written; sent in turn
	Status   int      // of every answer
	Answer   int      // length of every answer's body
}

// Slice is what came of loading a site for a while.
type Slice struct {
	Elapsed   time.Duration
	Latencies []time.Duration // of each request
	CPU       time.Duration   // of the load and the upstream
}

// generator sends a target's requests over connections that stay open between
// slices. It writes ready-made bytes and reads no more of an answer than it
// must: net/http's client would need as much CPU as the proxy under test.
type generator struct {
	Target
	conns []*conn
}

// conn is one connection, which waits for each answer before the next request.
type conn struct {
	net.Conn
	reader    *bufio.Reader
	next      int // index of the next request
	latencies []time.Duration
}

func (g *generator) close() {
	for _, c := range g.conns {
		_ = c.Close()
	}
}

func newGenerator(t Target) (*generator, error) {
	g := &generator{Target: t}
	for i := range t.Conns {
		c, err := net.DialTimeout("tcp", t.Addr, patience)
		if err != nil {
			return nil, err
		}
		g.conns = append(g.conns, &conn{Conn: c, reader: bufio.NewReaderSize(c, 64<<10), next: i})
	}
	return g, nil
}

// run sends requests for the given time; with all, at least until each has been
// sent.
func (g *generator) run(duration time.Duration, all bool) (Slice, error) {
	atLeast := 1
	if all {
		atLeast = (len(g.Requests) + len(g.conns) - 1) / len(g.conns)
	}
	errs := make([]error, len(g.conns))
	start, cpu := time.Now(), processCPU()
	var wg sync.WaitGroup
	for i, c := range g.conns {
		wg.Go(func() { errs[i] = g.work(c, start, duration, atLeast) })
	}
	wg.Wait()
	slice := Slice{Elapsed: time.Since(start), CPU: processCPU() - cpu}
	for _, c := range g.conns {
		slice.Latencies = append(slice.Latencies, c.latencies...)
	}
	return slice, errors.Join(errs...)
}

func (g *generator) work(c *conn, start time.Time, duration time.Duration, atLeast int) error {
	c.latencies = c.latencies[:0]
	if err := c.SetDeadline(start.Add(duration + patience)); err != nil {
		return err
	}
	for sent := start; sent.Sub(start) < duration || len(c.latencies) < atLeast; {
		if err := g.exchange(c, g.Requests[c.next%len(g.Requests)]); err != nil {
			return err
		}
		// each connection has its own requests of the list
		c.next += len(g.conns)
		now := time.Now()
		c.latencies = append(c.latencies, now.Sub(sent))
		sent = now
	}
	return nil
}

// send sends so many requests, each over the next free connection. Before it is
// sent, each is given to ready, if that is not nil, which may wait.
func (g *generator) send(count int, ready func(n int, request []byte) []byte) error {
	var next atomic.Int64
	errs := make([]error, len(g.conns))
	var wg sync.WaitGroup
	for i, c := range g.conns {
		wg.Go(func() {
			for n := int(next.Add(1)) - 1; n < count && errs[i] == nil; n = int(next.Add(1)) - 1 {
				request := g.Requests[n%len(g.Requests)]
				if ready != nil {
					request = ready(n, request)
				}
				if errs[i] = c.SetDeadline(time.Now().Add(patience)); errs[i] == nil {
					errs[i] = g.exchange(c, request)
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// exchange sends a request and reads its answer.
func (g *generator) exchange(c *conn, request []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	return readAnswer(c.reader, g.Status, g.Answer)
}

// begins reports whether an answer's first line has this status.
func begins(line []byte, status int) bool {
	version, rest, _ := bytes.Cut(line, []byte(" "))
	code, _, _ := bytes.Cut(rest, []byte(" "))
	n, err := strconv.Atoi(string(code))
	return string(version) == "HTTP/1.1" && err == nil && n == status
}

// readAnswer reads one answer, which must have this status and a body of this
// length.
func readAnswer(r *bufio.Reader, status, want int) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	if !begins(line, status) {
		return fmt.Errorf("an answer begins with %q", line)
	}
	length := -1
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return fmt.Errorf("reading an answer's header: %w", err)
		}
		if len(line) <= 2 {
			break
		}
		const name = "content-length: "
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(name):]))); err != nil {
				return fmt.Errorf("reading an answer's length: %w", err)
			}
		}
	}
	if length != want {
		return fmt.Errorf("an answer has the length %d, want %d", length, want)
	}
	if _, err := r.Discard(length); err != nil {
		return fmt.Errorf("reading an answer's body: %w", err)
	}
	return nil
}
