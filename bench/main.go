// Command bench measures what this module's handlers cost and gain, as ratios
// against plain Caddy:
//
//	go run ./bench
//
// Both sides of a ratio are sites of one Caddy, in this process, which has no
// other sites. The load and the upstream are a child process of the same
// binary, so that what they cost is the same for both sides. The sides take
// turns in short slices, A B B A and then B A A B; a ratio is taken in each
// round, and the median over the rounds is printed. A neighbour on the machine slows both sides of a round, so the
// ratios hold where absolute times do not. The row of a site against itself
// shows how much they are worth.
//
// The users of connector's sites are "authenticated" by a provider that says
// alice at no cost: what is measured is the proxying, and a bcrypt hash for
// each request would hide it. The sites with the bare reverse_proxy have no
// authentication at all.
//
// The rows of subscriptions run on SQLite and on PostgreSQL, which is started for
// them; where it is not installed, they are left out. Both are as durable as
// users have them. -only picks rows by name:
//
//   - publish: 64 connections post an event of 500 bytes in each request, as
//     against a route that reads the body and answers 202. With a subscription,
//     what is delivered meanwhile takes its share of the CPU; what is still
//     pending at the end of a slice is waited for before the next.
//   - deliveries: events are published over HTTP and sent to 100 endpoints of a
//     net/http server in the child process, as against plain POSTs of the same
//     bytes through the same transport, by 64 goroutines. The engine may have 512
//     attempts under way; with so many, plain POSTs were about a tenth slower,
//     and the ratio that much kinder.
//     Fan-out is how many of the endpoints get each event. A row fails if one
//     delivery is lost or arrives twice.
//   - isolation: the time from publishing to receipt at a steady rate, while
//     other endpoints, with a backlog, hang.
//   - pending: memory, CPU time and transactions of a process with a million
//     deliveries for active subscriptions whose endpoints refuse connections.
//
// Both sides of a ratio share the machine with the database, the load and the
// receiver. On few cores with other work on them, the rows in which a delivery
// passes through more processes lose more.
//
// The exit status is 0 also when a budget is missed; it is 1 when something
// fails, such as one answer that is not 200 or is cut short.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"
)

// options are the command line.
type options struct {
	rounds   int
	slice    time.Duration
	conns    int
	only     *regexp.Regexp
	profiles string // directory, or ""

	deliveries int
	pending    int
}

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == loadCommand:
		serveLoad()
	case len(os.Args) == 4 && os.Args[1] == pendingCommand:
		err = servePending(os.Args[2], os.Args[3])
	default:
		var opts options
		if opts, err = parseOptions(); err == nil {
			err = run(opts)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseOptions() (options, error) {
	var opts options
	var only string
	flag.IntVar(&opts.rounds, "rounds", 10, "rounds per row; each has two slices of either side")
	flag.DurationVar(&opts.slice, "duration", 240*time.Millisecond, "length of one slice")
	flag.IntVar(&opts.conns, "conns", 32, "keep-alive connections")
	flag.StringVar(&only, "only", "", "regular expression: measure only the rows whose first column matches")
	flag.StringVar(&opts.profiles, "cpuprofile", "", "directory for a CPU profile of Caddy in each slice, named by row and side, and an allocation profile of all")
	flag.IntVar(&opts.deliveries, "deliveries", 10_000, "deliveries in one slice of the rows \"deliveries\"")
	flag.IntVar(&opts.pending, "pending", 1_000_000, "deliveries in the rows \"pending\"")
	flag.Parse()
	if flag.NArg() > 0 {
		return opts, fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if opts.rounds < 1 || opts.slice <= 0 || opts.conns < 1 || opts.pending < 1 {
		return opts, fmt.Errorf("-rounds, -duration, -conns and -pending must be above zero")
	}
	if opts.deliveries < endpoints {
		return opts, fmt.Errorf("-deliveries must be %d or more: each endpoint gets one", endpoints)
	}
	var err error
	if opts.only, err = regexp.Compile(only); err != nil {
		return opts, fmt.Errorf("-only: %w", err)
	}
	return opts, nil
}

// run measures the rows and prints their tables.
func run(opts options) error {
	if opts.profiles != "" {
		if err := os.MkdirAll(opts.profiles, 0o755); err != nil {
			return err
		}
	}
	load, err := startLoad()
	if err != nil {
		return err
	}
	defer load.stop()
	defer closeServer()

	proxied, err := each(opts, allRows(), func(r row) (result, error) { return measure(opts, r, load) })
	if err != nil {
		return err
	}
	delivered, err := each(opts, deliveryRows(), func(r deliveryRow) (deliveryResult, error) { return measureDeliveries(opts, r, load) })
	if err != nil {
		return err
	}
	isolated, err := each(opts, isolationRows(), func(r isolationRow) (isolationResult, error) { return measureIsolation(r, load) })
	if err != nil {
		return err
	}
	pending, err := each(opts, pendingRows(), func(r pendingRow) (pendingResult, error) { return measurePending(opts, r) })
	if err != nil {
		return err
	}
	if len(proxied)+len(delivered)+len(isolated)+len(pending) == 0 {
		return fmt.Errorf("-only %q matches no row that can be measured here", opts.only)
	}
	if err := writeAllocs(opts.profiles); err != nil {
		return err
	}
	printHeading(os.Stdout, opts)
	printResults(os.Stdout, proxied)
	printDeliveries(os.Stdout, opts, delivered)
	printIsolation(os.Stdout, isolated)
	printPending(os.Stdout, pending)
	return nil
}

// each measures those of the rows that the options ask for.
func each[Row fmt.Stringer, Result any](opts options, rows []Row, measure func(Row) (Result, error)) (results []Result, err error) {
	for _, r := range rows {
		if !opts.only.MatchString(r.String()) {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring %s\n", r)
		result, err := measure(r)
		if isLeftOut(err) {
			fmt.Fprintf(os.Stderr, "%s is left out: %v\n", r, err)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r, err)
		}
		results = append(results, result)
	}
	return results, nil
}
