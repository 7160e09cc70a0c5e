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
	var names []string
	var groups []group
	for _, p := range patterns {
		if p != Programs && !strings.HasPrefix(p, Programs+"/") {
			names = append(names, p)
			continue
		}
		more, err := r.groups(p)
		if err != nil {
			return 0, err
		}
		groups = append(groups, more...)
	}
	take := func(results ...Result) error {
		for _, result := range results {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !result.OK() && r.Exclusions.Whole(result.Package) == "" {
				failed++
			}
			if err := each(result); err != nil {
				return err
			}
		}
		return nil
	}
	if len(names) > 0 {
		if names, err = r.List(ctx, names...); err != nil {
			return 0, err
		}
	}
	for _, pkg := range names {
		if err := take(r.Package(ctx, pkg, cpus)...); err != nil {
			return failed, err
		}
	}
	for _, g := range groups {
		for _, n := range cpus {
			if err := take(r.programs(ctx, g, n)); err != nil {
				return failed, err
			}
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
	groups, err := r.groups(Programs)
	if err != nil {
		return err.Error() + "\n"
	}
	for _, g := range groups {
		all = append(all, g.name)
	}
	var names []string
	for _, pkg := range all {
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
