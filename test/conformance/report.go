package conformance

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
)

// head begins docs/conformance.md.
const head = `# Go's own tests

Written by ` + "`make conformance`" + `; %s. Each package has a machine of its own, and so has each program
of GOROOT/test. A test counts once for each count of CPUs. Skipped: by the test itself, which
says why when it runs. Excluded: listed below with its reason, run all the same unless it takes
others with it, and reported when it passes. Packages ran with -short unless the table says long.
The results are kept in test/conformance/results.json: those of packages may be of several runs.

`

// Report is docs/conformance.md: the counts by package, and why tests are
// excluded.
func (b *Book) Report(ctx context.Context, r *Runner) (string, error) {
	var s strings.Builder
	results := b.rows()
	fmt.Fprintf(&s, head, r.Tools.Version)
	s.WriteString("| CPUs | packages and folders | passed | skipped | excluded | failed | minutes |\n|---|---|---|---|---|---|---|\n")
	for _, cpus := range counts(results) {
		total(&s, results, cpus, false)
		total(&s, results, cpus, true)
	}
	s.WriteString("\n## By package\n\n| package | CPUs | passed | skipped | excluded | failed | seconds |\n|---|---|---|---|---|---|---|\n")
	for _, x := range results {
		name, note := x.Package, fmt.Sprint(len(x.Failed))
		if x.Long {
			name += " (long)"
		}
		if len(x.Failed) > 0 {
			note += ": " + strings.Join(x.Failed, ", ")
		}
		if x.Problem != "" {
			note = x.Problem
		}
		fmt.Fprintf(&s, "| %s | %d | %d | %d | %d | %s | %.0f |\n", name, x.CPUs, x.Passed, x.Skipped, x.Excluded, note, x.Seconds)
	}
	s.WriteString("\n## Not run\n\n")
	if err := b.missing(ctx, r, &s); err != nil {
		return "", err
	}
	s.WriteString("\n## Excluded, and why\n")
	for _, kind := range []string{"kernel", "forks", "cgo", "root", "internet", "time", "native"} {
		r.Exclusions.describe(&s, kind)
	}
	return s.String(), nil
}

// total writes the sum of the results with or without -short on one count of CPUs,
// if there are any.
func total(s *strings.Builder, results []Result, cpus int, long bool) {
	rows, all := 0, Result{}
	for _, x := range results {
		if x.CPUs == cpus && x.Long == long {
			rows++
			all.add(x)
		}
	}
	name := fmt.Sprint(cpus)
	if long {
		name += ", long"
	}
	if rows > 0 {
		fmt.Fprintf(s, "| %s | %d | %d | %d | %d | %d | %.0f |\n", name, rows, all.Passed, all.Skipped, all.Excluded, len(all.Failed), all.Seconds/60)
	}
}

// add counts another result in.
func (result *Result) add(x Result) {
	result.Passed += x.Passed
	result.Skipped += x.Skipped
	result.Excluded += x.Excluded
	result.Failed = append(result.Failed, x.Failed...)
	result.Seconds += x.Seconds
}

// rows are the results in order, those of programs by folder.
func (b *Book) rows() (rows []Result) {
	folders := map[string]Result{}
	for _, x := range b.Results {
		if !isProgram(x.Package) {
			rows = append(rows, x)
			continue
		}
		x.Package = path.Dir(x.Package)
		sum := folders[x.key()]
		sum.Package, sum.CPUs = x.Package, x.CPUs
		sum.add(x)
		folders[x.key()] = sum
	}
	for _, sum := range folders {
		slices.Sort(sum.Failed)
		rows = append(rows, sum)
	}
	slices.SortFunc(rows, func(x, y Result) int {
		return cmp.Or(strings.Compare(x.Package, y.Package), strings.Compare(x.key(), y.key()))
	})
	return rows
}

func counts(results []Result) (cpus []int) {
	for _, x := range results {
		cpus = append(cpus, x.CPUs)
	}
	slices.Sort(cpus)
	return slices.Compact(cpus)
}

// missing names the packages that there is no result of, and counts the programs,
// by folder.
func (b *Book) missing(ctx context.Context, r *Runner, s *strings.Builder) error {
	packages, programs, err := r.find(ctx, nil)
	if err != nil {
		return err
	}
	nothing := true
	for _, cpus := range counts(b.rows()) {
		var names []string
		for _, pkg := range packages {
			if _, ok := b.Results[Result{Package: pkg, CPUs: cpus}.key()]; !ok {
				names = append(names, pkg)
			}
		}
		names = append(names, b.missingPrograms(programs, cpus)...)
		if len(names) > 0 {
			nothing = false
			fmt.Fprintf(s, "On %d CPUs: %s.\n\n", cpus, strings.Join(names, ", "))
		}
	}
	if nothing {
		s.WriteString("Nothing is left out.\n")
	}
	return nil
}

func (b *Book) missingPrograms(programs []program, cpus int) (lines []string) {
	var folders []string
	all, left := map[string]int{}, map[string]int{}
	for _, p := range programs {
		name := path.Join(Programs, p.name)
		folder := path.Dir(name)
		if all[folder] == 0 {
			folders = append(folders, folder)
		}
		all[folder]++
		if _, ok := b.Results[Result{Package: name, CPUs: cpus}.key()]; !ok {
			left[folder]++
		}
	}
	for _, f := range folders {
		if left[f] > 0 {
			lines = append(lines, fmt.Sprintf("%d of %d programs in %s", left[f], all[f], f))
		}
	}
	return lines
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
