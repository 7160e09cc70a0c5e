package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pith"
	"pith/image"
	"pith/test/conformance"
)

// stdFlags are the flags of pith test std.
type stdFlags struct {
	cpus    string
	long    bool
	timeout time.Duration
	results string
	resume  bool
	report  string
}

// testStd runs Go's own tests.
func (a *app) testStd(parent *cobra.Command, args []string) error {
	var f stdFlags
	c := &cobra.Command{
		Use:   "std [PACKAGES]",
		Short: "Run the tests of Go's standard library inside machines",
		Long: `Std runs the tests of the standard library's packages (all of them by default),
each in a machine of its own. Tests that can't pass there are listed with their
reasons in test/conformance/exclusions.txt; any other failure fails the run.
"goroot/test" as a package stands for the programs of GOROOT/test, and
goroot/test/ken for those of one folder. With --resume, what has a good result in
the results' file is not run again: an interrupted run goes on, a failed one tries
what failed.`,
		Example: `  pith test std
  pith test std --cpus 2 os net/...
  pith test std --results results.json --resume --report report.md`,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(c *cobra.Command, packages []string) error {
			return a.runStd(c.Context(), packages, f)
		},
	}
	c.Flags().StringVar(&f.cpus, "cpus", "1,2", "counts of CPUs, separated by commas")
	c.Flags().BoolVar(&f.long, "long", false, "without -short")
	c.Flags().DurationVar(&f.timeout, "timeout", 0, "of one package or program on one count of CPUs (10m, or 60m with --long)")
	c.Flags().StringVar(&f.results, "results", "", "keep the results in this file, beside what it has of other packages")
	c.Flags().BoolVar(&f.resume, "resume", false, "leave out what has a good result in the file of --results")
	c.Flags().StringVar(&f.report, "report", "", "write the counts of all results to this file, as Markdown")
	c.SetArgs(args)
	return c.ExecuteContext(parent.Context())
}

func (a *app) runStd(ctx context.Context, patterns []string, f stdFlags) error {
	cpus, err := parseCounts(f.cpus)
	if err != nil {
		return err
	}
	if f.resume && f.results == "" {
		return pith.Errorf("--resume goes on with the results of an earlier run: give their file with --results")
	}
	if f.timeout == 0 {
		f.timeout = 10 * time.Minute
		if f.long {
			f.timeout = time.Hour // only the emulator's speed is at stake
		}
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	r, remove, err := a.newRunner(ctx, f)
	if err != nil {
		return err
	}
	defer remove()
	book, err := conformance.OpenBook(f.results)
	if err != nil {
		return err
	}
	done := func(pkg string, cpus int) bool { return f.resume && book.Done(pkg, cpus, f.long) }
	failed, err := r.All(ctx, patterns, cpus, done, func(result conformance.Result) error {
		fmt.Fprintln(a.out, result)
		return book.Add(result)
	})
	if err != nil {
		return err
	}
	if err := writeReport(ctx, f.report, book, r); err != nil {
		return err
	}
	if failed > 0 {
		fmt.Fprintf(a.err, "%d runs failed\n", failed)
		return exitCode(1)
	}
	return nil
}

func writeReport(ctx context.Context, file string, book *conformance.Book, r *conformance.Runner) error {
	if file == "" {
		return nil
	}
	text, err := book.Report(ctx, r)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

// newRunner prepares the toolchain; call remove at the end.
func (a *app) newRunner(ctx context.Context, f stdFlags) (r *conformance.Runner, remove func(), err error) {
	exclusions, err := conformance.ReadExclusions()
	if err != nil {
		return nil, nil, err
	}
	p := newProgress(a.err)
	tools, err := image.Prepare(ctx, image.Options{Stack: pith.StackInet, Hold: &a.hold, Progress: p.update})
	p.done()
	if err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("find this program: %w", err)
	}
	dir, err := os.MkdirTemp("", "pith-std-")
	if err != nil {
		return nil, nil, err
	}
	return &conformance.Runner{
		Tools: tools, Pith: self, Exclusions: exclusions,
		Short: !f.long, Timeout: f.timeout, Log: a.err, Dir: dir,
	}, func() { os.RemoveAll(dir) }, nil
}

func parseCounts(text string) (counts []int, err error) {
	for _, word := range strings.Split(text, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return nil, pith.Errorf("--cpus %s: write counts of CPUs separated by commas, as in 1,2", text)
		}
		counts = append(counts, n)
	}
	return counts, nil
}
