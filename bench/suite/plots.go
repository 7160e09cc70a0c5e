package suite

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"

	"pith/bench"
	"pith/bench/chart"
	"pith/bench/stats"
)

// plot is a chart of the report.
type plot struct {
	Title string
	SVG   template.HTML
}

// plots are all plots that the records give something for.
func (b *Book) plots() []plot {
	var all []plot
	add := func(title string, svg template.HTML, some bool) {
		if some {
			all = append(all, plot{title, svg})
		}
	}
	for _, measure := range []string{Web, DNS} {
		for _, l := range []struct {
			name string
			of   func(*Step) float64
		}{{"median", func(s *Step) float64 { return s.P50 }}, {"99th percentile", func(s *Step) float64 { return s.P99 }}} {
			title := fmt.Sprintf("%s: latency, %s", measure, l.name)
			p := &chart.Lines{Title: title, X: "offered, requests/s", Y: "ms", LogY: true, Series: b.stepSeries(measure, l.of)}
			add(title, p.SVG(), len(p.Series) > 0)
		}
		title := measure + ": right answers"
		p := &chart.Lines{Title: title, X: "offered, requests/s", Y: "answered, /s", Series: b.stepSeries(measure, (*Step).Rate)}
		add(title, p.SVG(), len(p.Series) > 0)
	}
	starts := &chart.Lines{Title: "start", X: "from start to first answer, ms", Y: "share of starts", LogX: true, Series: b.startCurves()}
	add("start: how many were how fast (ECDF)", starts.SVG(), len(starts.Series) > 0)
	c := b.About.Config.Start
	among := &chart.Lines{Title: "start among others", X: "instances", Y: "median start, ms", LogY: true, Series: b.startSeries()}
	add("start: beside how many others", among.SVG(), len(among.Series) > 0 && c.From+c.Step <= c.To) // else it is one point
	if p := b.stagePlot(); len(p.Bars) > 0 {
		all = append(all, plot{"start: the stages of one", p.SVG()})
	}
	all = append(all, b.floodPlots()...)
	all = append(all, b.forwardPlots()...)
	return append(all, b.footprintPlots()...)
}

func (b *Book) forwardPlots() []plot {
	var all []plot
	for _, p := range []struct {
		title, unit string
		of          func(string, int) Quantity
	}{{"forward: packets per second", "packets/s", forwardRate}, {"forward: what a packet takes longer, median", "µs", forwardAdded}} {
		var groups []barGroup
		for _, part := range b.parts(Forward) {
			for _, size := range b.About.Config.Forward.Sizes {
				groups = append(groups, barGroup{fmt.Sprintf("%s, %d bytes", part, size), p.of(part, size)})
			}
		}
		all = append(all, b.bars(p.title, p.unit, groups)...)
	}
	return all
}

// barGroup is a quantity as a group of bars.
type barGroup struct {
	name string
	of   Quantity
}

// bars is a plot of the medians of quantities, of the machines that have any.
func (b *Book) bars(title, unit string, groups []barGroup) []plot {
	t := b.table()
	p := &chart.Bars{Title: title, Y: unit}
	for _, g := range groups {
		p.Groups = append(p.Groups, chart.Group{Name: g.name})
	}
	for _, machine := range b.machines() {
		var values []float64
		for _, g := range groups {
			values = append(values, stats.Median(present(t.medians(g.of, machine))))
		}
		if len(present(values)) == 0 {
			continue
		}
		p.Bars = append(p.Bars, chart.Key{Name: machine, Colour: colour(machine)})
		for i, v := range values {
			p.Groups[i].Values = append(p.Groups[i].Values, v)
		}
	}
	if len(p.Bars) == 0 {
		return nil
	}
	return []plot{{title, p.SVG()}}
}

// colour is a machine's in all plots.
func colour(machine string) int { return max(0, slices.Index(allKinds, machine)) }

// stagePlot has a bar for each kind of machine, of the medians of its stages.
func (b *Book) stagePlot() *chart.Stacks {
	p := &chart.Stacks{Title: "stages of a start", X: "ms (medians of traced starts)", Parts: bench.StageNames}
	t := b.table()
	for _, machine := range b.machines() {
		bar := chart.Group{Name: machine}
		some := false
		for _, stage := range bench.StageNames {
			values := present(t.medians(stageQuantity(stage), machine))
			bar.Values = append(bar.Values, stats.Median(values))
			some = some || len(values) > 0
		}
		if some {
			p.Bars = append(p.Bars, bar)
		}
	}
	return p
}

// counts reports whether it is one of the starts whose times are compared.
func (b *Begin) counts() bool { return b.Failure == "" && b.Phase != phaseStages }

// machines are those that have records, in the order of a report.
func (b *Book) machines() []string {
	return slices.DeleteFunc(slices.Clone(allKinds), func(kind string) bool {
		return !slices.ContainsFunc(b.Records, func(r Record) bool { return r.Machine == kind })
	})
}

// gather sorts values by machine and x, and makes lines of the medians.
func (b *Book) gather(each func(r *Record) (x, y float64, ok bool)) []chart.Series {
	var all []chart.Series
	for _, machine := range b.machines() {
		at := map[float64][]float64{}
		for i := range b.Records {
			r := &b.Records[i]
			if r.Machine != machine {
				continue
			}
			if x, y, ok := each(r); ok {
				at[x] = append(at[x], y)
			}
		}
		if s := medians(machine, at); len(s.Points) > 0 {
			all = append(all, s)
		}
	}
	return all
}

// medians is a line through the medians of the values at each x, with their ranges.
func medians(name string, at map[float64][]float64) chart.Series {
	s := chart.Series{Name: name, Colour: colour(name)}
	for x, values := range at {
		low, high := stats.Range(values)
		s.Points = append(s.Points, chart.Point{X: x, Y: stats.Median(values), Low: low, High: high})
	}
	slices.SortFunc(s.Points, func(a, b chart.Point) int { return cmp.Compare(a.X, b.X) })
	return s
}

func (b *Book) stepSeries(measure string, of func(*Step) float64) []chart.Series {
	return b.gather(func(r *Record) (x, y float64, ok bool) {
		if r.Measure != measure || r.Step == nil || r.Step.Answered == 0 || of(r.Step) == 0 {
			return 0, 0, false
		}
		return r.Step.Offered, of(r.Step), true
	})
}

func (b *Book) startSeries() []chart.Series {
	return b.gather(func(r *Record) (x, y float64, ok bool) {
		if r.Begin == nil || !r.Begin.counts() {
			return 0, 0, false
		}
		return float64(r.Guests), 1000 * r.Begin.Seconds, true
	})
}

// startCurves are the empirical distributions of all start times.
func (b *Book) startCurves() []chart.Series {
	var all []chart.Series
	for _, machine := range b.machines() {
		var times []float64
		for _, r := range b.Records {
			if r.Machine == machine && r.Begin != nil && r.Begin.counts() {
				times = append(times, 1000*r.Begin.Seconds)
			}
		}
		if len(times) == 0 {
			continue
		}
		slices.Sort(times)
		s := chart.Series{Name: machine, Colour: colour(machine), Stairs: true, Points: []chart.Point{{X: times[0], Y: 0}}}
		for i, t := range times {
			s.Points = append(s.Points, chart.Point{X: t, Y: float64(i+1) / float64(len(times))})
		}
		all = append(all, s)
	}
	return all
}

// footprintPlots has a plot for each unit.
func (b *Book) footprintPlots() []plot {
	var units []string
	groups := map[string][]barGroup{}
	for _, q := range b.table().order {
		if !slices.ContainsFunc(b.Records, func(r Record) bool { return r.Value != nil && r.Value.Name == q.Name }) {
			continue
		}
		if groups[q.Unit] == nil {
			units = append(units, q.Unit)
		}
		groups[q.Unit] = append(groups[q.Unit], barGroup{q.Name, q})
	}
	var all []plot
	for _, unit := range units {
		all = append(all, b.bars("footprint in "+unit, unit, groups[unit])...)
	}
	return all
}
