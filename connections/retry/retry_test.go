package retry

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/f737063d/caddy-connector/internal/proxyerror"
)

var (
	now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	get = Request{Method: "GET", Replayable: true}
)

func after(value string) http.Header { return http.Header{"Retry-After": {value}} }

// S42: what is not known to do no harm is sent once.
func TestWhich(t *testing.T) {
	key := http.Header{"Idempotency-Key": {"k"}}
	failed := Outcome{Status: 503, Now: now}
	for _, tc := range []struct {
		request Request
		outcome Outcome
		want    bool
	}{
		{get, failed, true},
		{Request{"PUT", nil, true}, failed, true},
		{Request{"DELETE", nil, true}, failed, true},
		{Request{"HEAD", nil, true}, failed, true},
		{Request{"OPTIONS", nil, true}, failed, true},
		{Request{"POST", nil, true}, failed, false},
		{Request{"PATCH", nil, true}, failed, false},
		{Request{"get", nil, true}, failed, false},
		{Request{"", nil, true}, failed, false},
		{Request{"POST", key, true}, failed, true},
		{Request{"PATCH", key, true}, failed, true},
		{Request{"POST", http.Header{"Idempotency-Key": {""}}, true}, failed, false},
		{Request{"POST", http.Header{"Idempotency-Key": {"a", "b"}}, true}, failed, false},
		{Request{"POST", http.Header{"X-Idempotency-Key": {"k"}}, true}, failed, false},
		{Request{"POST", key, false}, failed, false},
		{Request{"PUT", nil, false}, failed, false},
		{get, Outcome{Status: 502}, true},
		{get, Outcome{Status: 504}, true},
		{get, Outcome{Status: 200}, false},
		{get, Outcome{Status: 301}, false},
		{get, Outcome{Status: 401}, false},
		{get, Outcome{Status: 404}, false},
		{get, Outcome{Status: 408}, false},
		{get, Outcome{Status: 500}, false},
		{get, Outcome{Status: 501, Header: after("1")}, false},
		{get, Outcome{Status: 429}, false},
		{get, Outcome{Status: 429, Header: after("1")}, true},
		{get, Outcome{Status: 429, Header: after("x")}, false},
		{get, Outcome{Failure: proxyerror.ConnectionRefused}, true},
		{get, Outcome{Failure: proxyerror.ConnectionTerminated}, true},
		{get, Outcome{Failure: proxyerror.ConnectionTimeout}, true},
		{get, Outcome{Failure: proxyerror.DNSError}, true},
		{get, Outcome{Failure: proxyerror.ProhibitedIP}, false},
		{get, Outcome{Failure: proxyerror.TLSCertificate}, false},
		{get, Outcome{Failure: proxyerror.TLSProtocol}, false},
		{get, Outcome{Failure: proxyerror.ProtocolError}, false},
		{get, Outcome{Failure: proxyerror.ResponseTimeout}, false},
		{get, Outcome{}, false},
		{Request{"POST", nil, true}, Outcome{Failure: proxyerror.ConnectionRefused}, false},
		{get, Outcome{Status: 503, Retries: 1}, true},
		{get, Outcome{Status: 503, Retries: 2}, false},
		{get, Outcome{Status: 503, Elapsed: 9400 * time.Millisecond}, true},
		{get, Outcome{Status: 503, Elapsed: 9401 * time.Millisecond}, false},
		{get, Outcome{Status: 503, Elapsed: 10 * time.Second}, false},
		{get, Outcome{Status: 503, Elapsed: time.Hour}, false},
	} {
		tc.outcome.Now = now
		if _, again := Decide(tc.request, tc.outcome, 0.5); again != tc.want {
			t.Errorf("%+v, %+v: %v", tc.request, tc.outcome, again)
		}
	}
}

func TestWhen(t *testing.T) {
	const ms = time.Millisecond
	date := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	skewed := http.Header{"Retry-After": {date(-time.Hour + 4*time.Second)}, "Date": {date(-time.Hour)}}
	for _, tc := range []struct {
		outcome Outcome
		chance  float64
		want    time.Duration // -1: never
	}{
		{Outcome{Status: 503}, 0, 200 * ms},
		{Outcome{Status: 503}, 0.5, 600 * ms},
		{Outcome{Status: 503, Retries: 1}, 0, 200 * ms},
		{Outcome{Status: 503, Retries: 1}, 0.5, 1100 * ms},
		{Outcome{Failure: proxyerror.DNSError}, 0.25, 400 * ms},
		{Outcome{Status: 503, Header: after("3")}, 0, 3000 * ms},
		{Outcome{Status: 503, Header: after(" 3 ")}, 0.5, 3100 * ms},
		{Outcome{Status: 502, Header: after("3")}, 0.5, 3100 * ms},
		{Outcome{Status: 429, Header: after("0")}, 0.5, 0},
		{Outcome{Status: 429, Header: http.Header{"Retry-After": {"3", "7"}}}, 0, 3000 * ms},
		{Outcome{Status: 429, Header: after(date(4 * time.Second))}, 0.5, 4100 * ms},
		{Outcome{Status: 429, Header: after(now.Add(4 * time.Second).Format(time.RFC850))}, 0, 4000 * ms},
		{Outcome{Status: 429, Header: after(now.Add(4 * time.Second).Format(time.ANSIC))}, 0, 4000 * ms},
		{Outcome{Status: 429, Header: after(date(-time.Hour))}, 0.5, 0},
		{Outcome{Status: 429, Header: skewed}, 0, 4000 * ms},
		{Outcome{Status: 503, Header: after("10")}, 0, 10000 * ms},
		{Outcome{Status: 503, Header: after("10")}, 0.5, -1},
		{Outcome{Status: 503, Header: after("9"), Elapsed: 2 * time.Second}, 0, -1},
		{Outcome{Status: 503, Header: after("3600")}, 0, -1},
		{Outcome{Status: 503, Header: after("18446744073709551616")}, 0, -1},
		{Outcome{Status: 503, Header: after("9999999999999")}, 0, -1},
		{Outcome{Status: 503, Header: after(date(time.Hour))}, 0, -1},
		{Outcome{Status: 503, Header: after("Fri, 31 Dec 9999 23:59:59 GMT")}, 0, -1},
		// what can't be read is as if it wasn't there
		{Outcome{Status: 503, Header: after("")}, 0.5, 600 * ms},
		{Outcome{Status: 503, Header: after("-1")}, 0.5, 600 * ms},
		{Outcome{Status: 503, Header: after("1.5")}, 0.5, 600 * ms},
		{Outcome{Status: 503, Header: after("soon")}, 0.5, 600 * ms},
		{Outcome{Status: 503, Header: after(strings.Repeat("x", 1<<16))}, 0.5, 600 * ms},
	} {
		tc.outcome.Now = now
		wait, again := Decide(get, tc.outcome, tc.chance)
		if again != (tc.want >= 0) || again && wait != tc.want || !again && wait != 0 {
			t.Errorf("%+v, %v: %v %v, want %v", tc.outcome, tc.chance, wait, again, tc.want)
		}
	}
}

// Of an API that fails for all, retries are a share of the load.
func TestBudget(t *testing.T) {
	var b Budget
	for i := range 10 {
		if !b.Take() {
			t.Fatalf("%d", i)
		}
	}
	if b.Take() {
		t.Error("the reserve has no end")
	}
	retries := 0
	for range 1000 {
		b.Request()
		for b.Take() {
			retries++
		}
	}
	if retries != 200 {
		t.Errorf("%d", retries)
	}
	for range 1000 {
		b.Request()
	}
	for retries = 0; b.Take(); retries++ {
	}
	if retries != 10 {
		t.Errorf("%d are saved up", retries)
	}
}

func TestBudgetInParallel(t *testing.T) {
	var b Budget
	var taken atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				b.Request()
				if b.Take() {
					taken.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := taken.Load(); n > 8000/5+10 || n < 8000/5-10 {
		t.Errorf("%d", n)
	}
}

// FuzzDecide checks that no answer makes a request wait for longer than its time,
// or be sent more often.
func FuzzDecide(f *testing.F) {
	f.Add("GET", 503, "3", "", 0, int64(0))
	f.Add("PUT", 429, now.Add(time.Second).Format(http.TimeFormat), now.Format(http.TimeFormat), 1, int64(time.Second))
	f.Add("POST", 502, "18446744073709551615", "x", -1, int64(-1))
	f.Fuzz(func(t *testing.T, method string, status int, value, date string, retries int, elapsed int64) {
		o := Outcome{Status: status, Header: http.Header{"Retry-After": {value}, "Date": {date}}, Retries: max(retries, 0), Elapsed: time.Duration(max(elapsed, 0)), Now: now}
		wait, again := Decide(Request{Method: method, Replayable: true}, o, rand.Float64())
		if wait < 0 || !again && wait != 0 || again && (o.Retries >= 2 || wait+o.Elapsed > 10*time.Second || method == "POST" || status < 429) {
			t.Fatalf("%+v: %v %v", o, wait, again)
		}
	})
}
