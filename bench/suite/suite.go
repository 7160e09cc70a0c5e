// Package suite is what "pith bench" measures: the web and the name service under
// a load that grows step by step, starts among many instances, and what an
// instance takes. Machine kinds stand side by side; every record goes to disk
// as soon as it is there, and the report is made of the records alone.
//
// It relies on package bench for the machines and their network, on package load
// for the loads. It must not measure outside a lab, and must not let one
// machine's failure end what the others have to do.
package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pith"
	"pith/bench"
	"pith/bench/lab"
)

// Measures.
const (
	Web       = "web"
	DNS       = "dns"
	Start     = "start"
	Footprint = "footprint"
	Flood     = "flood"
	Forward   = "forward"
)

// Kinds of machines, in the order of a report.
const (
	Unikernel = "unikernel"
	LinuxVM   = "linuxvm"
	Process   = "process"
	Container = "container"
)

// Kinds are all kinds of machines.
var Kinds = []string{Unikernel, LinuxVM, Process, Container}

// Config says what to measure.
type Config struct {
	Measures []string
	Machines []string // of Kinds
	Peers    []string // of Peers; for the measures of the service whose work they do
	Repeat   int      // how often, each time in another order
	Seed     uint64   // of the order and of the random choices
	CPUs     int
	Memory   int64 // of an instance, bytes

	Load      string // a program that makes the loads of Web and DNS; "" is package load
	Web       Rates
	DNS       Rates
	Page      Page
	Questions Questions
	Start     Churn
	Footprint Rest
	Flood     Floods
	Forward   Forwards

	Command  []string  // what repeats it, for the report
	Progress io.Writer `json:"-"`
}

// Rates is a load that grows.
type Rates struct {
	Start, Step, To float64 // requests per second
	StepTime, Pause time.Duration
	Clients         int // connections, or sockets
}

// Page is what the web service is asked for.
type Page struct {
	Size  int  // octets
	Close bool // a new connection for each request
	TLS   bool
}

// Questions are what the name service is asked: a file as dnsperf takes it, and
// the zone, as NAME=FILE, that tells the right answers; "" is Pith's own. How they
// are asked: over UDP, or over TCP with connections that stay open or don't.
type Questions struct {
	File, Zone string
	TCP, Close bool
}

func (q Questions) String() string {
	switch {
	case q.TCP && q.Close:
		return "over TCP, a new connection for each query"
	case q.TCP:
		return "over TCP, connections stay open"
	default:
		return "over UDP"
	}
}

// name is the zone's.
func (q Questions) name() string {
	name, _, ok := strings.Cut(q.Zone, "=")
	if !ok {
		return bench.ZoneName
	}
	return name
}

// Churn is how instances are started and replaced.
type Churn struct {
	Service        string // Web or DNS
	From, To, Step int    // instances
	Pace           time.Duration
	Time           time.Duration // of replacing, for each number of instances
	Cold           bool          // the first ones are started all at once
	Traced         int           // how many starts are looked at by their stages
}

// Rest is how the footprint is looked at.
type Rest struct {
	Service string
	Idle    time.Duration
	Load    float64 // requests per second
	Time    time.Duration
	Least   bool // search the least memory, too
}

// Check refuses what can't be measured.
func (c *Config) Check() error {
	for _, kind := range c.Machines {
		if !slices.Contains(Kinds, kind) {
			return pith.Errorf("--machine %s: there are %v", kind, Kinds)
		}
	}
	switch {
	case len(c.Machines) == 0:
		return pith.Errorf("--machine: name at least one of %v", Kinds)
	case c.Repeat < 1:
		return pith.Errorf("--repeat %d: it must be 1 or more", c.Repeat)
	case c.CPUs < 1 || c.CPUs > 64:
		return pith.Errorf("--cpus %d: a machine has 1 to 64 CPUs", c.CPUs)
	case c.Memory < 16<<20:
		return pith.Errorf("--memory: %d MiB are too little for a machine that serves", c.Memory>>20)
	}
	for _, m := range c.Measures {
		if err := c.check(m); err != nil {
			return err
		}
	}
	return c.checkPeers()
}

func (c *Config) check(measure string) error {
	switch measure {
	case Web:
		if c.Page.Size < 1 || c.Page.Size > 64<<20 {
			return pith.Errorf("--body %d: the page has 1 octet to 64 MiB", c.Page.Size)
		}
		return errors.Join(c.Web.check(), c.checkLoad(measure, c.Web))
	case DNS:
		if (c.Questions.File == "") != (c.Questions.Zone == "") {
			return pith.Errorf("--questions and --zone belong together: the zone says which answers are right")
		}
		if c.Questions.Close && !c.Questions.TCP {
			return pith.Errorf("--keep-alive=false: UDP has no connections; add --tcp")
		}
		if c.Questions.Zone != "" && !strings.Contains(c.Questions.Zone, "=") {
			return pith.Errorf("--zone %s: write NAME=FILE", c.Questions.Zone)
		}
		return errors.Join(c.DNS.check(), c.checkLoad(measure, c.DNS))
	case Start:
		return c.Start.check()
	case Flood:
		return c.Flood.check()
	case Forward:
		return c.Forward.check()
	case Footprint:
		if c.Footprint.Idle <= 0 || c.Footprint.Time <= 0 || c.Footprint.Load <= 0 {
			return pith.Errorf("--idle, --load and --load-time must be more than nothing")
		}
		return checkService(c.Footprint.Service)
	}
	return pith.Errorf("there is no measure %q", measure)
}

func (r Rates) check() error {
	switch {
	case r.Start <= 0 || r.Step <= 0:
		return pith.Errorf("--start %v --step %v: both must be more than nothing", r.Start, r.Step)
	case r.To < r.Start:
		return pith.Errorf("--to %v is less than --start %v", r.To, r.Start)
	case r.To > 1e6:
		return pith.Errorf("--to %v: more than a million a second can't be offered", r.To)
	case r.StepTime < time.Second/2:
		return pith.Errorf("--step-time %v: a step takes half a second at least", r.StepTime)
	case r.Pause < 0:
		return pith.Errorf("--pause %v: it can't be less than nothing", r.Pause)
	case r.Clients < 1 || r.Clients > 10_000:
		return pith.Errorf("--clients %d: there can be 1 to 10000", r.Clients)
	}
	return nil
}

func (c Churn) check() error {
	switch {
	case c.From < 1 || c.Step < 1 || c.To < c.From:
		return pith.Errorf("--from %d --to %d --step %d: it goes up from 1 or more", c.From, c.To, c.Step)
	case c.To > lab.Places-1:
		return pith.Errorf("--to %d: the lab's network has room for %d instances", c.To, lab.Places-1)
	case c.Traced < 0 || c.Traced > 100:
		return pith.Errorf("--traced %d: 0 to 100 starts can be traced", c.Traced)
	case c.Pace <= 0 || c.Time <= 0:
		return pith.Errorf("--pace %v --time %v: both must be more than nothing", c.Pace, c.Time)
	}
	return checkService(c.Service)
}

func checkService(name string) error {
	if name != Web && name != DNS {
		return pith.Errorf("--service %s: there are %s and %s", name, Web, DNS)
	}
	return nil
}

// patience is how long an instance may take to its first answer.
const patience = 60 * time.Second

// suite is a run under way.
type suite struct {
	Config
	kit     *Kit
	lab     *lab.Lab
	book    *Book
	targets map[string]bench.Target // by service and kind
	connect func(service string, to netip.Addr, clients int) (client, error)
}

// Run measures all that book does not have yet. It must run inside a lab. When
// ctx ends it returns ctx's error; what was measured until then is in the book.
func Run(ctx context.Context, c Config, kit *Kit, book *Book) (err error) {
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	l, err := lab.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close(context.WithoutCancel(ctx))) }()
	s := &suite{Config: c, kit: kit, lab: l, book: book, targets: map[string]bench.Target{}}
	s.connect = s.client
	return s.run(ctx)
}

// run does all that the book does not have.
func (s *suite) run(ctx context.Context) error {
	jobs := slices.DeleteFunc(s.plan(), s.book.has)
	left := time.Duration(0)
	for _, j := range jobs {
		left += s.length(j)
	}
	for n, j := range jobs {
		s.say("%d of %d: %v; at most about %v left", n+1, len(jobs), j, left.Round(time.Second))
		if err := s.do(ctx, j); err != nil {
			return err
		}
		left -= s.length(j)
	}
	return nil
}

// do does one job. Its own failure is a record; an error ends all.
func (s *suite) do(ctx context.Context, j job) error {
	if j.Measure == Start && s.book.failedBelow(j) {
		const why = "not tried: a smaller number has failed"
		s.say("  %s", why)
		return s.book.add(j, Record{End: &End{Failure: why}})
	}
	end, err := s.measure(ctx, j)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.As(err, new(bookError)) {
		return err
	}
	if err != nil {
		end.Failure = err.Error()
		s.say("  failed: %v", err)
	}
	return s.book.add(j, Record{End: &end})
}

func (s *suite) measure(ctx context.Context, j job) (End, error) {
	switch j.Measure {
	case Web, DNS:
		return s.sweep(ctx, j)
	case Start:
		return s.churn(ctx, j)
	case Flood:
		return s.flood(ctx, j)
	case Forward:
		return s.forward(ctx, j)
	default:
		return End{}, s.footprint(ctx, j)
	}
}

func (s *suite) say(format string, args ...any) { fmt.Fprintf(s.Progress, format+"\n", args...) }
