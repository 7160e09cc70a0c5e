// Package bench compares an image with a tuned Linux guest, with the same Go
// program on the host itself, and with whatever else is a Target: start, load,
// footprint.
//
// Every target runs the same program (bench/server) in the same network (package
// lab), is reached the same way and gets the same load (package load). Rounds are
// interleaved in random order and compared by the medians of the ratios within a
// round (package stats), because the host is noisy; only ratios mean anything.
// See docs/benchmarks for the method.
//
// It relies on Linux, QEMU and iproute2. It must not measure across a network,
// leave anything behind, or hide a failure: what could not be measured is in the
// report.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"pith/bench/lab"
	"pith/bench/load"
)

// Config says what to measure. The zero value of a field is the default.
type Config struct {
	Targets []Target
	// Reference is the name of the target that others are compared with;
	// "" is the first one.
	Reference string
	CPUs      []int         // sizes to measure; default 1 and 2
	Memory    int64         // of a machine, bytes; default 256 MiB
	Rounds    int           // default 5
	Warmup    time.Duration // of each load; default 1 s
	Length    time.Duration // of each load; default 5 s
	Idle      time.Duration // of looking at an idle machine; default 10 s
	Patience  time.Duration // until the first answer of a machine; default 20 s
	Seed      uint64        // of the order; default 1
	Steps     []string      // of StepNames; default all but dns
	Path      string        // what the web server is asked for; default /
	Questions string        // a file of questions for the step dns, as dnsperf takes it
	Progress  io.Writer     // a line for each visit; nil is silent
}

func (c *Config) fill() error {
	if len(c.Targets) == 0 {
		return errors.New("bench: nothing to measure")
	}
	if c.Reference == "" {
		c.Reference = c.Targets[0].Name()
	}
	if c.CPUs == nil {
		c.CPUs = []int{1, 2}
	}
	setDefault(&c.Path, "/")
	if c.Steps == nil {
		c.Steps = slices.DeleteFunc(StepNames(), func(name string) bool { return name == "dns" })
	}
	for _, s := range c.Steps {
		if !slices.Contains(StepNames(), s) {
			return fmt.Errorf("bench: no step %q; there are %v", s, StepNames())
		}
	}
	setDefault(&c.Memory, 256<<20)
	setDefault(&c.Rounds, 5)
	setDefault(&c.Warmup, time.Second)
	setDefault(&c.Length, 5*time.Second)
	setDefault(&c.Idle, 10*time.Second)
	setDefault(&c.Patience, 20*time.Second)
	setDefault(&c.Seed, 1)
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	return nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// bench is a comparison under way.
type bench struct {
	Config
	lab    *lab.Lab
	report *Report
}

// Run measures. It must run inside a lab (lab.Enter). When ctx ends or a target
// can't be prepared, it returns what was measured until then and an error. A
// measure that fails is in the report's Failures and stops nothing.
func Run(ctx context.Context, c Config) (report *Report, err error) {
	if err := c.fill(); err != nil {
		return nil, err
	}
	l, err := lab.Open(ctx)
	if err != nil {
		return nil, err
	}
	// The lab must be tidy again even if ctx has ended.
	defer func() { err = errors.Join(err, l.Close(context.WithoutCancel(ctx))) }()
	b := &bench{c, l, newReport(&c)}
	return b.report, b.run(ctx)
}

func (b *bench) run(ctx context.Context) error {
	for _, t := range b.Targets {
		if err := t.Prepare(ctx); err != nil {
			return fmt.Errorf("%s: %w", t.Name(), err)
		}
	}
	if err := b.sizes(); err != nil {
		return err
	}
	order := rand.New(rand.NewPCG(b.Seed, 0))
	for round := range b.Rounds {
		if err := b.round(ctx, round, order); err != nil {
			return err
		}
	}
	return b.memory(ctx)
}

// place in a round: one target in one size.
type turn struct {
	target Target
	cpus   int
}

// round visits every target in every size once, in random order.
func (b *bench) round(ctx context.Context, round int, order *rand.Rand) error {
	var turns []turn
	for _, t := range b.Targets {
		for _, cpus := range b.CPUs {
			turns = append(turns, turn{t, cpus})
		}
	}
	order.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
	for _, t := range turns {
		values, err := b.visit(ctx, t)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		b.report.add(round, t, values, HostLoad())
		b.say("round %d of %d: %s, %d CPUs: %s", round+1, b.Rounds, t.target.Name(), t.cpus, brief(values))
		if err != nil {
			b.report.fail("round %d, %s, %d CPUs: %v", round+1, t.target.Name(), t.cpus, err)
			b.say("  failed: %v", err)
		}
	}
	return nil
}

// visit starts one instance, measures it and stops it.
func (b *bench) visit(ctx context.Context, t turn) (values map[string]float64, err error) {
	v := &visit{config: &b.Config, target: t.target, shape: Shape{CPUs: t.cpus, Memory: b.Memory}, values: map[string]float64{}}
	if v.inst, err = t.target.Start(ctx, b.lab, v.shape); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.inst.Stop(context.WithoutCancel(ctx))) }()
	at, err := b.first(ctx, v.inst)
	if err != nil {
		return v.values, err
	}
	v.values[mStart] = at.Sub(v.inst.Started()).Seconds() * 1000
	if err := Ready(ctx, v.inst); err != nil {
		return v.values, err
	}
	facts, err := v.inst.Facts()
	if err != nil {
		return v.values, err
	}
	b.report.Facts[t.target.Name()] = facts
	for _, s := range steps {
		if !slices.Contains(b.Steps, s.name) {
			continue
		}
		if err := b.step(ctx, s, v); err != nil {
			return v.values, err
		}
	}
	return v.values, nil
}

// step takes one part of a visit's measures. None of them counts if the
// instance did not live through it.
func (b *bench) step(ctx context.Context, s step, v *visit) error {
	before := maps.Clone(v.values)
	err := s.run(ctx, v)
	select {
	case <-v.inst.Done():
		err = errors.Join(errors.New("it ended while it was measured"), err)
	default:
	}
	if err != nil {
		v.values = before
		return fmt.Errorf("%s: %w%s", s.name, err, Said(v.inst))
	}
	return nil
}

// first waits for the first answer, no longer than for an instance that ended.
func (b *bench) first(ctx context.Context, inst Instance) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, b.Patience)
	defer cancel()
	go func() {
		select {
		case <-inst.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	at, err := load.FirstAnswer(ctx, web(inst), b.Path)
	if err != nil {
		return at, fmt.Errorf("start: %w%s", err, Said(inst))
	}
	return at, nil
}

// Ready is for instances that want to know that they serve from now on.
func Ready(ctx context.Context, inst Instance) error {
	if r, ok := inst.(interface{ Ready(context.Context) error }); ok {
		return r.Ready(ctx)
	}
	return nil
}

// Said is what an instance printed, for an error.
func Said(inst Instance) string {
	c, ok := inst.(interface{ Console() string })
	if !ok || c.Console() == "" {
		return ""
	}
	return "\nIt said:\n" + c.Console()
}

// sizes weighs what has to be shipped.
func (b *bench) sizes() error {
	for _, t := range b.Targets {
		raw, packed, err := Weigh(t.Shipped())
		if err != nil {
			return fmt.Errorf("bench: %s: %w", t.Name(), err)
		}
		b.report.Sizes[t.Name()] = Size{raw, packed}
	}
	return nil
}

// memory searches the least memory of each machine, once.
func (b *bench) memory(ctx context.Context) error {
	if !slices.Contains(b.Steps, "memory") {
		return nil
	}
	for _, t := range b.Targets {
		if !t.Machine() {
			continue
		}
		mebibytes, err := leastMemoryThatServes(ctx, b, t)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			b.report.fail("least memory, %s: %v", t.Name(), err)
			continue
		}
		b.report.add(0, turn{t, 1}, map[string]float64{mLeastMemory: mebibytes}, HostLoad())
	}
	return nil
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.Progress, format+"\n", args...)
}
