package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

func printHeading(out io.Writer, opts options) {
	fmt.Fprintf(out, "%s, %s/%s, GOMAXPROCS %d, %d connections, %d rounds of 2 × %v a side\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), opts.conns, opts.rounds, opts.slice)
}

// printResults prints two tables: what a client sees, with the budgets, and what
// a request costs.
func printResults(out io.Writer, results []result) {
	if len(results) == 0 {
		return
	}
	t := newTable(out, "what", "against", "throughput", "middle half", "p50", "p50s in ms", "p99", "p99s in ms", "requests/round", "budget", "")
	for _, r := range results {
		t.line(r.what, r.against, ratio(median(r.throughput)), middleHalf(r.throughput),
			r.p50.median(), r.p50.pair(2, time.Millisecond), r.p99.median(), r.p99.pair(2, time.Millisecond),
			fmt.Sprint(r.requests), r.budget.String(), r.verdict())
	}
	t.end()

	fmt.Fprintln(out)
	t = newTable(out, "per request", "against", "CPU of all", "CPU of Caddy", "in µs", "allocations", "bytes")
	for _, r := range results {
		t.line(r.what, r.against, r.wholeCPU.median(), r.caddyCPU.median(), r.caddyCPU.pair(0, time.Microsecond),
			r.allocs.pair(0, 1), r.bytes.pair(0, 1))
	}
	t.end()

	fmt.Fprint(out, `
Ratios are the first side's value divided by the second's, medians over rounds;
pairs are the two sides' own values. "CPU of all" has the load and the upstream
in it, and is what throughput comes down to; neighbours on the machine disturb
it less. connector's users come from a provider that says alice at no cost, as
basic_auth's bcrypt is not what is measured.
`)
}

func (r result) verdict() string {
	switch {
	case r.budget == budget{}:
		return ""
	case r.budget.kept(median(r.throughput), median(r.p99.ratio)):
		return "ok"
	}
	return "missed"
}

// median returns the median ratio.
func (r ratios) median() string { return ratio(median(r.ratio)) }

// pair returns the medians of both sides' own values.
func (r ratios) pair(decimals int, unit time.Duration) string {
	return fmt.Sprintf("%.*f / %.*f", decimals, median(r.a)/float64(unit), decimals, median(r.b)/float64(unit))
}

func ratio(value float64) string {
	if math.IsNaN(value) {
		return "-" // CPU time is not known everywhere
	}
	return fmt.Sprintf("%.2f", value)
}

// middleHalf returns the quartiles, which say how much the median is worth.
func middleHalf(values []float64) string {
	sorted := slices.Sorted(slices.Values(values))
	return ratio(percentile(sorted, 25)) + "–" + ratio(percentile(sorted, 75))
}

// table is written as Markdown, aligned.
type table struct{ w *tabwriter.Writer }

func newTable(out io.Writer, columns ...string) table {
	t := table{tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)}
	t.line(columns...)
	rule := make([]string, len(columns))
	for i := range rule {
		rule[i] = "---"
	}
	t.line(rule...)
	return t
}

func (t table) line(cells ...string) {
	fmt.Fprintln(t.w, "| "+strings.Join(cells, "\t| ")+"\t|")
}

func (t table) end() { _ = t.w.Flush() }
