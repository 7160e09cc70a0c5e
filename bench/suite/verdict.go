package suite

import (
	"fmt"
	"slices"
	"time"

	"pith/bench/load"
	"pith/bench/stats"
)

// FloodResult is what one attack did to honest clients.
type FloodResult struct {
	Capacity              float64 // right answers per second, before; 0 where the attack doesn't go by it
	Offered               float64 // of the attack, per second
	Sent                  int64   // requests, connections or frames
	Seconds               float64
	Before, During, After Honest
	Lasted                float64       // seconds into the attack until honest clients got no more answers; Seconds if they always did
	Recovered             float64       // seconds from the attack's end until it was as before; -1: not within Config.Flood.Recovery
	Ended                 bool          `json:",omitempty"` // the instance has ended
	Begin, End            time.Duration // of the attack, on the clock of the samples
	Samples               []load.Sample

	step time.Duration // from one honest request to the next
}

// Honest is what honest clients got in a part of the time.
type Honest struct {
	Asked, Answered int
	P50, P99, Max   float64 // of the right answers, in milliseconds from when they were due
	FirstError      string  `json:",omitempty"`
}

// Share is how many of 100 requests were answered rightly.
func (h Honest) Share() float64 {
	if h.Asked == 0 {
		return 0
	}
	return 100 * float64(h.Answered) / float64(h.Asked)
}

// honest judges the samples that were due in a part of the time.
func honest(samples []load.Sample, from, to time.Duration) Honest {
	var h Honest
	var took []float64
	for _, s := range samples {
		if s.Due < from || s.Due >= to {
			continue
		}
		h.Asked++
		if s.Err != "" {
			if h.FirstError == "" {
				h.FirstError = s.Err
			}
			continue
		}
		h.Answered++
		took = append(took, s.Took.Seconds()*1000)
	}
	if len(took) == 0 {
		return h
	}
	h.P50, h.P99, h.Max = stats.Quantile(took, 0.5), stats.Quantile(took, 0.99), slices.Max(took)
	return h
}

// recovery tells how fast it was as before.
func (r *FloodResult) recovery() string {
	switch {
	case r.Ended:
		return "the machine has ended"
	case r.Recovered < 0:
		return "it did not recover in time"
	default:
		return fmt.Sprintf("recovered after %.1f s", r.Recovered)
	}
}

// calm is how many right and quick answers in a row mean that all is as before.
const calm = 5

// judge makes the result of the samples until now. Those that are due after limit
// don't count.
func (r *FloodResult) judge(samples []load.Sample, limit time.Duration) {
	samples = slices.DeleteFunc(samples, func(s load.Sample) bool { return s.Due >= limit })
	slices.SortFunc(samples, func(a, b load.Sample) int { return int(a.Due - b.Due) })
	r.Samples = samples
	r.Seconds = (r.End - r.Begin).Seconds()
	r.Before, r.During, r.After = honest(samples, 0, r.Begin), honest(samples, r.Begin, r.End), honest(samples, r.End, limit)
	r.Lasted = r.lasted()
	r.Recovered = r.recovered()
}

// silentFor is how long honest clients must be without an answer, until the
// attack's end, to say that the service didn't last.
const silentFor = time.Second

func (r *FloodResult) lasted() float64 {
	last := r.Begin
	for _, s := range r.Samples {
		if s.Err == "" && s.Due < r.End {
			last = max(last, s.Due)
		}
	}
	if last > r.Begin && r.End-last < silentFor {
		return r.Seconds
	}
	return (last - r.Begin).Seconds()
}

func (r *FloodResult) recovered() float64 {
	quick := max(2*r.Before.P99, r.Before.P99+20) // ms
	first, last, row := time.Duration(0), time.Duration(0), 0
	for _, s := range r.Samples {
		if s.Due < r.End {
			continue
		}
		if s.Due-last > 3*r.step/2 {
			row = 0 // the one between still waits
		}
		last = s.Due
		if s.Err != "" || s.Took.Seconds()*1000 > quick {
			row = 0
			continue
		}
		if row == 0 {
			first = s.Due
		}
		if row++; row == calm {
			return (first - r.End).Seconds()
		}
	}
	return -1
}
