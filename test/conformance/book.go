package conformance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// All runs packages and calls each with every result. It returns how many runs
// failed. The error is each's, or that of a ctx that ended.
func (r *Runner) All(ctx context.Context, patterns []string, cpus []int, each func(Result) error) (failed int, err error) {
	if len(patterns) == 0 {
		patterns = []string{"std", Programs}
	}
	var packages []string
	var only []string
	programs := false
	patterns = slices.DeleteFunc(slices.Clone(patterns), func(p string) bool {
		name, single := strings.CutPrefix(p, Programs+"/")
		if single {
			only = append(only, name)
		}
		programs = programs || p == Programs || single
		return p == Programs || single
	})
	if len(patterns) > 0 {
		if packages, err = r.List(ctx, patterns...); err != nil {
			return 0, err
		}
	}
	for _, pkg := range packages {
		for _, result := range r.Package(ctx, pkg, cpus) {
			if ctx.Err() != nil {
				return failed, ctx.Err()
			}
			if !result.OK() && r.Exclusions.Whole(pkg) == "" {
				failed++
			}
			if err := each(result); err != nil {
				return failed, err
			}
		}
	}
	if !programs {
		return failed, nil
	}
	for _, n := range cpus {
		result, err := r.Programs(ctx, only, n)
		if err != nil {
			return failed, err
		}
		if !result.OK() {
			failed++
		}
		if len(only) > 0 {
			result.Package += "/" + strings.Join(only, " "+Programs+"/")
		}
		if err := each(result); err != nil {
			return failed, err
		}
	}
	return failed, nil
}

// Book keeps results from one run to the next.
type Book struct {
	path    string
	Results map[string]Result // by package and count of CPUs
}

// OpenBook reads the results that a file has; "" is a book that isn't kept.
func OpenBook(path string) (*Book, error) {
	b := &Book{path: path, Results: map[string]Result{}}
	if path == "" {
		return b, nil
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &b.Results); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// Add notes a result, in place of an older one of the same package.
func (b *Book) Add(r Result) error {
	b.Results[fmt.Sprint(r.Package, " ", r.CPUs)] = r
	if b.path == "" {
		return nil
	}
	data, err := json.MarshalIndent(b.Results, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(b.path, append(data, '\n'), 0o644)
}

// Report is docs/conformance.md: the counts by package, and why tests are
// excluded.
func (b *Book) Report(r *Runner) string {
	var s strings.Builder
	results := b.sorted()
	passed, skipped, excluded, failed := 0, 0, 0, 0
	for _, x := range results {
		passed, skipped, excluded, failed = passed+x.Passed, skipped+x.Skipped, excluded+x.Excluded, failed+len(x.Failed)
	}
	mode := "with -short"
	if !r.Short {
		mode = "without -short"
	}
	fmt.Fprintf(&s, "# Go's own tests\n\nWritten by `make conformance`; %s, %s, each package in a machine of its own.\n", r.Tools.Version, mode)
	fmt.Fprintf(&s, "A test counts once for each count of CPUs. Skipped: by the test itself, which says why when\nit runs.\n\nIn all: %d passed, %d skipped, %d excluded, %d failed.\n\n", passed, skipped, excluded, failed)
	s.WriteString("| package | CPUs | passed | skipped | excluded | failed | seconds |\n|---|---|---|---|---|---|---|\n")
	for _, x := range results {
		note := fmt.Sprint(len(x.Failed))
		if len(x.Failed) > 0 {
			note += ": " + strings.Join(x.Failed, ", ")
		}
		if x.Problem != "" {
			note = x.Problem
		}
		fmt.Fprintf(&s, "| %s | %d | %d | %d | %d | %s | %.0f |\n", x.Package, x.CPUs, x.Passed, x.Skipped, x.Excluded, note, x.Seconds)
	}
	s.WriteString("\n## Not run\n\n")
	s.WriteString(b.missing(r))
	s.WriteString("\n## Excluded, and why\n")
	for _, kind := range []string{"kernel", "forks", "cgo", "root", "host", "time", "native"} {
		r.Exclusions.describe(&s, kind)
	}
	return s.String()
}

// missing names the packages with tests that there is no result of.
func (b *Book) missing(r *Runner) string {
	all, err := r.List(context.Background(), "std")
	if err != nil {
		return err.Error() + "\n"
	}
	var names []string
	for _, pkg := range append(all, Programs) {
		if !slices.ContainsFunc(b.sorted(), func(x Result) bool { return x.Package == pkg }) {
			names = append(names, pkg)
		}
	}
	if len(names) == 0 {
		return "Nothing.\n"
	}
	return strings.Join(names, ", ") + "\n"
}

func (b *Book) sorted() (results []Result) {
	for _, x := range b.Results {
		results = append(results, x)
	}
	slices.SortFunc(results, func(x, y Result) int {
		return cmp.Or(strings.Compare(x.Package, y.Package), cmp.Compare(x.CPUs, y.CPUs))
	})
	return results
}

// describe writes the exclusions of one kind.
func (x *Exclusions) describe(s *strings.Builder, kind string) {
	first := true
	for _, e := range x.all {
		if e.Kind != kind {
			continue
		}
		if first {
			fmt.Fprintf(s, "\n### %s: %s\n\n", kind, kinds[kind])
			first = false
		}
		fmt.Fprintf(s, "- %s %s: %s\n", e.Package, e.Test, e.Reason)
	}
}
