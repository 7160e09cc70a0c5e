package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pith"
	"pith/bench"
	"pith/bench/lab"
	"pith/bench/suite"
	"pith/machine"
)

func (a *app) benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure unikernels beside Linux machines, processes and containers",
		Long: `Bench runs Pith's web and name service as unikernels, in Linux virtual machines,
as processes and in containers, in a network namespace of its own, and measures
them with the same load. Repeats are interleaved in random order; only ratios of what ran in
one run on one host mean anything.

A run leaves a folder: report.html with plots, a CSV file for each measure, all
records (records.jsonl), and what they were measured with (run.json). Ctrl-C
keeps what there is; --resume goes on. It needs a checkout of Pith (the current
folder or PITH_SOURCE), root or user namespaces, and what pith bench install
gets.`,
		Example: `  pith bench web --machine unikernel,linuxvm --start 100 --step 100 --step-time 10s
  pith bench dns --out dns-today --repeat 5
  pith bench start --from 10 --to 140 --step 10
  pith bench all --preset quick
  pith bench compare before after`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		a.benchWeb(), a.benchDNS(), a.benchFlood(), a.benchForward(), a.benchStart(), a.benchFootprint(), a.benchAll(),
		a.benchCompare(), a.benchReport(), a.benchInstall(), a.benchMeasure(),
	)
	return c
}

// bench builds what is measured, then measures in a lab.
func (a *app) bench(ctx context.Context, f *benchFlags) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	source, err := checkout()
	if err != nil {
		return err
	}
	if f.dry {
		return a.benchPlan(f)
	}
	book, err := f.book(source)
	if err != nil {
		return err
	}
	if err := book.Close(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "pith-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p := newProgress(a.err)
	_, err = suite.BuildKit(ctx, book.About.Config, source, dir, p.update)
	p.done()
	if err != nil {
		return err
	}
	code, err := lab.Enter(ctx, "bench", "measure", "--out", book.Dir, "--kit", dir)
	if err != nil {
		return err
	}
	return exitCode(code)
}

// book begins the run's records, or opens those of one to go on with.
func (f *benchFlags) book(source string) (*suite.Book, error) {
	if f.resume {
		if f.out == "" {
			return nil, pith.Errorf("--resume: say which run by --out")
		}
		return suite.Resume(f.out)
	}
	c, err := f.checked()
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	if f.out == "" {
		f.out = "bench-" + now.Format("20060102-150405")
	}
	c.Command = append([]string{"pith"}, os.Args[1:]...)
	return suite.Create(f.out, suite.About{Config: c, Host: bench.HostFacts(), Begun: now, Programs: versions(source)})
}

// checked is what is asked for, if that can be measured.
func (f *benchFlags) checked() (suite.Config, error) {
	c := f.config
	if f.memory != "" {
		memory, err := machine.ParseMemory(f.memory)
		if err != nil {
			return c, err
		}
		c.Memory = memory
	}
	return c, c.Check()
}

// benchPlan prints what would be done, or what is left of a run.
func (a *app) benchPlan(f *benchFlags) error {
	c, err := f.checked()
	if err != nil {
		return err
	}
	if !f.resume {
		return c.WritePlan(a.out, nil)
	}
	book, err := suite.Read(f.out)
	if err != nil {
		return err
	}
	return book.About.Config.WritePlan(a.out, book)
}

// checkout is the folder of Pith's sources: PITH_SOURCE, or what the current
// folder is in.
func checkout() (string, error) {
	if dir := os.Getenv("PITH_SOURCE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module pith\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", pith.Errorf("the measured services are built from a checkout of Pith: go there, or name it by PITH_SOURCE")
		}
		dir = filepath.Dir(dir)
	}
}

// versions are those of Pith and of the services.
func versions(source string) []string {
	lines := []string{"pith: " + pithVersion()}
	out, err := exec.Command("git", "-C", source, "describe", "--always", "--dirty").Output()
	if err == nil {
		lines = append(lines, "services: commit "+strings.TrimSpace(string(out)))
	}
	return lines
}

// benchMeasure is what bench starts in the lab.
func (a *app) benchMeasure() *cobra.Command {
	var out, kit string
	c := &cobra.Command{
		Use:    "measure",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !lab.Inside() {
				return pith.Errorf("measure is for pith bench itself")
			}
			ctx, stop := interruptible(c.Context())
			defer stop()
			book, err := suite.Resume(out)
			if err != nil {
				return err
			}
			config := book.About.Config
			config.Progress = a.err
			err = suite.Run(ctx, config, &suite.Kit{Dir: kit}, book)
			switch failed, all := book.Failed(); {
			case ctx.Err() != nil:
				err = fmt.Errorf("interrupted; what was measured is kept, and --resume --out %s goes on", out)
			case err == nil && failed > 0:
				err = fmt.Errorf("%d of %d parts failed; the report says why, and has what the others measured", failed, all)
			}
			return errors.Join(err, book.Close(), a.writeReport(book))
		},
	}
	c.Flags().StringVar(&out, "out", "", "")
	c.Flags().StringVar(&kit, "kit", "", "")
	return c
}

func (a *app) writeReport(book *suite.Book) error {
	file, err := book.WriteReport()
	if err != nil {
		return err
	}
	fmt.Fprintln(a.out, file)
	return nil
}
