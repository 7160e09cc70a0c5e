// Command run is what "make bench" calls: it builds the measured program, moves
// into a lab and compares. It wires package bench for that, and nothing else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"pith/bench"
	"pith/bench/lab"
	"pith/cache"
	"pith/image"
	"pith/machine/host"
	"pith/machine/linuxvm"
	"pith/machine/qemu"
)

// options are the command line's.
type options struct {
	targets, cpus, steps string
	cpuModel, program    string
	words, stack         string
	workload             string
	nanos, eggos         string // folders with what other unikernels are made of
	unikraft             string // likewise
	source               string // folder of the measured program
	out                  string
	quick                bool
	config               bench.Config
	hold                 cache.Hold
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := parse()
	if !lab.Inside() {
		if o.workload != "" {
			if err := o.prepare(ctx); err != nil {
				exit(1, err)
			}
		}
		code, err := lab.Enter(ctx, os.Args[1:]...)
		exit(code, err)
	}
	exit(1, run(ctx, o))
}

// exit ends with code, or with 0 if there is no error to report and code is the
// default for errors.
func exit(code int, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(max(code, 1))
	}
	if lab.Inside() {
		code = 0
	}
	os.Exit(code)
}

func parse() *options {
	o := new(options)
	c := &o.config
	flag.StringVar(&o.targets, "targets", "linux,pith,native", "what to compare; the first is the reference")
	flag.StringVar(&o.cpus, "cpus", "1,2", "numbers of CPUs")
	flag.StringVar(&o.steps, "steps", "", "what to measure, of "+strings.Join(bench.StepNames(), ",")+" (default all)")
	flag.StringVar(&o.cpuModel, "cpu", "", "QEMU's -cpu for all machines (default: each its best)")
	flag.StringVar(&o.nanos, "nanos", "", "folder with Nanos's kernel.img, boot.img and mkfs, for target nanos")
	flag.StringVar(&o.eggos, "eggos", "", "folder with eggos's loader.elf and the program as server.elf, for target eggos (see docs/benchmarks/peers.md)")
	flag.StringVar(&o.unikraft, "unikraft", "", "folder with Unikraft's ELF loader as kernel, for target unikraft (see docs/benchmarks/peers.md)")
	flag.StringVar(&o.words, "append", "", "further words of the Linux guest's kernel command line")
	flag.StringVar(&o.stack, "stack", "", "network stack of the image (default: the builder's)")
	flag.StringVar(&o.program, "program", "", "the measured program for linux and native, built for linux/amd64 (default: bench/server, built now)")
	flag.StringVar(&o.workload, "workload", "", "measure a program that others wrote, coredns or caddy, in place of bench/server")
	flag.StringVar(&o.out, "o", "", "folder for samples.csv and report.md (default: print the report only)")
	flag.BoolVar(&o.quick, "quick", false, "two short rounds, no search for the least memory")
	flag.IntVar(&c.Rounds, "rounds", 0, "rounds (default 5)")
	flag.DurationVar(&c.Length, "length", 0, "length of each load (default 5s)")
	flag.DurationVar(&c.Warmup, "warmup", 0, "warm-up before each load (default 1s)")
	flag.DurationVar(&c.Idle, "idle", 0, "how long to watch an idle machine (default 10s)")
	flag.DurationVar(&c.Patience, "patience", 0, "how long a machine may take to its first answer (default 20s)")
	flag.Int64Var(&c.Memory, "m", 256, "memory of a machine in MiB")
	flag.Uint64Var(&c.Seed, "seed", 0, "seed of the order (default 1)")
	flag.Parse()
	c.Memory <<= 20
	return o
}

func run(ctx context.Context, o *options) error {
	if err := o.fill(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "pith-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.workload != "" {
		return o.runWorkload(ctx, dir)
	}
	if err := o.build(ctx, dir); err != nil {
		return err
	}
	if o.cpuModel != "" {
		if err := os.Setenv("PITH_CPU", o.cpuModel); err != nil { // the QEMU driver's own way
			return err
		}
	}
	if o.config.Targets, err = o.choose(); err != nil {
		return err
	}
	return o.measure(ctx)
}

// workloadMemory is enough for a RAM disk of 90 MB and what is unpacked of it, in
// bytes.
const workloadMemory = 768 << 20

// findWorkload is the workload that was asked for, and the folder in the user's
// cache where its program and image are.
func (o *options) findWorkload() (w bench.Workload, kept string, err error) {
	i := slices.IndexFunc(bench.Workloads, func(w bench.Workload) bool { return w.Name == o.workload })
	if i < 0 {
		return w, "", fmt.Errorf("-workload: there is no %q; there are coredns and caddy", o.workload)
	}
	c, err := cache.Open(os.Environ())
	if err != nil {
		return w, "", err
	}
	kept = c.Path(cache.Workloads, o.workload)
	return bench.Workloads[i], kept, c.UseOf(&o.hold, kept)
}

// prepare builds a workload's program and image: a lab has no way to the
// modules.
func (o *options) prepare(ctx context.Context) error {
	w, kept, err := o.findWorkload()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(kept, 0o755); err != nil {
		return err
	}
	progress := func(line string) { fmt.Fprintln(os.Stderr, line) }
	progress("building " + w.What)
	program, err := w.Install(ctx, kept)
	if err != nil {
		return err
	}
	if err := os.Rename(program, filepath.Join(kept, "program")); err != nil {
		return err
	}
	_, err = image.Build(ctx, image.Options{
		Dir: kept, What: w.What, Output: filepath.Join(kept, "image"), Strip: true, Stack: o.stack, Progress: progress,
	})
	return err
}

// runWorkload compares a program that others wrote.
func (o *options) runWorkload(ctx context.Context, dir string) error {
	w, kept, err := o.findWorkload()
	if err != nil {
		return err
	}
	files, questions, err := w.Unpack(dir)
	if err != nil {
		return err
	}
	accel, err := qemu.ChooseAccel(host.This())
	if err != nil {
		return err
	}
	progress := func(line string) { fmt.Fprintln(os.Stderr, line) }
	o.config.Path, o.config.Questions = w.Path, questions
	o.config.Memory = max(o.config.Memory, workloadMemory)
	if o.config.Steps == nil {
		o.config.Steps = w.Steps
	}
	o.config.Targets = []bench.Target{
		&bench.Linux{
			Build: linuxvm.Build{Program: filepath.Join(kept, "program"), Files: files, Progress: progress}, Accel: accel.Kind,
			CPU: o.cpuModel, Words: strings.Fields(o.words), Args: w.Args, Env: w.Env,
		},
		&bench.Unikernel{
			Image: filepath.Join(kept, "image"),
			Args:  w.Args, Env: w.Env, Files: files,
		},
	}
	return o.measure(ctx)
}

// measure runs the comparison and writes its report.
func (o *options) measure(ctx context.Context) error {
	report, err := bench.Run(ctx, o.config)
	if report == nil || len(report.Samples) == 0 {
		return err
	}
	return errors.Join(err, o.write(report))
}

// build makes the measured program in dir.
func (o *options) build(ctx context.Context, dir string) error {
	o.source = filepath.Join(dir, "server")
	if err := bench.WriteProgram(o.source); err != nil {
		return err
	}
	if o.program != "" {
		return nil
	}
	o.program = filepath.Join(dir, "server.elf")
	return bench.BuildProgram(ctx, o.source, o.program)
}

// fill turns words into numbers, and -quick into shorter times.
func (o *options) fill() error {
	for word := range strings.SplitSeq(o.cpus, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > 64 {
			return fmt.Errorf("-cpus: %q is no number from 1 to 64", word)
		}
		o.config.CPUs = append(o.config.CPUs, n)
	}
	if o.steps != "" {
		o.config.Steps = strings.Split(o.steps, ",")
	}
	if o.quick {
		o.shorten()
	}
	o.config.Progress = os.Stderr
	return nil
}

func (o *options) shorten() {
	c := &o.config
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.Length, 2 * time.Second}, {&c.Warmup, time.Second / 2}, {&c.Idle, 3 * time.Second}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.Rounds == 0 {
		c.Rounds = 2
	}
	if c.Steps == nil && o.workload == "" { // which knows its own
		names := bench.StepNames()
		c.Steps = names[:len(names)-1] // the last is the search for memory
	}
}

func (o *options) choose() ([]bench.Target, error) {
	var targets []bench.Target
	accel, err := qemu.ChooseAccel(host.This())
	if err != nil {
		return nil, err
	}
	progress := func(line string) { fmt.Fprintln(os.Stderr, line) }
	for name := range strings.SplitSeq(o.targets, ",") {
		switch name {
		case "linux":
			build := linuxvm.Build{Program: o.program, Progress: progress}
			targets = append(targets, &bench.Linux{Build: build, Accel: accel.Kind, CPU: o.cpuModel, Words: strings.Fields(o.words)})
		case "native":
			targets = append(targets, &bench.Native{Program: o.program})
		case "pith":
			build := image.Options{Dir: o.source, Strip: true, Stack: o.stack, Progress: progress}
			targets = append(targets, &bench.Unikernel{Options: build})
		case "nanos":
			targets = append(targets, &bench.Nanos{Dir: o.nanos, Program: o.program, Accel: accel.Kind, CPU: o.cpuModel})
		case "unikraft":
			targets = append(targets, &bench.Unikraft{
				Dir: o.unikraft, Source: o.source, Work: filepath.Dir(o.source), Accel: accel.Kind, CPU: o.cpuModel,
			})
		case "eggos":
			targets = append(targets, &bench.Eggos{Dir: o.eggos, Accel: accel.Kind, CPU: o.cpuModel})
		default:
			return nil, fmt.Errorf("-targets: no target %q; there are linux, pith, native, nanos, unikraft and eggos", name)
		}
	}
	return targets, nil
}

// write prints the report and, if a folder is given, leaves it there with the
// samples.
func (o *options) write(r *bench.Report) error {
	if err := r.WriteMarkdown(os.Stdout); err != nil || o.out == "" {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	samples, err := os.Create(filepath.Join(o.out, "samples.csv"))
	if err != nil {
		return err
	}
	table, err := os.Create(filepath.Join(o.out, "report.md"))
	if err != nil {
		return errors.Join(err, samples.Close())
	}
	return errors.Join(r.WriteCSV(samples), samples.Close(), r.WriteMarkdown(table), table.Close())
}
