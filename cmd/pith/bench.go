package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
		a.benchRates(suite.Web), a.benchRates(suite.DNS), a.benchStart(), a.benchFootprint(), a.benchAll(),
		a.benchCompare(), a.benchReport(), a.benchInstall(), a.benchMeasure(),
	)
	return c
}

// benchFlags are those of every measurement.
type benchFlags struct {
	config suite.Config
	memory string
	out    string
	resume bool
}

func (f *benchFlags) add(flags *pflag.FlagSet) {
	c := &f.config
	flags.StringSliceVar(&c.Machines, "machine", c.Machines, "kinds of machines: "+strings.Join(suite.Kinds, ", "))
	flags.StringVarP(&f.out, "out", "o", "", "the folder for the report and the records (default: bench- and the time)")
	flags.IntVar(&c.Repeat, "repeat", c.Repeat, "how often everything is measured")
	flags.Uint64Var(&c.Seed, "seed", c.Seed, "of the random order and choices")
	flags.IntVar(&c.CPUs, "cpus", c.CPUs, "CPUs of an instance")
	flags.StringVarP(&f.memory, "memory", "m", "", fmt.Sprintf("memory of an instance (default %dM)", c.Memory>>20))
	flags.BoolVar(&f.resume, "resume", false, "go on with the run in --out, as it was begun")
}

// measurement is a command that measures.
func (a *app) measurement(c *cobra.Command, f *benchFlags) *cobra.Command {
	c.Args = cobra.NoArgs
	if c.RunE == nil {
		c.RunE = func(c *cobra.Command, _ []string) error { return a.bench(c.Context(), f) }
	}
	f.add(c.Flags())
	return c
}

func (a *app) benchRates(measure string) *cobra.Command {
	f := &benchFlags{config: suite.Default()}
	f.config.Measures = []string{measure}
	c := &cobra.Command{Use: measure}
	r := &f.config.Web
	switch measure {
	case suite.Web:
		c.Short = "Offer the web service more and more requests"
		c.Example = `  pith bench web --machine unikernel,process --start 500 --step 500 --to 5000 --step-time 5s
  pith bench web --keep-alive=false --body 16384`
		c.Flags().IntVar(&f.config.Page.Size, "body", f.config.Page.Size, "octets of the page")
		c.Flags().BoolVar(&f.config.Page.TLS, "tls", false, "over TLS")
		c.Flags().Bool("keep-alive", true, "ask again over the same connections")
		c.PreRun = func(c *cobra.Command, _ []string) {
			keep, err := c.Flags().GetBool("keep-alive")
			f.config.Page.Close = err == nil && !keep
		}
	default:
		r = &f.config.DNS
		c.Short = "Offer the name service more and more queries"
		c.Example = `  pith bench dns --start 100 --step 100 --step-time 10s
  pith bench dns --questions queries.txt --zone example.net=example.net.zone`
		c.Flags().StringVar(&f.config.Questions.File, "questions", "", "a file of questions, as dnsperf takes it")
		c.Flags().StringVar(&f.config.Questions.Zone, "zone", "", "the zone that is served, which tells the right answers: NAME=FILE")
	}
	c.Flags().Float64Var(&r.Start, "start", r.Start, "the first rate, requests per second")
	c.Flags().Float64Var(&r.Step, "step", r.Step, "what a step adds")
	c.Flags().Float64Var(&r.To, "to", r.To, "the last rate")
	c.Flags().DurationVar(&r.StepTime, "step-time", r.StepTime, "length of a step")
	c.Flags().DurationVar(&r.Pause, "pause", r.Pause, "between two steps")
	c.Flags().IntVar(&r.Clients, "clients", r.Clients, "connections, or sockets")
	return a.measurement(c, f)
}

func (a *app) benchStart() *cobra.Command {
	f := &benchFlags{config: suite.Default()}
	f.config.Measures = []string{suite.Start}
	s := &f.config.Start
	c := &cobra.Command{
		Use:   "start",
		Short: "Start and replace instances beside many others",
		Long: `Start starts instances, then kills one at random at each beat and starts another in
its place. A start is over when the service has given its first right answer.`,
		Example: `  pith bench start --from 10 --to 140 --step 10 --pace 5s --time 20m
  pith bench start --from 8 --to 8 --cold`,
	}
	c.Flags().IntVar(&s.From, "from", s.From, "the first number of instances")
	c.Flags().IntVar(&s.To, "to", s.To, "the last one")
	c.Flags().IntVar(&s.Step, "step", s.Step, "what a step adds")
	c.Flags().DurationVar(&s.Pace, "pace", s.Pace, "how often one is replaced")
	c.Flags().DurationVar(&s.Time, "time", s.Time, "how long, for each number")
	c.Flags().StringVar(&s.Service, "service", s.Service, "web or dns")
	c.Flags().BoolVar(&s.Cold, "cold", false, "start the first ones all at once")
	c.Flags().IntVar(&s.Traced, "traced", s.Traced, "starts whose stages are looked at, before")
	return a.measurement(c, f)
}

func (a *app) benchFootprint() *cobra.Command {
	f := &benchFlags{config: suite.Default()}
	f.config.Measures = []string{suite.Footprint}
	r := &f.config.Footprint
	c := &cobra.Command{
		Use:     "footprint",
		Short:   "Weigh what is shipped, and what an instance takes",
		Example: `  pith bench footprint --machine unikernel,linuxvm --repeat 1`,
	}
	c.Flags().StringVar(&r.Service, "service", r.Service, "web or dns")
	c.Flags().DurationVar(&r.Idle, "idle", r.Idle, "how long an idle instance is watched")
	c.Flags().Float64Var(&r.Load, "load", r.Load, "requests per second under load")
	c.Flags().DurationVar(&r.Time, "load-time", r.Time, "how long")
	c.Flags().BoolVar(&r.Least, "least", r.Least, "search the least memory that serves")
	return a.measurement(c, f)
}

func (a *app) benchAll() *cobra.Command {
	f := &benchFlags{config: suite.Default()}
	var preset string
	c := &cobra.Command{
		Use:   "all",
		Short: "Measure everything",
		Long: `All measures everything in one of two sizes: quick takes less than ten minutes
on two cores; paper has the steps and times of the report that Pith answers, and
takes more than a day.`,
		Example: `  pith bench all --preset quick --out quick`,
	}
	c.Flags().StringVar(&preset, "preset", "quick", "quick or paper")
	c.RunE = func(c *cobra.Command, _ []string) error {
		own, err := suite.Preset(preset)
		if err != nil {
			return err
		}
		for name, keep := range map[string]func(){
			"machine": func() { own.Machines = f.config.Machines },
			"repeat":  func() { own.Repeat = f.config.Repeat },
			"seed":    func() { own.Seed = f.config.Seed },
			"cpus":    func() { own.CPUs = f.config.CPUs },
		} {
			if c.Flags().Changed(name) {
				keep()
			}
		}
		f.config = own
		return a.bench(c.Context(), f)
	}
	return a.measurement(c, f)
}

// bench builds what is measured, then measures in a lab.
func (a *app) bench(ctx context.Context, f *benchFlags) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	source, err := checkout()
	if err != nil {
		return err
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
	c := f.config
	if f.memory != "" {
		memory, err := machine.ParseMemory(f.memory)
		if err != nil {
			return nil, err
		}
		c.Memory = memory
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	if f.out == "" {
		f.out = "bench-" + now.Format("20060102-150405")
	}
	c.Command = append([]string{"pith"}, os.Args[1:]...)
	return suite.Create(f.out, suite.About{Config: c, Host: bench.HostFacts(), Begun: now, Programs: versions(source)})
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
			if ctx.Err() != nil {
				err = fmt.Errorf("interrupted; what was measured is kept, and --resume --out %s goes on", out)
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

func (a *app) benchReport() *cobra.Command {
	return &cobra.Command{
		Use:     "report DIR",
		Short:   "Write the report and CSV files of a run again",
		Example: `  pith bench report bench-20261124-120000`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			book, err := suite.Read(args[0])
			if err != nil {
				return err
			}
			return a.writeReport(book)
		},
	}
}

func (a *app) benchCompare() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "compare BEFORE AFTER",
		Short: "Tell real changes between two runs from noise",
		Long: `Compare tests each quantity of each machine by the Mann-Whitney test, corrected for
the number of quantities (Holm), at 5 %. The ratio is that of the medians, with a 95 %
interval. Each repeat is one value, of starts each start is one: runs with few
repeats can't tell a change from noise, and compare says so.`,
		Example: `  pith bench compare before after`,
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			before, err := suite.Read(args[0])
			if err != nil {
				return err
			}
			after, err := suite.Read(args[1])
			if err != nil {
				return err
			}
			changes, err := suite.Compare(before, after)
			if err != nil {
				return err
			}
			if format == "json" {
				return a.out.json(changes)
			}
			return a.printChanges(changes)
		},
	}
	c.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return c
}

func (a *app) printChanges(changes []suite.Change) error {
	if len(changes) == 0 {
		return pith.Errorf("the runs have nothing in common to compare")
	}
	short := func(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
	var rows [][]string
	for _, c := range changes {
		ratio := "–"
		if c.Before != 0 {
			ratio = fmt.Sprintf("%s (%s–%s)", short(c.Ratio), short(c.From), short(c.To))
		}
		rows = append(rows, []string{
			c.Machine, c.Name + ", " + c.Unit, short(c.Before), short(c.After),
			ratio, fmt.Sprintf("%.3f", c.P), c.Verdict(),
		})
	}
	return a.out.table("MACHINE QUANTITY BEFORE AFTER RATIO P VERDICT", rows)
}
