package main

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

const (
	hangingEndpoints = 20
	hangingBacklog   = 1000 // deliveries that each has pending from the start
	pace             = 200  // events a second, one delivery each
	calmSeconds      = 10
	hangingSeconds   = 20 // more than an attempt may take: what hangs also fails
	isolationRounds  = 4
	isolationBudget  = 2.0
)

// isolationRow is the time from publishing to receipt for healthy endpoints,
// with others that hang and without.
type isolationRow struct{ on string }

func (r isolationRow) String() string { return "isolation, " + r.on }

func isolationRows() (rows []isolationRow) {
	for _, on := range databases {
		rows = append(rows, isolationRow{on})
	}
	return rows
}

// isolationResult is a row, measured. The first side has endpoints that hang.
type isolationResult struct {
	isolationRow
	p50, p99, highest ratios
}

func measureIsolation(r isolationRow, load *load) (res isolationResult, err error) {
	res.isolationRow = r
	db, err := openDatabase(r.on)
	if err != nil {
		return res, err
	}
	addrs, stop, err := startCaddy(load.upstream, db, siteEvents)
	if err != nil {
		return res, err
	}
	// what hangs would keep Caddy from stopping
	defer stop()
	defer func() { _ = load.client.Call("Child.LetGo", struct{}{}, new(struct{})) }()
	for n := range endpoints {
		if _, err := subscribe(addrs[0], resourceID(n), webhook(load.upstream.Webhooks, n)); err != nil {
			return res, err
		}
	}
	hanging, err := addBacklog(addrs[0], load)
	if err != nil {
		return res, err
	}
	err = load.prepare(Target{"events", addrs[0], publishers, publishing(endpoints), http.StatusAccepted, len(accepted(1))})
	if err != nil {
		return res, err
	}
	if _, err := paceFor(2, load); err != nil { // warms up
		return res, err
	}
	for range isolationRounds {
		without, err := paceFor(calmSeconds, load)
		if err != nil {
			return res, err
		}
		if err := changeAll(addrs[0], hanging, "resume"); err != nil {
			return res, err
		}
		with, err := paceFor(hangingSeconds, load)
		if err != nil {
			return res, err
		}
		if err := changeAll(addrs[0], hanging, "pause"); err != nil {
			return res, err
		}
		if err := load.client.Call("Child.LetGo", struct{}{}, new(struct{})); err != nil {
			return res, err
		}
		time.Sleep(time.Second) // for what has failed to be stored
		res.p50.add(float64(percentile(with, 50)), float64(percentile(without, 50)))
		res.p99.add(float64(percentile(with, 99)), float64(percentile(without, 99)))
		res.highest.add(float64(percentile(with, 100)), float64(percentile(without, 100)))
	}
	return res, nil
}

// addBacklog subscribes the endpoints that hang, paused, and publishes what they
// are to be sent.
func addBacklog(addr string, load *load) (ids []string, err error) {
	const resource = "project-hanging"
	for n := range hangingEndpoints {
		id, err := subscribe(addr, resource, webhook(load.upstream.Hanging, n))
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	if err := changeAll(addr, ids, "pause"); err != nil {
		return nil, err
	}
	const each = 100
	err = load.prepare(Target{"backlog", addr, 4, publishingArrays(resource, each), http.StatusAccepted, len(acceptedArray(each, hangingEndpoints))})
	if err != nil {
		return nil, err
	}
	return ids, load.client.Call("Child.Publish", PublishOrder{Name: "backlog", Requests: hangingBacklog / each}, new(Received))
}

// changeAll pauses or resumes subscriptions.
func changeAll(addr string, ids []string, action string) error {
	for _, id := range ids {
		url := fmt.Sprintf("http://%s/subscriptions/%s/%s", addr, id, action)
		if err := call(http.MethodPost, url, nil, http.StatusOK, new(object)); err != nil {
			return err
		}
	}
	return nil
}

// paceFor returns the sorted times from publishing to receipt.
func paceFor(seconds int, load *load) ([]time.Duration, error) {
	var received Received
	err := load.client.Call("Child.Pace", PublishOrder{Name: "events", Requests: seconds * pace, Rate: pace}, &received)
	slices.Sort(received.Latencies)
	return received.Latencies, err
}
