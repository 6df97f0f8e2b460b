package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"
)

// result is a row, measured.
type result struct {
	row
	requests   int       // per side and round, the median
	throughput []float64 // ratio, by round
	p50, p99   ratios
	caddyCPU   ratios // of Caddy, per request
	wholeCPU   ratios // of Caddy, load and upstream, per request
	allocs     ratios // objects per request
	bytes      ratios // per request
}

// ratios are the two sides' values and their ratio, by round.
type ratios struct{ a, b, ratio []float64 }

func (r *ratios) add(a, b float64) {
	r.a, r.b, r.ratio = append(r.a, a), append(r.b, b), append(r.ratio, a/b)
}

// tally is what one side did in one round.
type tally struct {
	elapsed   time.Duration
	latencies []time.Duration
	caddyCPU  time.Duration
	wholeCPU  time.Duration
	mallocs   uint64
	bytes     uint64
}

// measure starts a row's sites and loads them in turn.
func measure(opts options, r row, load *load) (result, error) {
	db, err := openDatabase(r.database)
	if err != nil {
		return result{}, err
	}
	addrs, stop, err := startCaddy(load.upstream, db, r.a.site, r.b.site)
	if err != nil {
		return result{}, err
	}
	defer stop()
	for n := range r.subscribed {
		if _, err := subscribe(addrs[0], resourceID(n), webhook(load.upstream.Webhooks, n)); err != nil {
			return result{}, err
		}
	}
	if r.connected != "" {
		if r.a.requests, err = connect(addrs[0], r.connected, r.a.requests); err != nil {
			return result{}, err
		}
	}
	conns := opts.conns
	if r.conns > 0 {
		conns = r.conns
	}
	for i, s := range []side{r.a, r.b} {
		name := string(rune('a' + i))
		if err := load.prepare(Target{name, addrs[i], conns, s.requests, s.status(), s.answer}); err != nil {
			return result{}, fmt.Errorf("connecting to %s: %w", s.site, err)
		}
		// fills the pools, and each service's metrics
		if _, err := load.run(name, opts.slice, true); err != nil {
			return result{}, fmt.Errorf("warming up %s: %w", s.site, err)
		}
		if err := r.settle(); err != nil {
			return result{}, err
		}
	}
	res := result{row: r}
	var requests []float64
	for round := range opts.rounds {
		sides := map[string]*tally{"a": {}, "b": {}}
		order := [...]string{"a", "b", "b", "a"}
		if round%2 == 1 {
			order = [...]string{"b", "a", "a", "b"}
		}
		for i, name := range order {
			profile := profileFile(opts.profiles, r.what+" vs "+r.against, name, round*len(order)+i)
			if err := sides[name].measure(opts, load, name, profile); err != nil {
				return result{}, err
			}
			if err := r.settle(); err != nil {
				return result{}, err
			}
		}
		a, b := sides["a"], sides["b"]
		slices.Sort(a.latencies)
		slices.Sort(b.latencies)
		requests = append(requests, a.requests(), b.requests())
		res.throughput = append(res.throughput, a.requests()/a.elapsed.Seconds()/(b.requests()/b.elapsed.Seconds()))
		res.p50.add(float64(percentile(a.latencies, 50)), float64(percentile(b.latencies, 50)))
		res.p99.add(float64(percentile(a.latencies, 99)), float64(percentile(b.latencies, 99)))
		res.allocs.add(float64(a.mallocs)/a.requests(), float64(b.mallocs)/b.requests())
		res.bytes.add(float64(a.bytes)/a.requests(), float64(b.bytes)/b.requests())
		res.caddyCPU.add(float64(a.caddyCPU)/a.requests(), float64(b.caddyCPU)/b.requests())
		res.wholeCPU.add(float64(a.wholeCPU)/a.requests(), float64(b.wholeCPU)/b.requests())
	}
	res.requests = int(median(requests))
	return res, nil
}

func (t *tally) requests() float64 { return float64(len(t.latencies)) }

// measure adds one slice.
func (t *tally) measure(opts options, load *load, name, profile string) error {
	end, err := startProfile(profile)
	if err != nil {
		return err
	}
	defer end()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu := processCPU()
	slice, err := load.run(name, opts.slice, false)
	if err != nil {
		return err
	}
	cpu = processCPU() - cpu
	runtime.ReadMemStats(&after)
	t.caddyCPU += cpu
	t.wholeCPU += cpu + slice.CPU
	t.elapsed += slice.Elapsed
	t.latencies = append(t.latencies, slice.Latencies...)
	t.mallocs += after.Mallocs - before.Mallocs
	t.bytes += after.TotalAlloc - before.TotalAlloc
	return nil
}

var notInFileNames = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// startProfile writes a CPU profile of this process until end is called, if
// there is a file for it.
func startProfile(file string) (end func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}

// profileFile returns the file for one slice's profile, or "". pprof adds up
// the profiles of a side when it is given all of them.
func profileFile(dir, row, side string, slice int) string {
	if dir == "" {
		return ""
	}
	base := notInFileNames.ReplaceAllString(row, "-")
	return filepath.Join(dir, fmt.Sprintf("%s.%s.%02d.prof", base, side, slice))
}

// writeAllocs writes what Caddy has allocated since it started.
func writeAllocs(dir string) error {
	if dir == "" {
		return nil
	}
	f, err := os.Create(filepath.Join(dir, "allocs.prof"))
	if err != nil {
		return err
	}
	defer f.Close()
	return pprof.Lookup("allocs").WriteTo(f, 0)
}
