package suite

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"pith"
	"pith/bench"
	"pith/bench/lab"
	"pith/bench/load"
)

// fakeTarget starts instances that are nothing but this process.
type fakeTarget struct{ kind string }

func (t fakeTarget) Name() string                  { return t.kind }
func (t fakeTarget) Prepare(context.Context) error { return nil }
func (t fakeTarget) Shipped() []string             { return nil }
func (t fakeTarget) Machine() bool                 { return false }
func (t fakeTarget) Start(context.Context, *lab.Lab, bench.Shape) (bench.Instance, error) {
	return &fakeInstance{kind: t.kind, started: time.Now(), done: make(chan struct{})}, nil
}

type fakeInstance struct {
	kind    string
	started time.Time
	done    chan struct{}
}

func (i *fakeInstance) Addr() netip.Addr            { return netip.MustParseAddr("127.0.0.1") }
func (i *fakeInstance) Started() time.Time          { return i.started }
func (i *fakeInstance) PID() int                    { return os.Getpid() }
func (i *fakeInstance) Threads() ([]int, error)     { return nil, nil }
func (i *fakeInstance) Facts() (bench.Facts, error) { return bench.Facts{Accelerator: "none"}, nil }
func (i *fakeInstance) Done() <-chan struct{}       { return i.done }
func (i *fakeInstance) Stop(context.Context) error  { return nil }
func (i *fakeInstance) Console() string             { return "" }

// fakeClient answers what outcome says.
type fakeClient struct {
	first   error
	once    func() error
	outcome func(rate float64) (load.Outcome, error)
}

func (c fakeClient) First(context.Context) (time.Time, error) { return time.Now(), c.first }
func (c fakeClient) Rate(_ context.Context, rate float64, length time.Duration) (load.Outcome, error) {
	o, err := c.outcome(rate)
	o.Elapsed, o.Due = length, int64(rate*length.Seconds())
	if o.Latency == nil {
		o.Latency = hdrhistogram.New(1, 60_000_000, 3)
		o.Latency.RecordValues(1500, max(1, o.Answered))
	}
	return o, err
}

func (c fakeClient) Once(context.Context) error { return c.once() }

// all answers everything.
func all(rate float64) (load.Outcome, error) { return load.Outcome{Answered: int64(rate)}, nil }

func testConfig() Config {
	c := Default()
	c.Measures, c.Machines, c.Repeat = []string{Web}, []string{Unikernel, Process}, 2
	c.Web = Rates{Start: 100, Step: 100, To: 400, StepTime: time.Second, Clients: 1}
	c.Start = Churn{Service: Web, From: 2, To: 4, Step: 2, Pace: 5 * time.Millisecond, Time: 50 * time.Millisecond}
	c.Command = []string{"pith", "bench", "web", "--out", "a folder"}
	c.Progress = io.Discard
	return c
}

// fake is a suite whose kinds of machines are served by clients.
func fake(t *testing.T, c Config, clients map[string]client) *suite {
	t.Helper()
	book, err := Create(filepath.Join(t.TempDir(), "run"), About{Config: c, Begun: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { book.Close() })
	s := &suite{Config: c, book: book, targets: map[string]bench.Target{}}
	order := []string{}
	for _, kind := range c.Machines {
		s.targets[Web+" "+kind] = recorder{fakeTarget{kind}, &order}
		s.targets[DNS+" "+kind] = recorder{fakeTarget{kind}, &order}
	}
	s.connect = func(string, netip.Addr, int) (client, error) { return clients[order[len(order)-1]], nil }
	return s
}

// recorder notes which kind was started last.
type recorder struct {
	fakeTarget
	order *[]string
}

func (r recorder) Start(ctx context.Context, l *lab.Lab, s bench.Shape) (bench.Instance, error) {
	*r.order = append(*r.order, r.kind)
	return r.fakeTarget.Start(ctx, l, s)
}

// count counts the records of a machine that are of a kind.
func count(b *Book, machine string, is func(Record) bool) int {
	n := 0
	for _, r := range b.Records {
		if r.Machine == machine && is(r) {
			n++
		}
	}
	return n
}

func isStep(r Record) bool  { return r.Step != nil }
func isBegin(r Record) bool { return r.Begin != nil }

// TestSilent: a server that no longer answers ends its own run and no other.
func TestSilent(t *testing.T) {
	silent := func(rate float64) (load.Outcome, error) {
		if rate > 200 {
			return load.Outcome{Silent: true, SilentFrom: 300 * time.Millisecond}, nil
		}
		return all(rate)
	}
	s := fake(t, testConfig(), map[string]client{Unikernel: fakeClient{outcome: silent}, Process: fakeClient{outcome: all}})
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(s.book, Unikernel, isStep); n != 6 {
		t.Errorf("%d steps of the silent one, want 3 in each of 2 repeats", n)
	}
	if n := count(s.book, Process, isStep); n != 8 {
		t.Errorf("%d steps of the other, want 4 in each of 2 repeats", n)
	}
	if f := strings.Join(s.book.failures(), "\n"); !strings.Contains(f, "no longer answers, since 0.3 s into 300/s") || strings.Contains(f, Process) {
		t.Errorf("failures: %s", f)
	}
	if s.book.unfinished() != 0 {
		t.Error("jobs are missing")
	}
}

func TestSaturated(t *testing.T) {
	s := fake(t, testConfig(), map[string]client{
		Unikernel: fakeClient{outcome: func(float64) (load.Outcome, error) { return load.Outcome{Answered: 90}, nil }},
		Process:   fakeClient{first: errors.New("nobody listens")},
	})
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(s.book, Unikernel, isStep); n != 6 { // 90 of 100, of 200, of 300
		t.Errorf("%d steps, want 3 in each of 2 repeats", n)
	}
	if n := count(s.book, Process, func(r Record) bool { return r.End != nil && strings.Contains(r.End.Failure, "nobody listens") }); n != 2 {
		t.Errorf("%d failures to start, want 2: %v", n, s.book.failures())
	}
}

// TestInterruptAndResume: what was measured is kept, and only what is missing
// is done again.
func TestInterruptAndResume(t *testing.T) {
	c := testConfig()
	ctx, cancel := context.WithCancel(t.Context())
	steps := 0
	interrupted := fakeClient{outcome: func(rate float64) (load.Outcome, error) {
		if steps++; steps == 6 {
			cancel()
			return load.Outcome{}, ctx.Err()
		}
		return all(rate)
	}}
	s := fake(t, c, map[string]client{Unikernel: interrupted, Process: interrupted})
	if err := s.run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if len(s.book.Records) != 6 || s.book.unfinished() != 3 { // 4 steps, their end, a step
		t.Fatalf("%d records, %d jobs to do", len(s.book.Records), s.book.unfinished())
	}
	if file, err := s.book.WriteReport(); err != nil {
		t.Error(err)
	} else if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "3 parts are missing") {
		t.Errorf("the report doesn't say that it is unfinished: %v", err)
	}
	book, err := Resume(s.book.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(book.Records) != 5 {
		t.Fatalf("%d records to go on from, want 5", len(book.Records))
	}
	s.book = book
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(book, Unikernel, isStep) + count(book, Process, isStep); n != 16 || book.unfinished() != 0 {
		t.Errorf("%d steps, %d jobs to do", n, book.unfinished())
	}
}

func TestChurn(t *testing.T) {
	c := testConfig()
	c.Measures, c.Repeat = []string{Start}, 1
	s := fake(t, c, map[string]client{Unikernel: fakeClient{}, Process: fakeClient{first: errors.New("out of memory")}})
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(s.book, Unikernel, func(r Record) bool { return isBegin(r) && r.Begin.Phase == phaseFill }); n != 6 {
		t.Errorf("%d first starts, want 2 and 4", n)
	}
	if n := count(s.book, Unikernel, func(r Record) bool { return isBegin(r) && r.Begin.Phase == phaseReplace }); n == 0 {
		t.Error("none was replaced")
	}
	if n := count(s.book, Process, func(r Record) bool { return isBegin(r) && strings.Contains(r.Begin.Failure, "MemAvailable") }); n == 0 {
		t.Error("a failed start doesn't tell what the host has left")
	}
}

// TestFullDisk: the run ends, with an error that says where the records are.
func TestFullDisk(t *testing.T) {
	s := fake(t, testConfig(), map[string]client{Unikernel: fakeClient{outcome: all}, Process: fakeClient{outcome: all}})
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("there is no /dev/full: %v", err)
	}
	s.book.file = full
	if err := s.run(t.Context()); err == nil || !strings.Contains(err.Error(), "those before are in") {
		t.Errorf("error %v", err)
	}
}

// TestPaper: the preset has the original report's steps, and runs to its end on a
// clock that is a million times faster.
func TestPaper(t *testing.T) {
	c, err := Preset("paper")
	if err != nil {
		t.Fatal(err)
	}
	steps := Rates{Start: 100, Step: 100, To: 3000, StepTime: 300 * time.Second, Pause: 30 * time.Second, Clients: 100}
	if c.Web != steps || c.DNS.StepTime != steps.StepTime || c.DNS.Step != 100 || c.DNS.Pause != steps.Pause || c.CPUs != 1 || c.Memory != 128<<20 {
		t.Errorf("web %v, dns %v, %d CPUs, %d bytes", c.Web, c.DNS, c.CPUs, c.Memory)
	}
	if s := c.Start; s.From != 10 || s.To != 140 || s.Step != 10 || s.Pace != 5*time.Second || s.Time != 20*time.Minute {
		t.Errorf("start %+v", s)
	}
	const faster = 1_000_000
	for _, d := range []*time.Duration{&c.Web.StepTime, &c.Web.Pause, &c.DNS.StepTime, &c.DNS.Pause, &c.Start.Pace, &c.Start.Time} {
		*d /= faster
	}
	c.Measures, c.Machines, c.Progress = []string{Web, DNS, Start}, []string{Unikernel}, io.Discard
	s := fake(t, c, map[string]client{Unikernel: fakeClient{outcome: func(rate float64) (load.Outcome, error) {
		o := load.Outcome{Answered: int64(rate * c.Web.StepTime.Seconds())}
		return o, nil
	}}})
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count(s.book, Unikernel, isStep); n != 30+27 {
		t.Errorf("%d steps, want 30 of web and 27 of dns", n)
	}
	filled := func(r Record) bool { return isBegin(r) && r.Begin.Phase == phaseFill }
	if n := count(s.book, Unikernel, filled); n != 10*(1+14)*14/2 {
		t.Errorf("%d first starts, want 10, 20, ... 140", n)
	}
	if s.book.unfinished() != 0 || len(s.book.failures()) > 0 {
		t.Errorf("%d parts are missing: %v", s.book.unfinished(), s.book.failures())
	}
	if _, err := s.book.WriteReport(); err != nil {
		t.Error(err)
	}
}

func TestPlan(t *testing.T) {
	c := testConfig()
	c.Measures = []string{Web, Start}
	plan := c.plan()
	if len(plan) != 12 { // 2 repeats × 2 machines × (1 + 2)
		t.Fatalf("%d jobs: %v", len(plan), plan)
	}
	for i, j := range plan {
		if j.Repeat != i/6 {
			t.Errorf("job %d is of repeat %d: a repeat begins when the one before is done", i, j.Repeat)
		}
		if j != c.plan()[i] {
			t.Error("the same seed gives another order")
		}
	}
	if slices.Equal(plan[:6], withRepeat(plan[6:], 0)) {
		t.Error("both repeats have the same order")
	}
	other := c
	other.Seed++
	if slices.Equal(plan, other.plan()) {
		t.Error("another seed gives the same order")
	}
}

// withRepeat is jobs as those of another repeat.
func withRepeat(jobs []job, repeat int) []job {
	jobs = slices.Clone(jobs)
	for i := range jobs {
		jobs[i].Repeat = repeat
	}
	return jobs
}

func TestCheckRefuses(t *testing.T) {
	good := testConfig()
	good.Measures = []string{Web, DNS, Start, Footprint}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"--machine":   func(c *Config) { c.Machines = []string{"mainframe"} },
		"at least":    func(c *Config) { c.Machines = nil },
		"--repeat":    func(c *Config) { c.Repeat = 0 },
		"--cpus":      func(c *Config) { c.CPUs = 0 },
		"--memory":    func(c *Config) { c.Memory = 1 },
		"--step 0":    func(c *Config) { c.Web.Step = 0 },
		"less than":   func(c *Config) { c.Web.To = 1 },
		"a million":   func(c *Config) { c.Web.To = 1e9 },
		"--step-time": func(c *Config) { c.DNS.StepTime = 0 },
		"--clients":   func(c *Config) { c.DNS.Clients = 0 },
		"--pause":     func(c *Config) { c.DNS.Pause = -1 },
		"--body":      func(c *Config) { c.Page.Size = 0 },
		"--questions": func(c *Config) { c.Questions.File = "x" },
		"NAME=FILE":   func(c *Config) { c.Questions = Questions{File: "x", Zone: "y"} },
		"--from":      func(c *Config) { c.Start.From = 0 },
		"room for":    func(c *Config) { c.Start.To = 1000 },
		"--pace":      func(c *Config) { c.Start.Pace = 0 },
		"--service":   func(c *Config) { c.Start.Service = "mail" },
		"--idle":      func(c *Config) { c.Footprint.Idle = 0 },
		"no measure":  func(c *Config) { c.Measures = []string{"weather"} },
	} {
		c := good
		change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) || pith.ExitCode(err) != 2 {
			t.Errorf("%s: error %v", want, err)
		}
	}
	for _, name := range []string{"quick", "paper"} {
		c, err := Preset(name)
		if err == nil {
			err = c.Check()
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Preset("endless"); pith.ExitCode(err) != 2 {
		t.Errorf("a preset that isn't there: %v", err)
	}
}

func TestQuickFitsTenMinutes(t *testing.T) {
	c, err := Preset("quick")
	if err != nil {
		t.Fatal(err)
	}
	c.Machines = Kinds
	total := time.Duration(0)
	for _, j := range c.plan() {
		total += c.length(j)
	}
	if total > 9*time.Minute {
		t.Errorf("the plan takes %v, which leaves less than a minute to build", total)
	}
}
