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
	addrs, stop, err := startCaddy(load.upstream, [...]string{r.a.site, r.b.site})
	if err != nil {
		return result{}, err
	}
	defer stop()
	for i, s := range []side{r.a, r.b} {
		name := string(rune('a' + i))
		if err := load.prepare(Target{name, addrs[i], opts.conns, s.requests, s.answer}); err != nil {
			return result{}, fmt.Errorf("connecting to %s: %w", s.site, err)
		}
		// fills the pools, and each service's metrics
		if _, err := load.run(name, opts.slice, true); err != nil {
			return result{}, fmt.Errorf("warming up %s: %w", s.site, err)
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
			profile := profileName(opts.profiles, r, name, round*len(order)+i)
			if err := sides[name].measure(opts, load, name, profile); err != nil {
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
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
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

// profileName returns the file for one slice's profile, or "". pprof adds up
// the profiles of a side when it is given all of them.
func profileName(dir string, r row, name string, slice int) string {
	if dir == "" {
		return ""
	}
	base := notInFileNames.ReplaceAllString(r.what+" vs "+r.against, "-")
	return filepath.Join(dir, fmt.Sprintf("%s.%s.%02d.prof", base, name, slice))
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
