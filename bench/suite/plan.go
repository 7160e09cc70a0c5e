package suite

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// job is one machine's turn at one measure.
type job struct {
	Measure, Machine string
	Repeat, Guests   int
	Part             string // of the measure: which service and attack
}

func (j job) String() string {
	text := j.Measure
	if j.Part != "" {
		text += " " + j.Part
	}
	text += fmt.Sprintf(", %s, repeat %d", j.Machine, j.Repeat+1)
	if j.Guests > 0 {
		text += fmt.Sprintf(", %d instances", j.Guests)
	}
	return text
}

// plan is all that is to be done, in the order of the doing: each repeat has
// its own random order, so that what disturbs the host hits all alike.
func (c *Config) plan() []job {
	random := rand.New(rand.NewPCG(c.Seed, 0))
	var all []job
	for repeat := range c.Repeat {
		var jobs []job
		for _, measure := range c.Measures {
			for _, machine := range slices.Concat(c.Machines, c.Peers) {
				jobs = append(jobs, c.jobs(measure, machine, repeat)...)
			}
		}
		random.Shuffle(len(jobs), func(i, j int) { jobs[i], jobs[j] = jobs[j], jobs[i] })
		all = append(all, jobs...)
	}
	return all
}

// jobs are a machine's turns at a measure in one repeat.
func (c *Config) jobs(measure, machine string, repeat int) (jobs []job) {
	one := job{Measure: measure, Machine: machine, Repeat: repeat}
	p, isPeer := findPeer(machine)
	switch {
	case isPeer && measure == Flood:
		for _, one.Part = range c.Flood.parts() {
			if service, _, _ := strings.Cut(one.Part, " "); service == p.service && c.Flood.again(repeat) {
				jobs = append(jobs, one)
			}
		}
		return jobs
	case isPeer && measure != p.service:
		return nil
	}
	switch measure {
	case Start:
		if c.Start.Step < 1 {
			return nil // a run that doesn't measure it
		}
		for one.Guests = c.Start.From; one.Guests <= c.Start.To; one.Guests += c.Start.Step {
			jobs = append(jobs, one)
		}
	case Flood:
		if !c.Flood.again(repeat) {
			return nil
		}
		for _, one.Part = range c.Flood.parts() {
			jobs = append(jobs, one)
		}
	case Forward:
		if c.Forward.Repeat > 0 && repeat >= c.Forward.Repeat || !c.forwards(machine) {
			return nil
		}
		for _, one.Part = range c.Forward.Services {
			jobs = append(jobs, one)
		}
	default:
		jobs = append(jobs, one)
	}
	return jobs
}

// startLength is about how long a start takes under emulation.
func startLength(machine string) time.Duration {
	switch machine {
	case Unikernel:
		return time.Second
	case LinuxVM:
		return 3 * time.Second
	default:
		return time.Second / 4
	}
}

// length is about how long a job takes.
func (c *Config) length(j job) time.Duration {
	const search = time.Minute // for the least memory
	start := startLength(j.Machine)
	switch j.Measure {
	case Web:
		return start + c.Web.length()
	case DNS:
		return start + c.DNS.length()
	case Start:
		return c.Start.Time + time.Duration(j.Guests+c.Start.Traced)*start
	case Flood:
		return start + c.Flood.length()
	case Forward:
		return start + c.Forward.length()
	default:
		length := 2*start + c.Footprint.Idle + c.Footprint.Time
		if c.Footprint.Least && (j.Machine == Unikernel || j.Machine == LinuxVM) {
			length += search
		}
		return length
	}
}

func (r Rates) length() time.Duration {
	steps := int((r.To-r.Start)/r.Step) + 1
	return time.Duration(steps) * (r.StepTime + r.Pause)
}

// WritePlan writes what is to be done and about how long it takes; what book has is
// left out, unless that is nil.
func (c *Config) WritePlan(w io.Writer, book *Book) error {
	jobs := c.plan()
	if book != nil {
		jobs = slices.DeleteFunc(jobs, book.has)
	}
	total := time.Duration(0)
	for n, j := range jobs {
		if _, err := fmt.Fprintf(w, "%3d  %-50s about %v\n", n+1, j, c.length(j).Round(time.Second)); err != nil {
			return err
		}
		total += c.length(j)
	}
	_, err := fmt.Fprintf(w, "%d parts, about %v, and a minute or two to build what is measured\n", len(jobs), total.Round(time.Second))
	return err
}
