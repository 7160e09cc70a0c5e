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
goroot/test/ken for those of one folder.`,
		Example: `  pith test std
  pith test std --cpus 2 os net/...
  pith test std --results results.json --report docs/conformance.md`,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(c *cobra.Command, packages []string) error {
			return a.runStd(c.Context(), packages, f)
		},
	}
	c.Flags().StringVar(&f.cpus, "cpus", "1,2", "counts of CPUs, separated by commas")
	c.Flags().BoolVar(&f.long, "long", false, "without -short")
	c.Flags().DurationVar(&f.timeout, "timeout", 10*time.Minute, "of one package")
	c.Flags().StringVar(&f.results, "results", "", "keep the results in this file, beside what it has of other packages")
	c.Flags().StringVar(&f.report, "report", "", "write the counts of all results to this file, as Markdown")
	c.SetArgs(args)
	return c.ExecuteContext(parent.Context())
}

func (a *app) runStd(ctx context.Context, patterns []string, f stdFlags) error {
	cpus, err := parseCounts(f.cpus)
	if err != nil {
		return err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	r, done, err := a.newRunner(ctx, f)
	if err != nil {
		return err
	}
	defer done()
	book, err := conformance.OpenBook(f.results)
	if err != nil {
		return err
	}
	failed, err := r.All(ctx, patterns, cpus, func(result conformance.Result) error {
		fmt.Fprintln(a.out, result)
		return book.Add(result)
	})
	if err == nil && f.report != "" {
		err = os.WriteFile(f.report, []byte(book.Report(r)), 0o644)
	}
	if err != nil {
		return err
	}
	if failed > 0 {
		fmt.Fprintf(a.err, "%d runs failed\n", failed)
		return exitCode(1)
	}
	return nil
}

// newRunner prepares the toolchain; call done at the end.
func (a *app) newRunner(ctx context.Context, f stdFlags) (r *conformance.Runner, done func(), err error) {
	exclusions, err := conformance.ReadExclusions()
	if err != nil {
		return nil, nil, err
	}
	p := newProgress(a.err)
	tools, err := image.Prepare(ctx, image.Options{Stack: pith.StackInet, Progress: p.update})
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
