package suite

import (
	"slices"
	"time"

	"pith"
	"pith/bench/load"
)

// outsideLoads are the programs that can make a service's load.
var outsideLoads = map[string][]string{Web: {load.ByWrk, load.ByWrk2}, DNS: {load.ByDNSPerf}}

// leastWrk2 is the least step for wrk2, which looks at the service for ten seconds
// before it keeps latencies.
const leastWrk2 = 20 * time.Second

// checkLoad refuses loads that can't be made.
func (c *Config) checkLoad(measure string, r Rates) error {
	if c.Load == "" {
		return nil
	}
	if !slices.Contains(outsideLoads[measure], c.Load) {
		return pith.Errorf("--load %s: for %s there are %v", c.Load, measure, outsideLoads[measure])
	}
	if c.Load == load.ByWrk2 && r.StepTime < leastWrk2 {
		return pith.Errorf("--step-time %v: wrk2 needs %v, because it looks at the service for half of that first", r.StepTime, leastWrk2)
	}
	if r.StepTime%time.Second != 0 {
		return pith.Errorf("--step-time %v: %s takes whole seconds", r.StepTime, c.Load)
	}
	_, err := load.FindOutside(c.Load)
	return err
}

// rateless reports whether a load has no rate: it asks as fast as answers come.
func rateless(by string) bool { return by == load.ByWrk }

// outside offers one rate by a program of others.
func (s *suite) outside(v *visit, run int, rate float64, length time.Duration) (*Step, error) {
	var r load.Report
	var err error
	switch c := v.client.(type) {
	case dnsClient:
		r, err = c.Outside(v.ctx, s.kit.path(questionsName), rate, length)
	case webClient:
		r, err = c.Outside(v.ctx, s.Load, rate, length)
	}
	if err != nil {
		return nil, err
	}
	return outsideStep(run, rate, s.Load, r), nil
}

// outsideStep is a step as far as a program tells it. What was due and not sent is
// lost.
func outsideStep(run int, rate float64, by string, r load.Report) *Step {
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
	s := &Step{
		Run: run, Offered: rate, By: by, Due: r.Sent, Answered: r.Answered, Wrong: r.Wrong, Lost: r.Lost, Seconds: r.Length.Seconds(),
		Mean: ms(r.Mean), Min: ms(r.Min), Max: ms(r.Max), Deviation: ms(r.Deviation),
		P50: ms(r.P50), P90: ms(r.P90), P99: ms(r.P99), P999: ms(r.P999),
	}
	if rateless(by) {
		s.Offered = s.Rate()
		return s
	}
	s.Due = max(r.Sent, int64(rate*r.Length.Seconds()))
	s.Lost = s.Due - s.Answered - s.Wrong
	return s
}
