package stats

import (
	"math"
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

func TestBootstrapIsRepeatable(t *testing.T) {
	values := []float64{1, 2, 3, 4, 5, 6, 7}
	from, to := bootstrap(values)
	from2, to2 := bootstrap(values)
	if from != from2 || to != to2 || from >= to {
		t.Errorf("%v to %v, then %v to %v", from, to, from2, to2)
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
