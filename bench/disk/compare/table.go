package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"pith/bench/stats"
)

// table is what bench/disk said in each round.
type table struct {
	names  []string          // measures, in order
	units  map[string]string // by measure
	values map[string]map[string][]float64
}

// add takes the lines of one run: NAME VALUE UNIT, and "done" at the end. What follows
// are a Linux kernel's complaints about the end of its first process.
func (t *table) add(target, output string) error {
	lines := strings.Split(output, "\n")
	end := slices.Index(lines, "done")
	if end < 0 {
		return fmt.Errorf("the program did not come to its end:\n%s", output)
	}
	if t.units == nil {
		t.units, t.values = map[string]string{}, map[string]map[string][]float64{}
	}
	for _, line := range lines[:end] {
		words := strings.Fields(line)
		if len(words) != 3 {
			continue
		}
		value, err := strconv.ParseFloat(words[1], 64)
		if err != nil {
			continue // the kernel's own words
		}
		name := words[0]
		if t.values[name] == nil {
			t.names = append(t.names, name)
			t.values[name] = map[string][]float64{}
		}
		t.units[name] = words[2]
		t.values[name][target] = append(t.values[name][target], value)
	}
	return nil
}

// text is the table: medians with their ranges, and how many times as fast Pith is, by
// rounds.
func (t *table) text() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "files\tunit\tlinux\tpith\tpith is × as fast (least to greatest)")
	for _, name := range t.names {
		linux, pith := t.values[name]["linux"], t.values[name]["pith"]
		r := stats.Paired(pith, linux)
		if t.units[name] == "ns" { // less is faster
			r = stats.Paired(linux, pith)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.2f (%.2f to %.2f)\n", name, t.units[name], spread(linux), spread(pith), r.Median, r.Low, r.High)
	}
	w.Flush()
	return b.String()
}

// spread is the median of values and their range.
func spread(values []float64) string {
	low, high := stats.Range(values)
	return fmt.Sprintf("%.0f (%.0f to %.0f)", stats.Median(values), low, high)
}
