package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/f737063d/caddy-connector/internal/egress"
	"github.com/f737063d/caddy-connector/subscriptions/signature"
)

const (
	endpoints  = 100 // in each row, with one subscription each
	plainConns = 64  // requests at a time on the plain side; the engine may have 512, at which this one was a tenth slower
)

// deliveryRow is events that are published over HTTP and sent to endpoints, as
// against plain POSTs of the same requests to the same endpoints.
type deliveryRow struct {
	fanOut int
	on     string
	budget float64
}

func (r deliveryRow) String() string {
	return fmt.Sprintf("deliveries, fan-out %d, %s", r.fanOut, r.on)
}

func deliveryRows() (rows []deliveryRow) {
	for _, on := range databases {
		rows = append(rows, deliveryRow{1, on, 0.35}, deliveryRow{10, on, 0.60}, deliveryRow{100, on, 0.70})
	}
	return rows
}

// deliveryResult is a row, measured.
type deliveryResult struct {
	deliveryRow
	rate ratios // deliveries a second
	cpu  ratios // of this process, per delivery
	most ratios // requests that the receiver had at a time
}

func measureDeliveries(opts options, r deliveryRow, load *load) (res deliveryResult, err error) {
	res.deliveryRow = r
	db, err := openDatabase(r.on)
	if err != nil {
		return res, err
	}
	addrs, stop, err := startCaddy(load.upstream, db, siteEvents)
	if err != nil {
		return res, err
	}
	defer stop()
	plain := newPlainPoster()
	for n := range endpoints {
		target := webhook(load.upstream.Webhooks, n)
		if _, err := subscribe(addrs[0], resourceID(n/r.fanOut), target); err != nil {
			return res, err
		}
		if err := plain.add(target); err != nil {
			return res, err
		}
	}
	err = load.prepare(Target{"events", addrs[0], publishers, publishing(endpoints / r.fanOut), http.StatusAccepted, len(accepted(r.fanOut))})
	if err != nil {
		return res, err
	}
	const a, b = 0, 1
	sides := [...]func() (spell, error){
		a: func() (spell, error) { return r.publish(opts, load) },
		b: func() (spell, error) { return plain.run(opts.deliveries, load) },
	}
	for _, warmUp := range sides {
		if _, err := warmUp(); err != nil {
			return res, err
		}
	}
	for round := range opts.rounds {
		order := [...]int{a, b, b, a}
		if round%2 == 1 {
			order = [...]int{b, a, a, b}
		}
		var sums [2]spell
		for i, side := range order {
			end, err := startProfile(profileFile(opts.profiles, r.String(), [...]string{"a", "b"}[side], round*len(order)+i))
			if err != nil {
				return res, err
			}
			s, err := sides[side]()
			end()
			if err != nil {
				return res, err
			}
			sums[side].add(s)
		}
		res.rate.add(sums[a].rate(), sums[b].rate())
		res.cpu.add(sums[a].cpuEach(), sums[b].cpuEach())
		res.most.add(float64(sums[a].most), float64(sums[b].most))
	}
	return res, nil
}

// spell is what one side did in one slice.
type spell struct {
	deliveries int
	elapsed    time.Duration
	cpu        time.Duration
	most       int
}

func (s *spell) add(other spell) {
	s.deliveries += other.deliveries
	s.elapsed += other.elapsed
	s.cpu += other.cpu
	s.most = max(s.most, other.most)
}

func (s *spell) rate() float64    { return float64(s.deliveries) / s.elapsed.Seconds() }
func (s *spell) cpuEach() float64 { return float64(s.cpu) / float64(s.deliveries) }

// publish publishes events until they have the deliveries of a slice, and
// waits until all of them have arrived. Until all are stored as sent, nothing
// else is measured; the CPU time for that is counted.
func (r deliveryRow) publish(opts options, load *load) (s spell, err error) {
	cpu := processCPU()
	events := opts.deliveries / r.fanOut
	var received Received
	order := PublishOrder{Name: "events", Requests: events, Deliveries: events * r.fanOut}
	if err := load.client.Call("Child.Publish", order, &received); err != nil {
		return s, err
	}
	if err := settle(); err != nil {
		return s, err
	}
	s = spell{order.Deliveries, received.Elapsed, processCPU() - cpu, received.Most}
	return s, load.expect(order.Deliveries)
}

// expect fails unless exactly so many have arrived: nothing twice.
func (l *load) expect(deliveries int) error {
	var counts [2]int
	if err := l.client.Call("Child.Count", struct{}{}, &counts); err != nil {
		return err
	}
	if counts[0] != deliveries {
		return fmt.Errorf("%d deliveries have arrived %d times", deliveries, counts[0])
	}
	return nil
}

// plainPoster posts what subscribers get, ready-made and signed once, without
// any durability: as little as a Go program can do to bring it there. Its
// transport is the one that deliveries go through.
type plainPoster struct {
	transport http.RoundTripper
	urls      []*url.URL
	header    http.Header
	body      []byte
}

func newPlainPoster() *plainPoster {
	const id, at = "evt_01ARZ3NDEKTSV4RRFFQ69G5FAV", "2026-01-02T03:04:05.123456Z"
	_, data, _ := bytes.Cut(event(resourceID(0)), []byte(`"data":`))
	p := &plainPoster{
		transport: egress.NewTransport(egress.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}),
		header:    http.Header{"Content-Type": {"application/json"}, "User-Agent": {"caddy-connector"}},
		body: fmt.Appendf(nil, `{"id":%q,"type":%q,"timestamp":%q,"resource_id":%q,"data":%s`,
			id, eventType, at, resourceID(0), data),
	}
	_ = signature.Sign(p.header, signature.Names{}, id, time.Now(), p.body, signature.NewSecret())
	return p
}

func (p *plainPoster) add(target string) error {
	parsed, err := url.Parse(target)
	p.urls = append(p.urls, parsed)
	return err
}

// run posts so many.
func (p *plainPoster) run(count int, load *load) (s spell, err error) {
	if err := load.client.Call("Child.Begin", struct{}{}, new(struct{})); err != nil {
		return s, err
	}
	start, cpu := time.Now(), processCPU()
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range plainConns {
		wg.Go(func() {
			for n := int(next.Add(1)) - 1; n < count && failed.Load() == nil; n = int(next.Add(1)) - 1 {
				if err := p.post(p.urls[n%len(p.urls)]); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	s = spell{deliveries: count, elapsed: time.Since(start), cpu: processCPU() - cpu}
	if err := failed.Load(); err != nil {
		return s, *err
	}
	var counts [2]int
	err = load.client.Call("Child.Count", struct{}{}, &counts)
	s.most = counts[1]
	return s, err
}

func (p *plainPoster) post(to *url.URL) error {
	request := &http.Request{
		Method: http.MethodPost, URL: to, Host: to.Host, Header: p.header,
		Body: io.NopCloser(bytes.NewReader(p.body)), ContentLength: int64(len(p.body)),
	}
	res, err := p.transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %d", to, res.StatusCode)
	}
	return nil
}
