package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
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
		if _, err := c.Write(g.Requests[c.next%len(g.Requests)]); err != nil {
			return err
		}
		// each connection has its own requests of the list
		c.next += len(g.conns)
		if err := readAnswer(c.reader, g.Answer); err != nil {
			return err
		}
		now := time.Now()
		c.latencies = append(c.latencies, now.Sub(sent))
		sent = now
	}
	return nil
}

// readAnswer reads one answer, which must be 200 with a body of this length.
func readAnswer(r *bufio.Reader, want int) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
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
