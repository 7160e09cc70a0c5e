package suite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"pith/bench"
)

// Phases of a churn.
const (
	phaseFill    = "fill"    // one after the other
	phaseCold    = "cold"    // all at once
	phaseReplace = "replace" // one that was killed, among all others
	phaseStages  = "stages"  // traced, alone; its time counts for the stages only
)

// guests are the instances beside one another; nil where one is missing.
type guests []*visit

// stop stops all.
func (g guests) stop(ctx context.Context) error {
	var errs []error
	for _, v := range g {
		if v != nil {
			errs = append(errs, v.stop(ctx))
		}
	}
	return errors.Join(errs...)
}

// churn starts instances, then kills one at random at each beat and starts
// another in its place.
func (s *suite) churn(ctx context.Context, j job) (end End, err error) {
	clock, err := bench.ReadHostClock()
	if err != nil {
		return end, err
	}
	defer func() { end.Scarce = scarce(clock) }()
	for range s.Start.Traced {
		if err := s.stages(ctx, j); err != nil {
			return end, err
		}
	}
	all := make(guests, j.Guests)
	defer func() { err = errors.Join(err, all.stop(ctx)) }()
	if err := s.fill(ctx, j, all); err != nil {
		return end, err
	}
	facts, err := all[0].Facts()
	if err != nil {
		return end, err
	}
	end.Accelerator, end.CPU = facts.Accelerator, facts.CPU
	return end, s.replace(ctx, j, all)
}

// stages starts one instance alone and keeps the stages of its start.
func (s *suite) stages(ctx context.Context, j job) error {
	v, err := s.startShape(ctx, s.Start.Service, j.Machine, 1, bench.Shape{CPUs: s.CPUs, Memory: s.Memory, Trace: true})
	if ctx.Err() == nil {
		err = errors.Join(err, s.note(j, 0, phaseStages, v, err))
	}
	if v != nil {
		err = errors.Join(err, v.stop(ctx))
	}
	return errors.Join(ctx.Err(), err)
}

// stages are those of a visit's start, each with what it took itself, in seconds.
func (v *visit) stages() []StageTime {
	stager, ok := v.Instance.(bench.Stager)
	if !ok {
		return nil
	}
	answer := time.Duration(v.first * float64(time.Second))
	var all []StageTime
	last := time.Duration(0)
	for _, stage := range append(stager.Stages(), bench.Stage{Name: bench.StageAnswer, End: answer}) {
		end := min(max(stage.End, last), answer) // marks are seen a little late
		all = append(all, StageTime{stage.Name, (end - last).Seconds()})
		last = end
	}
	return all
}

// fill starts the first instances.
func (s *suite) fill(ctx context.Context, j job, all guests) error {
	if s.Start.Cold {
		return s.cold(ctx, j, all)
	}
	for i := range all {
		if err := s.begin(ctx, j, all, i, phaseFill); err != nil {
			return err
		}
		if (i+1)%10 == 0 {
			s.say("  %d of %d instances answer; host: %s", i+1, len(all), spare())
		}
	}
	return nil
}

// cold starts all instances at once.
func (s *suite) cold(ctx context.Context, j job, all guests) error {
	if _, err := s.target(ctx, s.Start.Service, j.Machine); err != nil {
		return err // it is kept, and now only read
	}
	failed := make([]error, len(all))
	var group sync.WaitGroup
	for i := range all {
		group.Go(func() { all[i], failed[i] = s.start(ctx, s.Start.Service, j.Machine, 1) })
	}
	group.Wait()
	for i, v := range all {
		if err := s.note(j, i, phaseCold, v, failed[i]); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

// begin starts instance i.
func (s *suite) begin(ctx context.Context, j job, all guests, i int, phase string) error {
	v, err := s.start(ctx, s.Start.Service, j.Machine, 1)
	if ctx.Err() != nil {
		if v != nil {
			all[i] = v
		}
		return ctx.Err()
	}
	all[i] = v
	return errors.Join(err, s.note(j, i, phase, v, err))
}

// note keeps the record of a start.
func (s *suite) note(j job, i int, phase string, v *visit, failure error) error {
	b := &Begin{Guest: i, Phase: phase}
	if failure != nil {
		b.Failure = failure.Error() + "; host: " + spare()
	} else {
		b.Seconds = v.first
		if phase == phaseStages {
			b.Stages = v.stages()
		}
	}
	return s.book.add(j, Record{Begin: b})
}

// replace kills and starts until the time is over. A start that fails is a
// record, and the instance is missing until it is chosen again; three in a row
// end it.
func (s *suite) replace(ctx context.Context, j job, all guests) error {
	random := rand.New(rand.NewPCG(s.Seed, uint64(j.Repeat)<<32|uint64(j.Guests)))
	beat := time.NewTicker(s.Start.Pace)
	defer beat.Stop()
	failures := 0
	for end := time.Now().Add(s.Start.Time); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-beat.C:
		}
		if time.Now().After(end) {
			return nil
		}
		i := random.IntN(len(all))
		if v := all[i]; v != nil {
			all[i] = nil
			if err := v.stop(ctx); err != nil {
				return err
			}
		}
		err := s.begin(ctx, j, all, i, phaseReplace)
		switch {
		case err == nil:
			failures = 0
			s.say("  instance %d replaced in %.0f ms", i, all[i].first*1000)
			continue
		case ctx.Err() != nil || errors.As(err, new(bookError)):
			return err
		}
		if failures++; failures == 3 {
			return fmt.Errorf("three starts in a row failed: %w", err)
		}
		s.say("  instance %d doesn't start: %v", i, err)
	}
}

// scarce is what the host used since the clock was read, the scarcest first.
func scarce(clock bench.HostClock) string {
	shares, err := clock.Scarce()
	if err != nil {
		return err.Error()
	}
	words := make([]string, len(shares))
	for i, s := range shares {
		words[i] = s.String()
	}
	return strings.Join(words, ", ")
}

// spare is what the host has left.
func spare() string {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return err.Error()
	}
	var words []string
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); name == "MemAvailable" || name == "SwapFree" {
			words = append(words, name+" "+strings.Join(strings.Fields(value), " "))
		}
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		words = append(words, "load "+strings.TrimSpace(string(load)))
	}
	return strings.Join(words, ", ")
}
