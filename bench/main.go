// Command bench measures what this module's handlers cost and gain, as ratios
// against plain Caddy:
//
//	go run ./bench
//
// Both sides of a ratio are sites of one Caddy, in this process, which has no
// other sites. The load and the upstream are a child process of the same
// binary, so that what they cost is the same for both sides. The sides take turns in short slices, A B B A and
// then B A A B; a ratio is taken in each round, and the median over the rounds
// is printed. A neighbour on the machine slows both sides of a round, so the
// ratios hold where absolute times do not. The row of a site against itself
// shows how much they are worth.
//
// The users of connector's sites are "authenticated" by a provider that says
// alice at no cost: what is measured is the proxying, and a bcrypt hash for
// each request would hide it. The sites with the bare reverse_proxy have no
// authentication at all.
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
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == loadCommand {
		serveLoad()
		return
	}
	opts, err := parseOptions()
	if err == nil {
		err = run(opts)
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
	flag.Parse()
	if flag.NArg() > 0 {
		return opts, fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if opts.rounds < 1 || opts.slice <= 0 || opts.conns < 1 {
		return opts, fmt.Errorf("-rounds, -duration and -conns must be above zero")
	}
	var err error
	if opts.only, err = regexp.Compile(only); err != nil {
		return opts, fmt.Errorf("-only: %w", err)
	}
	return opts, nil
}

// run measures the rows and prints the table.
func run(opts options) error {
	var rows []row
	for _, r := range allRows() {
		if opts.only.MatchString(r.what) {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return fmt.Errorf("-only %q matches no row", opts.only)
	}

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

	var results []result
	for _, r := range rows {
		fmt.Fprintf(os.Stderr, "measuring %s against %s\n", r.what, r.against)
		res, err := measure(opts, r, load)
		if err != nil {
			return fmt.Errorf("%s against %s: %w", r.what, r.against, err)
		}
		results = append(results, res)
	}
	if err := writeAllocs(opts.profiles); err != nil {
		return err
	}
	printResults(os.Stdout, opts, results)
	return nil
}
