package suite

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/aclements/go-moremath/stats"

	own "pith/bench/stats"
)

// Significance is the chance of calling noise a change, over all that is
// compared at once.
const Significance = 0.05

// Change is a quantity of a machine in two runs.
type Change struct {
	Quantity
	Machine      string
	Before       float64 // medians
	After        float64
	Ratio        float64 // After / Before; 0 where Before is 0
	From, To     float64 // its 95 % interval
	CountBefore  int
	CountAfter   int
	P            float64 // of the Mann-Whitney test, corrected (Holm) for all that is compared
	Real         bool    // P is below Significance
	CouldBeKnown bool    // there are values enough for any change to be real
}

// Verdict is one word about a change.
func (c Change) Verdict() string {
	switch {
	case !c.Real && !c.CouldBeKnown:
		return "too few repeats"
	case !c.Real:
		return "noise"
	case c.After > c.Before == c.More:
		return "better"
	default:
		return "worse"
	}
}

// leastChance is the least that the exact test can say: of all ways to draw n of
// n+m values, two put all of the one side below the other.
func leastChance(n, m int) float64 {
	ways := 1.0
	for i := range m {
		ways *= float64(n+i+1) / float64(i+1)
	}
	return min(1, 2/ways)
}

// Compare tells what changed from run a to run b. Each repeat is one value, the median of
// what it has: starts of one repeat had the same minutes of the host, so that a hundred
// of them don't say a hundred times as much.
func Compare(a, b *Book) ([]Change, error) {
	before, after := a.table(), b.table()
	var changes []Change
	for _, q := range before.order {
		for _, machine := range allKinds {
			x, y := present(before.medians(q, machine)), present(after.medians(q, machine))
			if len(x) == 0 || len(y) == 0 {
				continue
			}
			c, err := newChange(q, machine, x, y)
			if err != nil {
				return nil, err
			}
			changes = append(changes, c)
		}
	}
	for i, c := range changes {
		changes[i].CouldBeKnown = leastChance(c.CountBefore, c.CountAfter)*float64(len(changes)) < Significance
	}
	holm(changes)
	return changes, nil
}

func newChange(q Quantity, machine string, before, after []float64) (Change, error) {
	r := own.Unpaired(after, before)
	c := Change{
		Quantity: q, Machine: machine, Before: own.Median(before), After: own.Median(after), Ratio: r.Median, From: r.From, To: r.To,
		CountBefore: len(before), CountAfter: len(after), P: 1,
	}
	if c.Before == 0 {
		c.Ratio, c.From, c.To = 0, 0, 0
	}
	test, err := stats.MannWhitneyUTest(before, after, stats.LocationDiffers)
	switch {
	case err == stats.ErrSamplesEqual: // all values are one
		return c, nil
	case err != nil:
		return c, fmt.Errorf("%s, %s: %w", q.Name, machine, err)
	}
	c.P = test.P
	return c, nil
}

// holm corrects the chances for that many quantities are looked at: one of
// twenty would be "real" by chance alone.
func holm(changes []Change) {
	sorted := make([]*Change, len(changes))
	for i := range changes {
		sorted[i] = &changes[i]
	}
	slices.SortStableFunc(sorted, func(a, b *Change) int { return cmp.Compare(a.P, b.P) })
	least := 0.0
	for i, c := range sorted {
		least = max(least, min(1, c.P*float64(len(sorted)-i)))
		c.P, c.Real = least, least < Significance
	}
}
