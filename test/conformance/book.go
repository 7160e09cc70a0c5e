package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// job is a package or program that is to be run.
type job struct {
	name  string
	cpus  []int // the counts that are left
	build func() (file string, err error)
	run   func(file string, err error, cpus []int) []Result
	file  string // what build returned
	err   error
}

// All runs packages and programs, one at a time, and calls each with every result;
// the next one is built meanwhile. What done says is done is left out. It returns how
// many runs failed. The error is each's, or that of a ctx that ended.
func (r *Runner) All(ctx context.Context, patterns []string, cpus []int, done func(pkg string, cpus int) bool, each func(Result) error) (failed int, err error) {
	packages, programs, err := r.find(ctx, patterns)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var jobs []job
	for _, pkg := range packages {
		jobs = append(jobs, r.packageJob(ctx, pkg))
	}
	for i, p := range programs {
		jobs = append(jobs, r.programJob(ctx, p, i))
	}
	for j := range built(ctx, jobs, cpus, done) {
		results := j.run(j.file, j.err, j.cpus)
		os.Remove(j.file)
		for _, result := range results {
			if ctx.Err() != nil {
				return failed, ctx.Err()
			}
			if !result.OK() && r.Exclusions.Whole(result.Package) == "" {
				failed++
			}
			if err := each(result); err != nil {
				return failed, err
			}
		}
	}
	return failed, ctx.Err()
}

// built builds what is left of the jobs, one ahead of who takes them.
func built(ctx context.Context, jobs []job, cpus []int, done func(string, int) bool) <-chan job {
	ready := make(chan job)
	go func() {
		defer close(ready)
		for _, j := range jobs {
			j.cpus = slices.DeleteFunc(slices.Clone(cpus), func(n int) bool { return done(j.name, n) })
			if len(j.cpus) == 0 {
				continue
			}
			j.file, j.err = j.build()
			select {
			case ready <- j:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ready
}

// find sorts what patterns stand for, all that there is by default, into packages
// and programs.
func (r *Runner) find(ctx context.Context, patterns []string) (packages []string, all []program, err error) {
	if len(patterns) == 0 {
		patterns = []string{"std", Programs}
	}
	var names, programs []string
	for _, p := range patterns {
		if p == Programs || strings.HasPrefix(p, Programs+"/") {
			programs = append(programs, p)
		} else {
			names = append(names, p)
		}
	}
	if all, err = r.choose(programs); err != nil {
		return nil, nil, err
	}
	if len(names) > 0 {
		packages, err = r.List(ctx, names...)
	}
	return packages, all, err
}

// Book keeps results from one run to the next.
type Book struct {
	path    string
	Results map[string]Result // by Result.key
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
	b.Results[r.key()] = r
	if b.path == "" {
		return nil
	}
	var s bytes.Buffer
	for i, k := range slices.Sorted(maps.Keys(b.Results)) {
		data, err := json.Marshal(b.Results[k])
		if err != nil {
			return err
		}
		fmt.Fprintf(&s, "%s\n%q: %s", [...]string{"{", ","}[min(i, 1)], k, data)
	}
	s.WriteString("\n}\n")
	return replaceFile(b.path, s.Bytes())
}

// Done tells whether the book has a good result of a package, with or without
// -short as it is wanted now.
func (b *Book) Done(pkg string, cpus int, long bool) bool {
	r, ok := b.Results[Result{Package: pkg, CPUs: cpus, Long: long && !isProgram(pkg)}.key()]
	return ok && r.OK() && len(r.Wrong) == 0
}

// key is what a result is kept by: one with -short and one without are two.
func (result Result) key() string {
	key := fmt.Sprint(result.Package, " ", result.CPUs)
	if result.Long {
		key += " long"
	}
	return key
}

// replaceFile writes a file so that an interruption leaves the old one or the new
// one.
func replaceFile(name string, data []byte) error {
	if err := os.WriteFile(name+".new", data, 0o644); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
