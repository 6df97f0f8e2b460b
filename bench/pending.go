package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
)

const (
	deadEndpoints = 100 // that refuse connections
	eventsAtOnce  = 100 // in one request
	idleTime      = 10 * time.Second
	memoryBudget  = 128 // MiB
)

// pendingCommand and a database as the only arguments make this binary a node
// that measures itself: no other row's memory is in its own.
const pendingCommand = "pending-node"

// pendingRow is a node whose deliveries cannot be delivered.
type pendingRow struct{ on string }

func (r pendingRow) String() string { return "pending, " + r.on }

func pendingRows() (rows []pendingRow) {
	for _, on := range databases {
		rows = append(rows, pendingRow{on})
	}
	return rows
}

// pendingResult is a row, measured.
type pendingResult struct {
	pendingRow
	Pending       int
	Publishing    time.Duration
	Before, After memory
	Idle          activity // in idleTime, with the backlog
}

// memory is that of this process, in bytes.
type memory struct{ Heap, RSS, Peak uint64 }

// activity is what a process does that has nothing to do.
type activity struct {
	CPU      time.Duration
	Writes   float64 // transactions of this process that wrote
	All      float64 // transactions of the database; -1 if it does not count them
	Attempts float64
}

func measurePending(opts options, r pendingRow) (res pendingResult, err error) {
	db, err := openDatabase(r.on)
	if err != nil {
		return res, err
	}
	self, err := os.Executable()
	if err != nil {
		return res, err
	}
	cmd := exec.Command(self, pendingCommand, r.on, strconv.Itoa(opts.pending))
	cmd.Env = append(os.Environ(), dsnVariable+"="+db.dsn)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return res, err
	}
	res.pendingRow = r
	return res, json.Unmarshal(out, &res)
}

// servePending is the node.
func servePending(on, pending string) error {
	count, err := strconv.Atoi(pending)
	if err != nil {
		return err
	}
	load, err := startLoad()
	if err != nil {
		return err
	}
	defer load.stop()
	db, err := openDatabase(on)
	if err != nil {
		return err
	}
	addrs, stop, err := startCaddy(load.upstream, db, siteEvents)
	if err != nil {
		return err
	}
	defer stop()
	res, err := becomeBusy(addrs[0], count, load)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(res)
}

func becomeBusy(addr string, count int, load *load) (res pendingResult, err error) {
	dead, err := freeAddr()
	if err != nil {
		return res, err
	}
	const resource = "project-dead"
	for n := range deadEndpoints {
		if _, err := subscribe(addr, resource, webhook(dead, n)); err != nil {
			return res, err
		}
	}
	size := len(acceptedArray(eventsAtOnce, deadEndpoints))
	if err := load.prepare(Target{"backlog", addr, 4, publishingArrays(resource, eventsAtOnce), http.StatusAccepted, size}); err != nil {
		return res, err
	}
	res.Before = memoryNow()
	var received Received
	start := time.Now()
	order := PublishOrder{Name: "backlog", Requests: max(1, count/(eventsAtOnce*deadEndpoints))}
	if err := load.client.Call("Child.Publish", order, &received); err != nil {
		return res, err
	}
	res.Publishing = time.Since(start)
	time.Sleep(20 * time.Second) // the first retries fail too, and the endpoints are left alone
	if res.Pending, err = countPending(); err != nil {
		return res, err
	}
	res.After = memoryNow()
	before, err := activityNow()
	if err != nil {
		return res, err
	}
	before.CPU = processCPU() // without what it took to ask for the metrics, one of which counts what is pending
	time.Sleep(idleTime)
	after, err := activityNow()
	res.Idle = activity{after.CPU - before.CPU, after.Writes - before.Writes, after.All - before.All, after.Attempts - before.Attempts}
	return res, err
}

// memoryNow returns what is left after a collection.
func memoryNow() (m memory) {
	for range 2 { // the second takes what finalizers and pools have let go
		runtime.GC()
	}
	debug.FreeOSMemory()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m.Heap = stats.HeapAlloc
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return m // there is none but on Linux
	}
	m.RSS, m.Peak = kibibytes(status, "VmRSS:"), kibibytes(status, "VmHWM:")
	return m
}

func kibibytes(status []byte, name string) uint64 {
	_, after, _ := bytes.Cut(status, []byte(name))
	fields := bytes.Fields(after)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseUint(string(fields[0]), 10, 64)
	return n << 10
}

func activityNow() (a activity, err error) {
	a.CPU = processCPU()
	if a.Writes, a.Attempts, err = counters(); err != nil {
		return a, err
	}
	db, err := running()
	if err != nil || db.Dialect() != "postgres" {
		return a, err
	}
	// its own come late, so what is counted may lag a second
	err = db.QueryRow(context.Background(), "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()").Scan(&a.All)
	return a, err
}

// counters reads this process's metrics.
func counters() (writes, attempts float64, err error) {
	ctx := caddy.ActiveContext()
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		return 0, 0, err
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			switch family.GetName() {
			case "caddy_connector_commit_duration_seconds":
				writes += float64(m.GetHistogram().GetSampleCount())
			case "caddy_deliveries_attempts_total":
				attempts += m.GetCounter().GetValue()
			}
		}
	}
	if families == nil {
		return 0, 0, fmt.Errorf("there are no metrics")
	}
	return writes, attempts, nil
}
