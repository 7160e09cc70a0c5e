package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		values  []float64
		q, want float64
	}{
		{[]float64{3}, 0.5, 3},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 3, 2}, 0.5, 2.5},
		{[]float64{1, 2, 3, 4, 5}, 0, 1},
		{[]float64{1, 2, 3, 4, 5}, 1, 5},
		{[]float64{0, 10}, 0.25, 2.5},
		{[]float64{1, 2}, 7, 2},
		{[]float64{1, 2}, -1, 1},
	} {
		if got := Quantile(c.values, c.q); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("Quantile(%v, %v) = %v, want %v", c.values, c.q, got, c.want)
		}
	}
	if got := Median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v", got)
	}
}

func TestMedianLeavesValuesAlone(t *testing.T) {
	values := []float64{3, 1, 2}
	Median(values)
	if values[0] != 3 || values[1] != 1 || values[2] != 2 {
		t.Errorf("values are %v now", values)
	}
}

func TestPaired(t *testing.T) {
	// A host that slows down by half slows both sides of a pair.
	r := Paired([]float64{200, 100, 300}, []float64{100, 50, 100})
	if r.Median != 2 || r.Low != 2 || r.High != 3 || r.Rounds != 3 {
		t.Errorf("%+v", r)
	}
	if r.From < r.Low || r.To > r.High || r.From > r.Median || r.To < r.Median {
		t.Errorf("interval %v to %v is not around the median within the range: %+v", r.From, r.To, r)
	}
}

func TestPairedLeavesOutBrokenRounds(t *testing.T) {
	r := Paired([]float64{1, 4, math.NaN(), 9}, []float64{0, 2, 2})
	if r.Rounds != 1 || r.Median != 2 {
		t.Errorf("%+v", r)
	}
	if r := Paired(nil, nil); r.Rounds != 0 || !math.IsNaN(r.Median) {
		t.Errorf("ratio of nothing is %+v", r)
	}
}

// TestInterval: with so many values, so many of the outermost are left out on each side,
// as tables of the sign test have it.
func TestInterval(t *testing.T) {
	for n, outside := range map[int]int{1: 0, 2: 0, 5: 0, 6: 0, 8: 0, 9: 1, 11: 1, 12: 2, 15: 3, 20: 5, 25: 7} {
		values := make([]float64, n)
		for i := range values {
			values[i] = float64(n - i)
		}
		if from, to := interval(values); from != float64(1+outside) || to != float64(n-outside) {
			t.Errorf("of %d values: %v to %v, want %d to %d", n, from, to, 1+outside, n-outside)
		}
	}
	if from, to := interval(nil); !math.IsNaN(from) || !math.IsNaN(to) {
		t.Errorf("of nothing: %v to %v", from, to)
	}
}

// TestIntervalHolds draws from a skewed distribution whose median is known. Draws of Sure
// values or more must hold it in 95 of 100 cases; of fewer they don't.
func TestIntervalHolds(t *testing.T) {
	const draws, median = 4000, 1.0
	random := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{3, Sure - 1, Sure, 11, 30} {
		held := 0
		for range draws {
			values := make([]float64, n)
			for i := range values {
				values[i] = math.Exp(random.NormFloat64()) // log-normal
			}
			if from, to := interval(values); from <= median && median <= to {
				held++
			}
		}
		if share := float64(held) / draws; share < 0.945 == (n >= Sure) {
			t.Errorf("intervals of %d values hold the median in %.1f %% of all cases", n, 100*share)
		}
	}
}

func TestUnpaired(t *testing.T) {
	r := Unpaired([]float64{20, 21, 22}, []float64{10, 10, 10, 10})
	if r.Median != 2.1 || r.From < 2 || r.To > 2.2 || r.From > r.To {
		t.Errorf("%+v", r)
	}
	if r := Unpaired(nil, []float64{1}); !math.IsNaN(r.Median) || r.Rounds != 0 {
		t.Errorf("nothing to compare: %+v", r)
	}
}
