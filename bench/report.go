package bench

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"pith/bench/stats"
)

// Sample is one measured value.
type Sample struct {
	Round   int // from 0
	Target  string
	CPUs    int
	Measure string
	Value   float64
	Load    float64 // the host's load average when it was taken
}

// Size is what has to be shipped, in bytes, as it is and compressed by xz.
type Size struct {
	Raw, Packed int64
}

// Report is the outcome of a comparison.
type Report struct {
	Head      []string // the host and the method's numbers, for people
	Reference string
	Targets   []string
	Facts     map[string]Facts // by target
	Sizes     map[string]Size  // by target
	Samples   []Sample
	Failures  []string
}

func newReport(c *Config) *Report {
	r := &Report{Reference: c.Reference, Facts: map[string]Facts{}, Sizes: map[string]Size{}}
	for _, t := range c.Targets {
		r.Targets = append(r.Targets, t.Name())
	}
	r.Head = append(HostFacts(),
		fmt.Sprintf("%d rounds in random order (seed %d), each load %v after %v", c.Rounds, c.Seed, c.Length, c.Warmup),
		fmt.Sprintf("memory of a machine: %d MiB", c.Memory>>20),
		"begun: "+time.Now().UTC().Format(time.RFC3339))
	return r
}

func (r *Report) add(round int, t turn, values map[string]float64, load float64) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		r.Samples = append(r.Samples, Sample{round, t.target.Name(), t.cpus, name, values[name], load})
	}
}

func (r *Report) fail(format string, args ...any) {
	r.Failures = append(r.Failures, fmt.Sprintf(format, args...))
}

// values are one target's values of a measure, by round; NaN where a round has
// none.
func (r *Report) values(target string, cpus int, measure string) []float64 {
	var values []float64
	for _, s := range r.Samples {
		if s.Target != target || s.CPUs != cpus || s.Measure != measure {
			continue
		}
		for len(values) <= s.Round {
			values = append(values, math.NaN())
		}
		values[s.Round] = s.Value
	}
	return values
}

// Median is a target's median of a measure over the rounds; NaN if there is
// none.
func (r *Report) Median(target string, cpus int, measure string) float64 {
	return stats.Median(present(r.values(target, cpus, measure)))
}

// Ratio compares a target's measure with the reference's, round by round.
func (r *Report) Ratio(target string, cpus int, measure string) stats.Ratio {
	return stats.Paired(r.values(target, cpus, measure), r.values(r.Reference, cpus, measure))
}

func present(values []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(values), math.IsNaN)
}

var csvHead = []string{"round", "target", "cpus", "measure", "value", "host_load"}

// WriteCSV writes all samples.
func (r *Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(csvHead); err != nil {
		return err
	}
	for _, s := range r.Samples {
		record := []string{
			strconv.Itoa(s.Round), s.Target, strconv.Itoa(s.CPUs), s.Measure,
			strconv.FormatFloat(s.Value, 'g', 8, 64), strconv.FormatFloat(s.Load, 'f', 2, 64),
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// row is one line of the table: a measure in one size.
type row struct {
	measure string
	cpus    int
}

// rows are the measures that have samples, in the order of their first one.
func (r *Report) rows() []row {
	var rows []row
	for _, s := range r.Samples {
		if k := (row{s.Measure, s.CPUs}); !slices.Contains(rows, k) {
			rows = append(rows, k)
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(rank(a.measure), rank(b.measure)), cmp.Compare(a.cpus, b.cpus))
	})
	return rows
}

// tableOrder is the order of the report's lines.
var tableOrder = []string{
	mStart, mHTTP, mWrk, mHTTPp50, mHTTPp99, mWrkP99, mHTTPErrors, mUDP, mUDPp99, mUDPServed, mUDPLoss,
	mWork, mOverload, mOverloadKept, mUDPOverload, mUDPKept, mLeastMemory, mPrivate, mIdleCPU, mIdleWakeUps,
}

func rank(measure string) int { return slices.Index(tableOrder, measure) }

// WriteMarkdown writes the report for people: a table of medians (least and
// greatest of the rounds), and behind each the ratio to the reference.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	for _, line := range r.Head {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	for _, t := range r.Targets {
		if f, ok := r.Facts[t]; ok {
			fmt.Fprintf(&b, "- %s: %v\n", t, f)
		}
	}
	r.table(&b)
	r.sizeTable(&b)
	for i, f := range r.Failures {
		if i == 0 {
			b.WriteString("\nFailed:\n\n")
		}
		fmt.Fprintf(&b, "- %s\n", strings.ReplaceAll(f, "\n", "\n  "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) table(b *strings.Builder) {
	b.WriteString("\n| measure | CPUs |")
	for _, t := range r.Targets {
		fmt.Fprintf(b, " %s |", t)
		if t != r.Reference {
			fmt.Fprintf(b, " %s / %s |", t, r.Reference)
		}
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", 2*len(r.Targets)-1) + "\n")
	for _, k := range r.rows() {
		fmt.Fprintf(b, "| %s%s | %d |", k.measure, arrow(k.measure), k.cpus)
		for _, t := range r.Targets {
			fmt.Fprintf(b, " %s |", cell(r.values(t, k.cpus, k.measure)))
			if t != r.Reference {
				fmt.Fprintf(b, " %s |", ratioCell(r.Ratio(t, k.cpus, k.measure)))
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\nMedian (least–greatest of the rounds); ratio: median of the rounds' ratios (least–greatest; 95 % interval of the median, of fewer than six rounds their range). ↓: less is better.\n")
}

func arrow(measure string) string {
	if lowerIsBetter[measure] {
		return " ↓"
	}
	return ""
}

func cell(values []float64) string {
	values = present(values)
	if len(values) == 0 {
		return "–"
	}
	low, high := stats.Range(values)
	return fmt.Sprintf("%s (%s–%s)", number(stats.Median(values)), number(low), number(high))
}

func ratioCell(r stats.Ratio) string {
	if r.Rounds == 0 {
		return "–"
	}
	return fmt.Sprintf("**%s** (%s–%s; %s–%s)", number(r.Median), number(r.Low), number(r.High), number(r.From), number(r.To))
}

// number is three significant digits, without an exponent.
func number(v float64) string {
	if v == 0 {
		return "0"
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', max(0, digits), 64)
}

func (r *Report) sizeTable(b *strings.Builder) {
	if len(r.Sizes) == 0 {
		return
	}
	b.WriteString("\n| to ship | raw, MB | xz, MB |\n|---|---|---|\n")
	for _, t := range r.Targets {
		s, ok := r.Sizes[t]
		if ok {
			fmt.Fprintf(b, "| %s | %.2f | %.2f |\n", t, float64(s.Raw)/1e6, float64(s.Packed)/1e6)
		}
	}
}

// brief is the line for the progress of a run.
func brief(values map[string]float64) string {
	var words []string
	for _, name := range tableOrder {
		if v, ok := values[name]; ok {
			words = append(words, name+" "+number(v))
		}
	}
	return strings.Join(words, ", ")
}
