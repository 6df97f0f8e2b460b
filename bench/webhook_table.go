package main

import (
	"fmt"
	"io"
	"time"
)

func verdict(kept bool) string {
	if kept {
		return "ok"
	}
	return "missed"
}

// printDeliveries prints a table and what stands behind it.
func printDeliveries(out io.Writer, opts options, results []deliveryResult) {
	if len(results) == 0 {
		return
	}
	fmt.Fprintln(out)
	t := newTable(out, "what", "of plain POSTs", "middle half", "per second", "CPU of this process in µs", "at a time", "budget", "")
	for _, r := range results {
		of := median(r.rate.ratio)
		t.line(r.String(), ratio(of), middleHalf(r.rate.ratio), r.rate.pair(0, 1), r.cpu.pair(0, time.Microsecond), r.most.pair(0, 1),
			fmt.Sprintf("≥ %.2f", r.budget), verdict(budget{throughput: r.budget}.kept(of, 0)))
	}
	t.end()
	fmt.Fprintf(out, `
Events of %d bytes, published over HTTP by %d connections, durable, to %d endpoints with one subscription each; a slice is %d deliveries, from
the first request to the last receipt. Plain POSTs are %d goroutines with the same transport, whose request is signed once and for all.
`, eventBody, publishers, endpoints, opts.deliveries, plainConns)
}

func printIsolation(out io.Writer, results []isolationResult) {
	if len(results) == 0 {
		return
	}
	fmt.Fprintln(out)
	t := newTable(out, "what", "p99 to that without", "by round", "p50s in ms", "p99s in ms", "highest in ms", "budget", "")
	for _, r := range results {
		of := median(r.p99.ratio)
		t.line(r.String(), ratio(of), byRound(r.p99.ratio), r.p50.pair(2, time.Millisecond), r.p99.pair(2, time.Millisecond),
			r.highest.pair(2, time.Millisecond), fmt.Sprintf("≤ %.2f", isolationBudget), verdict(budget{p99: isolationBudget}.kept(0, of)))
	}
	t.end()
	fmt.Fprintf(out, `
From publishing to receipt: %d events a second, each for one of %d endpoints, for %d s while %d others, with %d deliveries pending each, accept
connections and never answer, and for %d s without those. A request that is sent late counts from when it was to be sent.
`, pace, endpoints, hangingSeconds, hangingEndpoints, hangingBacklog, calmSeconds)
}

func byRound(values []float64) (text string) {
	for i, value := range values {
		if i > 0 {
			text += ", "
		}
		text += ratio(value)
	}
	return text
}

func printPending(out io.Writer, results []pendingResult) {
	if len(results) == 0 {
		return
	}
	fmt.Fprintln(out)
	t := newTable(out, "what", "deliveries", "published in", "more RSS in MiB", "more heap in MiB", "RSS, idle to peak",
		"CPU in "+idleTime.String(), "attempts", "commits", "of the server", "budget", "")
	for _, r := range results {
		more := mebibytes(r.After.RSS) - mebibytes(r.Before.RSS)
		if r.After.RSS == 0 { // unknown
			more = mebibytes(r.After.Heap) - mebibytes(r.Before.Heap)
		}
		server := "-"
		if r.on == onPostgres {
			server = fmt.Sprintf("%.0f", r.Idle.All)
		}
		t.line(r.String(), fmt.Sprint(r.Pending), r.Publishing.Round(100*time.Millisecond).String(),
			fmt.Sprintf("%.0f", mebibytes(r.After.RSS)-mebibytes(r.Before.RSS)), fmt.Sprintf("%.1f", mebibytes(r.After.Heap)-mebibytes(r.Before.Heap)),
			fmt.Sprintf("%.0f to %.0f", mebibytes(r.Before.RSS), mebibytes(r.After.Peak)), r.Idle.CPU.Round(time.Millisecond).String(),
			fmt.Sprintf("%.0f", r.Idle.Attempts), fmt.Sprintf("%.0f", r.Idle.Writes), server,
			fmt.Sprintf("≤ %d MiB", memoryBudget), verdict(more <= memoryBudget))
	}
	t.end()
	fmt.Fprintf(out, `
Deliveries for %d active subscriptions whose endpoints refuse connections, in a process of its own, after a garbage collection; idle is the same
process with the subscriptions and no delivery. Attempts, commits of the process and transactions of the server are those in %v with the backlog;
attempts are probes, and each has some commits.
`, deadEndpoints, idleTime)
}

func mebibytes(n uint64) float64 { return float64(n) / (1 << 20) }
