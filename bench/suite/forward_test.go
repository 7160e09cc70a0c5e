package suite

import (
	"strings"
	"testing"
	"time"

	"pith"
)

func TestForwardRefuses(t *testing.T) {
	good := Default().Forward
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Forwards){
		"--service mail": func(f *Forwards) { f.Services = []string{"mail"} },
		"at least one":   func(f *Forwards) { f.Sizes = nil },
		"--size 63":      func(f *Forwards) { f.Sizes = []int{64, 63} },
		"--window":       func(f *Forwards) { f.Window = 1 },
		"--time":         func(f *Forwards) { f.Time = 0 },
	} {
		f := good
		change(&f)
		if err := f.check(); err == nil || !strings.Contains(err.Error(), want) || pith.ExitCode(err) != 2 {
			t.Errorf("%s: error %v", want, err)
		}
	}
}

// TestForwardPlan: a container forwards as a process does, so it is measured only
// where there is no process; measures may have fewer repeats than others.
func TestForwardPlan(t *testing.T) {
	c := testConfig()
	c.Measures, c.Repeat = []string{Forward, Flood}, 3
	c.Forward.Repeat, c.Flood.Repeat = 1, 2
	c.Flood.Services, c.Flood.Attacks = []string{Web}, []string{"slow"}
	for machines, want := range map[string]int{"process container": 2*1 + 2*2, "container": 2*1 + 2, "unikernel": 2*1 + 2} {
		c.Machines = strings.Fields(machines)
		if plan := c.plan(); len(plan) != want {
			t.Errorf("%s: %d parts, want %d: %v", machines, len(plan), want, plan)
		}
	}
}

func TestWritePlan(t *testing.T) {
	c := testConfig()
	c.Measures = []string{Web}
	c.Web = Rates{Start: 1, Step: 1, To: 2, StepTime: time.Minute, Clients: 1}
	var text strings.Builder
	if err := c.WritePlan(&text, nil); err != nil {
		t.Fatal(err)
	}
	if got := text.String(); strings.Count(got, "\n") != 5 || !strings.Contains(got, "web, process, repeat 2") || !strings.Contains(got, "4 parts, about 8m3s") {
		t.Errorf("the plan:\n%s", got)
	}
	book, err := Create(t.TempDir(), About{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	if err := book.add(c.plan()[0], Record{End: &End{}}); err != nil {
		t.Fatal(err)
	}
	text.Reset()
	if err := c.WritePlan(&text, book); err != nil || !strings.Contains(text.String(), "3 parts,") {
		t.Errorf("what is left, error %v:\n%s", err, text.String())
	}
}
