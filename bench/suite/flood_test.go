package suite

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pith"
	"pith/bench/load"
)

// samples are of a client that asks every 50 ms from 0 to 10 s; answer says what
// came of one.
func samples(answer func(due time.Duration) (time.Duration, string)) []load.Sample {
	var all []load.Sample
	for due := time.Duration(0); due < 10*time.Second; due += 50 * time.Millisecond {
		took, err := answer(due)
		all = append(all, load.Sample{Due: due, Took: took, Err: err})
	}
	return all
}

func TestJudge(t *testing.T) {
	const quick, slow, none = 2 * time.Millisecond, 500 * time.Millisecond, "no answer in time"
	for name, c := range map[string]struct {
		answer           func(due time.Duration) (time.Duration, string)
		share            float64
		lasted, recovers float64
	}{
		"nobody noticed": {func(time.Duration) (time.Duration, string) { return quick, "" }, 100, 4, 0},
		"silent after a second, back two seconds after the end": {func(due time.Duration) (time.Duration, string) {
			if due >= 3*time.Second && due < 8*time.Second {
				return 2 * time.Second, none
			}
			return quick, ""
		}, 25, 0.95, 2},
		"slow until a second after the end": {func(due time.Duration) (time.Duration, string) {
			if due >= 2*time.Second && due < 7*time.Second {
				return slow, ""
			}
			return quick, ""
		}, 100, 4, 1},
		"never again": {func(due time.Duration) (time.Duration, string) {
			if due >= 2*time.Second {
				return 2 * time.Second, none
			}
			return quick, ""
		}, 0, 0, -1},
	} {
		r := &FloodResult{Begin: 2 * time.Second, End: 6 * time.Second, step: 50 * time.Millisecond}
		r.judge(samples(c.answer), 9*time.Second)
		if r.During.Share() != c.share || r.Lasted != c.lasted || r.Recovered != c.recovers {
			t.Errorf("%s: %v %% answered, lasted %v, recovered %v; want %v, %v, %v", name, r.During.Share(), r.Lasted, r.Recovered, c.share, c.lasted, c.recovers)
		}
		if r.Before.Asked != 40 || r.During.Asked != 80 || r.After.Asked != 60 {
			t.Errorf("%s: %d, %d and %d requests", name, r.Before.Asked, r.During.Asked, r.After.Asked)
		}
	}
}

// TestJudgeWaits: what still waits for its answer is no recovery.
func TestJudgeWaits(t *testing.T) {
	r := &FloodResult{Begin: 2 * time.Second, End: 6 * time.Second, step: 50 * time.Millisecond}
	all := samples(func(time.Duration) (time.Duration, string) { return time.Millisecond, "" })
	var some []load.Sample
	for i, s := range all {
		if s.Due < r.End || s.Due < r.End+time.Second && i%3 != 0 { // each third still waits
			some = append(some, s)
		}
	}
	if r.judge(some, 9*time.Second); r.Recovered != -1 {
		t.Errorf("recovered after %v s", r.Recovered)
	}
}

func TestFlood(t *testing.T) {
	c := testConfig()
	c.Measures, c.Repeat = []string{Flood}, 1
	c.Flood = Floods{
		Services: []string{Web}, Attacks: []string{"overload"}, Calm: time.Second, Length: 2 * time.Second, Recovery: time.Second,
		Probe: 50, Times: 2, MostRate: 100, Rate: 10, Conns: 2,
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	refuses := func() error {
		if asked.Add(1) > 10 {
			return errors.New("it refuses")
		}
		return nil
	}
	s := fake(t, c, map[string]client{
		Unikernel: fakeClient{outcome: all, once: func() error { return nil }},
		Process:   fakeClient{outcome: all, once: refuses},
	})
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	is := func(want func(*FloodResult) bool) func(Record) bool {
		return func(r Record) bool { return r.Flood != nil && want(r.Flood) }
	}
	served := is(func(f *FloodResult) bool {
		return f.During.Asked > 0 && f.During.Share() == 100 && f.Lasted == f.Seconds
	})
	if n := count(s.book, Unikernel, served); n != 1 {
		t.Errorf("%d attacks that nobody noticed, want 1: %v", n, s.book.failures())
	}
	fell := is(func(f *FloodResult) bool {
		return f.Lasted < f.Seconds && f.Recovered < 0 && f.During.FirstError == "it refuses"
	})
	if n := count(s.book, Process, fell); n != 1 {
		t.Errorf("%d attacks that ended a service, want 1: %v", n, s.book.failures())
	}
	if failed, _ := s.book.Failed(); failed != 0 || s.book.unfinished() != 0 {
		t.Errorf("%d parts failed, %d are missing: what an attack does is no failure of the run", failed, s.book.unfinished())
	}
	if text := strings.Join(s.book.failures(), "\n"); !strings.Contains(text, "flood web overload, process, repeat 1: it served honest clients for 0.0 of 2.") {
		t.Errorf("the report says %s", text)
	}
}

// TestFloodInterrupted: an attack that was cut off is no result, and is done again.
func TestFloodInterrupted(t *testing.T) {
	c := testConfig()
	c.Measures, c.Repeat, c.Machines = []string{Flood}, 1, []string{Process}
	c.Flood = Floods{
		Services: []string{Web}, Attacks: []string{"slow"}, Calm: time.Second, Length: time.Minute, Recovery: time.Second,
		Probe: 50, Times: 2, MostRate: 100, Rate: 10, Conns: 2,
	}
	ctx, cancel := context.WithCancel(t.Context())
	var asked atomic.Int64
	once := func() error {
		if asked.Add(1) == 60 { // a second is over, the attack has begun
			cancel()
		}
		return nil
	}
	s := fake(t, c, map[string]client{Process: fakeClient{outcome: all, once: once}})
	if err := s.run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if len(s.book.Records) != 0 || s.book.unfinished() != 1 {
		t.Errorf("kept %+v, %d parts to do", s.book.Records, s.book.unfinished())
	}
	s.Config.Flood.Length = time.Second
	if err := s.run(t.Context()); err != nil || s.book.unfinished() != 0 {
		t.Errorf("%d parts to do, error %v", s.book.unfinished(), err)
	}
}

func TestFloodRefuses(t *testing.T) {
	good := Default().Flood
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Floods){
		"--attack kindness": func(f *Floods) { f.Attacks = []string{"kindness"} },
		"at least one":      func(f *Floods) { f.Attacks = nil },
		"--service mail":    func(f *Floods) { f.Services = []string{"mail"} },
		"--time":            func(f *Floods) { f.Length = time.Hour },
		"--calm":            func(f *Floods) { f.Calm = 0 },
		"--probe":           func(f *Floods) { f.Probe = 1 },
		"--rate":            func(f *Floods) { f.Rate = 1e9 },
		"--clients":         func(f *Floods) { f.Conns = 0 },
	} {
		f := good
		change(&f)
		if err := f.check(); err == nil || !strings.Contains(err.Error(), want) || pith.ExitCode(err) != 2 {
			t.Errorf("%s: error %v", want, err)
		}
	}
}
