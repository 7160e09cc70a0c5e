package suite

import (
	"math"
	"slices"
	"strings"

	"pith/bench/chart"
	"pith/bench/load"
)

// floodPlots are what honest clients got, over the time of each attack.
func (b *Book) floodPlots() []plot {
	var all []plot
	for _, part := range b.parts(Flood) {
		p := &chart.Lines{Title: part, X: "s since the attack began", Y: "ms", LogY: true, Series: b.siege(part), Mark: b.attackEnd(part)}
		if len(p.Series) > 0 {
			all = append(all, plot{"flood: " + part + ": honest clients' slowest answer in each half second", p.SVG()})
		}
	}
	var groups []barGroup
	for _, part := range b.parts(Flood) {
		groups = append(groups, barGroup{strings.ReplaceAll(part, " ", ", "), floodShare(part)})
	}
	return append(all, b.bars("flood: honest clients' requests that were answered meanwhile, %", "%", groups)...)
}

// parts are the parts of a measure that have records, in the order of the plan.
func (b *Book) parts(measure string) []string {
	var parts []string
	for _, j := range b.About.Config.jobs(measure, "", 0) {
		if slices.ContainsFunc(b.Records, func(r Record) bool { return r.Measure == measure && r.Part == j.Part && r.End == nil }) {
			parts = append(parts, j.Part)
		}
	}
	return parts
}

// siege has a line for each machine: of the repeats' medians of the slowest
// answer in each half second. What was not answered is as slow as the patience.
func (b *Book) siege(part string) []chart.Series {
	const width = 0.5 // s
	var all []chart.Series
	for _, machine := range b.machines() {
		slots := map[float64][]float64{}
		for _, r := range b.Records {
			if r.Flood == nil || r.Part != part || r.Machine != machine {
				continue
			}
			slowest := map[float64]float64{}
			for _, s := range r.Flood.Samples {
				at := width * (math.Floor((s.Due-r.Flood.Begin).Seconds()/width) + 0.5)
				took := s.Took
				if s.Err != "" {
					took = load.ProbePatience
				}
				slowest[at] = max(slowest[at], took.Seconds()*1000)
			}
			for at, ms := range slowest {
				slots[at] = append(slots[at], ms)
			}
		}
		if s := medians(machine, slots); len(s.Points) > 0 {
			all = append(all, s)
		}
	}
	return all
}

// attackEnd is when a part's attacks ended, from their begin, in seconds.
func (b *Book) attackEnd(part string) float64 {
	for _, r := range b.Records {
		if r.Flood != nil && r.Part == part {
			return r.Flood.Seconds
		}
	}
	return 0
}
