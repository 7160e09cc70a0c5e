package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"pith"
)

// Problem is one mistake in a manifest.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line"`   // from 1
	Column int    `json:"column"` // from 1, in characters
	Text   string `json:"text"`   // one sentence
}

// Error writes a problem as compilers do.
func (p Problem) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
}

// Report is all that is wrong with a manifest, in the order of its lines.
type Report []Problem

// Error writes one line for each problem.
func (r Report) Error() string {
	lines := make([]string, len(r))
	for i, p := range r {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// spot is a place in the file.
type spot struct{ line, column int }

// report collects problems.
type report struct {
	file     string
	problems Report
	twice    int // of them, keys that stand twice
}

// unclear tells whether something is wrong that keeps the rest from being understood.
func (r *report) unclear() bool { return len(r.problems) > r.twice }

// add notes a problem; the same one at the same place only once.
func (r *report) add(at spot, format string, args ...any) {
	p := Problem{r.file, max(at.line, 1), max(at.column, 1), fmt.Sprintf(format, args...)}
	if !slices.Contains(r.problems, p) {
		r.problems = append(r.problems, p)
	}
}

// err is the whole report, nil where there is nothing in it.
func (r *report) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(a.Line-b.Line, a.Column-b.Column)
	})
	return pith.Errorf("%w", r.problems)
}
