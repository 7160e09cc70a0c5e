package conformance

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pith"
)

// Programs stands for the programs of GOROOT/test in a list of packages.
const Programs = "goroot/test"

// program is one of GOROOT/test.
type program struct {
	name string // below GOROOT/test, with slashes
	recipe
}

// isProgram tells whether a result is of a program of GOROOT/test.
func isProgram(pkg string) bool {
	return strings.HasPrefix(pkg, Programs+"/") && strings.HasSuffix(pkg, ".go")
}

// choose finds what patterns stand for: Programs is all of them, a name below it a
// folder's, or one program.
func (r *Runner) choose(patterns []string) (chosen []program, err error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	all, err := runnable(filepath.Join(r.Tools.Root, "test"))
	if err != nil {
		return nil, err
	}
	for _, pattern := range patterns {
		before := len(chosen)
		for _, p := range all {
			name := path.Join(Programs, p.name)
			if pattern == Programs || pattern == name || pattern == path.Dir(name) {
				chosen = append(chosen, p)
			}
		}
		if len(chosen) == before {
			return nil, pith.Errorf("%s is no folder and no program of GOROOT/test that is run", pattern)
		}
	}
	return chosen, nil
}

// runnable lists the programs in root and in the folders in it.
func runnable(root string) (all []program, err error) {
	for _, glob := range []string{"*.go", "*/*.go", "*/*/*.go"} {
		files, err := filepath.Glob(filepath.Join(root, glob))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			name, err := filepath.Rel(root, file)
			if err != nil {
				return nil, err
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			if recipe, ok := parseRecipe(string(text)); ok && filepath.Ext(filepath.Dir(file)) != ".dir" {
				all = append(all, program{filepath.ToSlash(name), recipe})
			}
		}
	}
	return all, nil
}

// programJob builds a program and runs it once for each count of CPUs. It passes
// if it ends with code 0 and prints what the file beside it with the suffix .out
// holds, or nothing.
func (r *Runner) programJob(ctx context.Context, p program, number int) job {
	listed := r.Exclusions.Tests(Programs)
	listed = slices.DeleteFunc(listed, func(e Exclusion) bool { return e.Test != p.name })
	hangs := len(listed) > 0 && listed[0].Hangs
	return job{
		name: path.Join(Programs, p.name),
		build: func() (string, error) {
			if hangs {
				return "", nil
			}
			img := filepath.Join(r.Dir, fmt.Sprint("program", number, ".img"))
			return img, r.prepare(ctx, p, img)
		},
		run: func(img string, err error, cpus []int) (results []Result) {
			for _, n := range cpus {
				start := time.Now()
				why := "it hangs"
				switch {
				case err != nil:
					why = err.Error()
				case !hangs:
					why = r.check(ctx, p, img, n)
				}
				result := r.judge(p, n, why, len(listed) > 0)
				result.Seconds = time.Since(start).Seconds()
				results = append(results, result)
			}
			return results
		},
	}
}

// judge makes the result of why a program failed, or "".
func (r *Runner) judge(p program, cpus int, why string, listed bool) Result {
	result := Result{Package: path.Join(Programs, p.name), CPUs: cpus}
	switch {
	case why == "" && listed:
		result.Passed, result.Wrong = 1, []string{p.name}
	case why == "":
		result.Passed = 1
	case listed:
		result.Excluded = 1
	default:
		fmt.Fprintf(r.Log, "==== %s on %d CPUs: %s\n", p.name, cpus, why)
		result.Failed = []string{p.name}
	}
	return result
}

// prepare lays a program out and builds it.
func (r *Runner) prepare(ctx context.Context, p program, img string) error {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	what, dir, err := r.lay(ctx, p)
	if err != nil {
		return err
	}
	return r.image(ctx, p, what, dir, img)
}

// check runs a program's image; it returns why it failed, or "".
func (r *Runner) check(ctx context.Context, p program, img string, cpus int) string {
	got, err := r.output(ctx, img, cpus, r.needs(p), p.args)
	if err != nil {
		return fmt.Sprintf("%v\n%s", err, got)
	}
	name := filepath.Join(r.Tools.Root, "test", filepath.FromSlash(p.name))
	want, err := os.ReadFile(strings.TrimSuffix(name, ".go") + ".out")
	if err != nil {
		want = nil // it prints nothing
	}
	if !bytes.Equal(got, want) {
		return fmt.Sprintf("it prints\n%s\ninstead of\n%s", got, want)
	}
	return ""
}

// needs are flags of pith run for a program that reads the Go installation.
func (r *Runner) needs(p program) (flags []string) {
	if p.name != "winbatch.go" {
		return nil
	}
	flags = append(flags, "-e", "GOROOT="+r.Tools.Root)
	batch, err := filepath.Glob(filepath.Join(r.Tools.Root, "src", "*.bat"))
	if err != nil {
		return nil
	}
	for _, file := range batch {
		flags = append(flags, "--file", file+":"+file)
	}
	return flags
}

// output is what an image prints; flags are pith run's besides.
func (r *Runner) output(ctx context.Context, img string, cpus int, flags, args []string) ([]byte, error) {
	words := []string{"run", "--rm", "-m", "1G", "-e", "PATH=/usr/bin:/bin", "--cpus", fmt.Sprint(cpus)}
	words = slices.Concat(words, flags, []string{img, "--"}, args)
	r.machines.Lock()
	defer r.machines.Unlock()
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	run := exec.CommandContext(ctx, r.Pith, words...)
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	run.WaitDelay = 10 * time.Second
	got, err := run.CombinedOutput()
	return bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")), err
}
