// Package stats is the little statistics that a comparison on a noisy host
// needs: medians, and ratios of what was measured side by side.
//
// It relies on the standard library only. It must not assume a distribution:
// every figure is an order statistic.
package stats

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Median is the middle of values, which it leaves alone; NaN if there is none.
func Median(values []float64) float64 { return Quantile(values, 0.5) }

// Quantile is the value that the share q (0 to 1) of the values doesn't exceed,
// interpolated between neighbours; NaN if there are no values.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := min(max(q, 0), 1) * float64(len(sorted)-1)
	low := int(at)
	if low == len(sorted)-1 {
		return sorted[low]
	}
	share := at - float64(low)
	return sorted[low]*(1-share) + sorted[low+1]*share
}

// Range is the least and the greatest of values; NaN if there is none.
func Range(values []float64) (low, high float64) {
	if len(values) == 0 {
		return math.NaN(), math.NaN()
	}
	return slices.Min(values), slices.Max(values)
}

// Ratio compares pairs that were measured in the same round, so that what
// slowed the host down in a round slowed both.
type Ratio struct {
	Median    float64 // of the rounds' ratios
	Low, High float64 // the least and the greatest of them
	// From and To hold the true median with 95 % confidence, if there are Sure
	// rounds or more; of fewer they are Low and High.
	From, To float64
	Rounds   int
}

// Sure is the least number of rounds whose range holds the true median with 95 %
// confidence. Of five all lie on one side of it in a sixteenth of all cases.
const Sure = 6

// resamples is how often unpaired values are drawn anew.
const resamples = 2000

// Paired is the ratio of values to references, round by round. Rounds in which
// the reference is zero or one of them is NaN are left out.
func Paired(values, references []float64) Ratio {
	var ratios []float64
	for i := range min(len(values), len(references)) {
		r := values[i] / references[i]
		if !math.IsNaN(r) && !math.IsInf(r, 0) {
			ratios = append(ratios, r)
		}
	}
	low, high := Range(ratios)
	from, to := interval(ratios)
	return Ratio{Median(ratios), low, high, from, to, len(ratios)}
}

// interval is the narrowest interval between two of the values, as far from the least
// as from the greatest, that holds the true median with 95 % confidence (the sign test's);
// of fewer than Sure values it is their range. NaN if there is none.
func interval(values []float64) (from, to float64) {
	n := len(values)
	if n == 0 {
		return math.NaN(), math.NaN()
	}
	// below is the chance that no more than outside of n values lie below the median.
	outside, way := 0, math.Pow(0.5, float64(n))
	for below := way; ; outside++ {
		way *= float64(n-outside) / float64(outside+1)
		if below += way; 2*below > 0.05 {
			break
		}
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[outside], sorted[n-1-outside]
}

// Unpaired is the ratio of the medians of values and references that were not
// measured side by side, with the interval from resampling both. Its Low and
// High are the interval's, too.
func Unpaired(values, references []float64) Ratio {
	ratio := Median(values) / Median(references)
	random := rand.New(rand.NewPCG(1, 2))
	draw := func(from []float64) float64 {
		drawn := make([]float64, len(from))
		for i := range drawn {
			drawn[i] = from[random.IntN(len(from))]
		}
		return Median(drawn)
	}
	if len(values) == 0 || len(references) == 0 {
		return Ratio{Median: math.NaN(), Low: math.NaN(), High: math.NaN(), From: math.NaN(), To: math.NaN()}
	}
	var ratios []float64
	for range resamples {
		if r := draw(values) / draw(references); !math.IsNaN(r) && !math.IsInf(r, 0) {
			ratios = append(ratios, r)
		}
	}
	from, to := Quantile(ratios, 0.025), Quantile(ratios, 0.975)
	return Ratio{ratio, from, to, from, to, min(len(values), len(references))}
}
