package anychannel

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// site answers as the web server of a manifest would, and notes when. There is no
// network, so that only the poller's own waiting takes time.
type site struct {
	answer func(*http.Request) (*http.Response, error) // nil for a good manifest
	mu     sync.Mutex
	asked  []time.Time
}

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.asked = append(s.asked, time.Now())
	s.mu.Unlock()
	if s.answer != nil {
		return s.answer(r)
	}
	return answerWith(r, 200, manifestOf(nil))
}

func (s *site) fetches() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func answerWith(r *http.Request, status int, body string) (*http.Response, error) {
	wire := fmt.Sprintf("HTTP/1.1 %d Status\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
	return http.ReadResponse(bufio.NewReader(strings.NewReader(wire)), r)
}

// newPoller returns a poller of the one manifest of these tests, and its log.
func newPoller(t *testing.T, interval time.Duration, client *site) (*poller, *bytes.Buffer) {
	t.Helper()
	at, err := parseEndpoint("https://omniwear.example/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	known, err := acquireManifest(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := releaseManifest(at); err != nil {
			t.Error(err)
		}
	})
	var logs bytes.Buffer
	encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	logger := zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&logs), zapcore.DebugLevel))
	return &poller{known, t.Name(), interval, client, logger}, &logs
}

// runPoller runs a poller until stop is called, which waits for its end.
func runPoller(t *testing.T, p *poller) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.run(ctx) })
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// isAbout checks a time that a poller lets pass, of which a tenth is chance.
func isAbout(got, want time.Duration) bool { return (got - want).Abs() <= want/10 }

// doubling is so many waits of a back-off.
func doubling(n int) (waits []time.Duration) {
	for i := range n {
		waits = append(waits, firstRetry<<i)
	}
	return waits
}

// What passes between fetches that end well (g) or badly (b). The first waits for
// the rest of its config, and where no other wait is given, the interval passes.
func TestPollerWaits(t *testing.T) {
	const s = time.Second
	for _, tc := range []struct {
		name     string
		interval time.Duration
		results  string
		want     []time.Duration
	}{
		{"good", time.Hour, "gggg", nil},
		{"back-off", time.Hour, strings.Repeat("b", 12), doubling(9)},
		{"back-off for months", 24 * time.Hour, strings.Repeat("b", 100), doubling(14)},
		{"recovery", time.Hour, "bbbgbbg", []time.Duration{10 * s, 20 * s, 40 * s, time.Hour, 10 * s, 20 * s}},
		{"short interval", 15 * s, "bbbgb", []time.Duration{10 * s, 15 * s, 15 * s, 15 * s, 10 * s}},
		{"shortest interval", minPoll, "bbg", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				web, n, enough := new(site), 0, make(chan struct{})
				web.answer = func(r *http.Request) (*http.Response, error) {
					if n++; n == len(tc.results)+1 {
						close(enough)
					}
					switch {
					case n > len(tc.results) || tc.results[n-1] == 'g':
						return answerWith(r, 200, manifestOf(nil))
					case n%3 == 0:
						return nil, errors.New("unreachable")
					case n%3 == 1:
						return answerWith(r, 500, manifestOf(nil))
					}
					return answerWith(r, 200, "{}")
				}
				p, _ := newPoller(t, tc.interval, web)
				begin := time.Now()
				stop := runPoller(t, p)
				<-enough
				stop()
				at := web.fetches()
				if waited := at[0].Sub(begin); waited != firstFetch {
					t.Errorf("the first fetch was after %v", waited)
				}
				for i := range tc.results {
					want := tc.interval
					if i < len(tc.want) {
						want = tc.want[i]
					}
					if got := at[i+1].Sub(at[i]); !isAbout(got, want) {
						t.Errorf("wait %d was %v, want about %v", i+1, got, want)
					}
				}
			})
		})
	}
}

// Edges that start together drift apart.
func TestPollerJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := new(site)
		p, _ := newPoller(t, time.Hour, web)
		runPoller(t, p)
		time.Sleep(100 * time.Hour)
		waits := make(map[time.Duration]bool)
		at := web.fetches()
		for i := range at[1:] {
			waits[at[i+1].Sub(at[i])] = true
		}
		if len(waits) < 80 {
			t.Errorf("%d fetches had only %d different waits", len(at), len(waits))
		}
	})
}

// Integrations with the same manifest, also of two configs, share what is known
// of it. The shortest interval counts.
func TestPollersShare(t *testing.T) {
	const long, short = time.Hour, time.Minute
	for _, tc := range []struct {
		name      string
		intervals []time.Duration
		reload    bool // to a config of the last interval, from one of the first
		want      time.Duration
	}{
		{"the same interval", []time.Duration{long, long}, false, long},
		{"different intervals", []time.Duration{long, short}, false, short},
		{"a config with the same interval", []time.Duration{long, long}, true, long},
		{"a config with a shorter interval", []time.Duration{long, short}, true, short},
		{"a config with a longer interval", []time.Duration{short, long}, true, long},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				web := new(site)
				for i, interval := range tc.intervals {
					p, _ := newPoller(t, interval, web)
					p.integration += fmt.Sprint(i)
					stop := runPoller(t, p)
					if tc.reload && i == 0 {
						time.Sleep(short / 2)
						stop()
					}
				}
				time.Sleep(firstFetch)
				synctest.Wait()
				if n := len(web.fetches()); n != 1 {
					t.Errorf("%d fetches at the start", n)
				}
				time.Sleep(20 * tc.want)
				at := web.fetches()
				if len(at) < 15 {
					t.Fatalf("%d fetches in twenty times %v", len(at), tc.want)
				}
				for i := len(at) - 10; i < len(at); i++ {
					if got := at[i].Sub(at[i-1]); !isAbout(got, tc.want) {
						t.Errorf("a wait of %v, want about %v", got, tc.want)
					}
				}
				for i := range tc.intervals { // each tells when it was last good
					good := time.Unix(int64(valueOf(t, manifestTime, fmt.Sprint(t.Name(), i))), 0)
					if !tc.reload && time.Since(good) > 2*long {
						t.Errorf("integration %d: last good at %v, it is %v", i, good, time.Now())
					}
				}
			})
		})
	}
}

// valueOf returns the value of the series that has these labels.
func valueOf(t *testing.T, collector prometheus.Collector, labels ...string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, series := range family.GetMetric() {
			var values []string
			for _, label := range series.GetLabel() {
				values = append(values, label.GetValue())
			}
			if slices.Equal(values, labels) {
				return series.GetCounter().GetValue() + series.GetGauge().GetValue()
			}
		}
	}
	return 0
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// A manifest that never comes is a failure, after a time. That a config ends
// meanwhile is none: its poller ends with it, and the next one does not wait
// for longer than any.
func TestPollerEnds(t *testing.T) {
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"waiting for the answer": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
		"waiting, with an error of another kind": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, errors.New("use of closed network connection")
		},
		"reading the answer": func(r *http.Request) (*http.Response, error) {
			res, err := answerWith(r, 200, "")
			res.Body = io.NopCloser(readerFunc(func([]byte) (int, error) {
				<-r.Context().Done()
				return 0, r.Context().Err()
			}))
			return res, err
		},
		"the answer comes too late": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return answerWith(r, 500, "")
		},
	} {
		run := func(name string, check func(t *testing.T, stop func(), failed func() float64, logs *bytes.Buffer)) {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p, logs := newPoller(t, time.Hour, &site{answer: answer})
					before := valueOf(t, manifestFetches, p.integration, "failed")
					stop := runPoller(t, p)
					time.Sleep(firstFetch)
					synctest.Wait()
					check(t, stop, func() float64 { return valueOf(t, manifestFetches, p.integration, "failed") - before }, logs)
				})
			})
		}
		run(name+", for too long", func(t *testing.T, _ func(), failed func() float64, logs *bytes.Buffer) {
			time.Sleep(manifestTimeout)
			synctest.Wait()
			if failed() != 1 || !strings.Contains(logs.String(), "last good one stays") {
				t.Errorf("%v fetches failed; the log is %s", failed(), logs)
			}
		})
		run(name+", when the config ends", func(t *testing.T, stop func(), failed func() float64, logs *bytes.Buffer) {
			begin := time.Now()
			stop()
			if waited := time.Since(begin); waited != 0 || failed() != 0 || logs.Len() > 0 {
				t.Errorf("it ended after %v; %v fetches failed; the log is %s", waited, failed(), logs)
			}
			web := new(site)
			next, _ := newPoller(t, time.Hour, web)
			runPoller(t, next)
			time.Sleep(firstFetch)
			synctest.Wait()
			if len(web.fetches()) != 1 {
				t.Error("the next poller waits")
			}
		})
	}
}

// A poller does not wait for the fetch of another config's, or its own config
// could not end meanwhile. It runs in real time, because no other time passes
// while somebody waits for a mutex.
func TestPollerDoesNotWaitForAnother(t *testing.T) {
	fetching, proceed := make(chan struct{}), make(chan struct{})
	p, _ := newPoller(t, time.Hour, &site{answer: func(r *http.Request) (*http.Response, error) {
		close(fetching)
		<-proceed
		return answerWith(r, 200, manifestOf(nil))
	}})
	other := *p
	runPoller(t, p)
	t.Cleanup(func() { close(proceed) })
	<-fetching
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		other.fetchIfDue(ctx)
		close(ended)
	}()
	cancel()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("it waits for the other's fetch")
	}
}
