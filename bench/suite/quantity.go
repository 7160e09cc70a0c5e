package suite

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"pith/bench"
	"pith/bench/stats"
)

// Quantity is something that was measured, of which machines are compared.
type Quantity struct {
	Name, Unit string
	More       bool // more is better
}

// table holds values by quantity, machine and repeat.
type table struct {
	order  []Quantity // as they came
	values map[Quantity]map[string][][]float64
}

// touch gives a quantity its place in the order.
func (t *table) touch(q Quantity) {
	if t.values[q] == nil {
		t.order = append(t.order, q)
		t.values[q] = map[string][][]float64{}
	}
}

// add keeps a value; a repeat may have several.
func (t *table) add(q Quantity, machine string, repeat int, value float64) {
	t.touch(q)
	repeats := t.values[q][machine]
	for len(repeats) <= repeat {
		repeats = append(repeats, nil)
	}
	repeats[repeat] = append(repeats[repeat], value)
	t.values[q][machine] = repeats
}

// medians are the medians of the repeats, NaN where there is none.
func (t *table) medians(q Quantity, machine string) []float64 {
	var medians []float64
	for _, values := range t.values[q][machine] {
		medians = append(medians, stats.Median(values))
	}
	return medians
}

// all are all values.
func (t *table) all(q Quantity, machine string) []float64 {
	return slices.Concat(t.values[q][machine]...)
}

// present leaves out what is missing.
func present(values []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(values), math.IsNaN)
}

// table sorts the records of a run by quantity.
func (b *Book) table() *table {
	t := &table{values: map[Quantity]map[string][][]float64{}}
	for _, measure := range []string{Web, DNS} {
		b.sustained(t, measure)
		b.latencies(t, measure)
	}
	for _, r := range b.sorted() {
		switch {
		case r.Begin != nil && r.Begin.Phase == phaseStages:
			for _, name := range bench.StageNames { // in their own order
				t.touch(stageQuantity(name))
			}
			for _, s := range r.Begin.Stages {
				t.add(stageQuantity(s.Name), r.Machine, r.Repeat, 1000*s.Seconds)
			}
		case r.Begin != nil && r.Begin.Failure == "":
			name := fmt.Sprintf("start, %d instances, %s", r.Guests, r.Begin.Phase)
			t.add(Quantity{Name: name, Unit: "ms"}, r.Machine, r.Repeat, 1000*r.Begin.Seconds)
		case r.Flood != nil:
			b.floodQuantities(t, r)
		case r.Forward != nil:
			t.add(forwardRate(r.Part, r.Forward.Size), r.Machine, r.Repeat, r.Forward.Rate)
			t.add(forwardAdded(r.Part, r.Forward.Size), r.Machine, r.Repeat, r.Forward.Added())
		case r.Value != nil:
			t.add(Quantity{Name: r.Value.Name, Unit: r.Value.Unit}, r.Machine, r.Repeat, r.Value.Number)
		}
	}
	return t
}

func floodShare(part string) Quantity {
	return Quantity{part + ", honest clients' requests answered", "%", true}
}

func (b *Book) floodQuantities(t *table, r *Record) {
	name := r.Part + ", honest clients' "
	t.add(floodShare(r.Part), r.Machine, r.Repeat, r.Flood.During.Share())
	if r.Flood.During.Answered > 0 {
		t.add(Quantity{name + "p99", "ms", false}, r.Machine, r.Repeat, r.Flood.During.P99)
	}
	t.add(Quantity{r.Part + ", how long it served", "s", true}, r.Machine, r.Repeat, r.Flood.Lasted)
	if r.Flood.Recovered >= 0 {
		t.add(Quantity{r.Part + ", recovered after", "s", false}, r.Machine, r.Repeat, r.Flood.Recovered)
	}
}

func stageQuantity(stage string) Quantity { return Quantity{Name: "start, stage " + stage, Unit: "ms"} }

// sorted are the records in an order that does not depend on that of the doing: by
// measure, part and number of instances, and by the rest as they came.
func (b *Book) sorted() []*Record {
	var all []*Record
	for i := range b.Records {
		all = append(all, &b.Records[i])
	}
	place := map[string]int{}
	for i, measure := range b.About.Config.Measures {
		for n, j := range b.About.Config.jobs(measure, "", 0) {
			place[measure+" "+j.Part] = i<<16 + n
		}
	}
	slices.SortStableFunc(all, func(a, b *Record) int {
		return cmp.Or(cmp.Compare(place[a.Measure+" "+a.Part], place[b.Measure+" "+b.Part]), cmp.Compare(a.Guests, b.Guests))
	})
	return all
}

// sustained is the highest rate up to which 99 of 100 were answered.
func (b *Book) sustained(t *table, measure string) {
	q := Quantity{measure + ", highest rate kept up", "/s", true}
	best, lost := map[job]float64{}, map[job]bool{}
	var jobs []job
	for i := range b.Records {
		r := &b.Records[i]
		if r.Measure != measure || r.Step == nil {
			continue
		}
		j := r.job()
		if _, ok := best[j]; !ok {
			jobs = append(jobs, j)
			best[j] = 0
		}
		lost[j] = lost[j] || !r.Step.Kept()
		if !lost[j] {
			best[j] = r.Step.Offered
		}
	}
	for _, j := range jobs {
		t.add(q, j.Machine, j.Repeat, best[j])
	}
}

func (b *Book) latencies(t *table, measure string) {
	for i := range b.Records {
		r := &b.Records[i]
		if r.Measure != measure || r.Step == nil || r.Step.Answered == 0 {
			continue
		}
		at := fmt.Sprintf("%s at %g/s, ", measure, r.Step.Offered)
		if rateless(r.Step.By) {
			t.add(Quantity{measure + ", answered by " + r.Step.By, "/s", true}, r.Machine, r.Repeat, r.Step.Rate())
			at = measure + " by " + r.Step.By + ", "
		}
		for _, l := range []struct {
			name string
			ms   float64
		}{{"mean", r.Step.Mean}, {"p50", r.Step.P50}, {"p99", r.Step.P99}} {
			if l.ms > 0 && (l.name != "mean" || r.Step.P50 == 0) { // dnsperf tells no percentiles
				t.add(Quantity{Name: at + l.name, Unit: "ms"}, r.Machine, r.Repeat, l.ms)
			}
		}
	}
}
