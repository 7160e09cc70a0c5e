// Package conformance runs Go's own tests inside machines: the test binaries of
// the standard library's packages, and the programs of GOROOT/test that say
// "// run". It knows which tests can't pass there and why (exclusions.txt), and
// writes what it measured to docs/conformance.md.
//
// It relies on a Go installation whose sources are there, on the builder
// (package image) for the go command's settings, and on the pith command to run
// a test binary. A test that fails and is not listed fails the run; a listed one
// that passes is reported.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"pith/image"
)

// Runner runs packages, one at a time.
type Runner struct {
	Tools      *image.Toolchain
	Pith       string // the pith command
	Exclusions *Exclusions
	Short      bool          // -test.short
	Timeout    time.Duration // of one package or program on one count of CPUs, and of building a program
	Log        io.Writer     // what the tests print where one fails; one line a package
	Dir        string        // for binaries, removed by the caller

	machines sync.Mutex // one at a time
}

// Result is what one package did on one count of CPUs.
type Result struct {
	Package  string
	CPUs     int
	Passed   int
	Skipped  int      // by the tests themselves
	Excluded int      // tests that are listed and did not pass
	Failed   []string `json:",omitempty"` // tests that failed or did not end, and are not listed
	Wrong    []string `json:",omitempty"` // listed tests that passed
	Seconds  float64
	Long     bool   `json:",omitempty"` // without -short
	Problem  string `json:",omitempty"` // why nothing could be run, "" where it could
}

// OK tells whether the run was as the list says.
func (r Result) OK() bool { return len(r.Failed) == 0 && r.Problem == "" }

func (r Result) String() string {
	s := fmt.Sprintf("%-32s %d CPU  %4d passed %3d skipped %3d excluded  %.0f s", r.Package, r.CPUs, r.Passed, r.Skipped, r.Excluded, r.Seconds)
	if len(r.Failed) > 0 {
		s += "  FAILED: " + strings.Join(r.Failed, " ")
	}
	if len(r.Wrong) > 0 {
		s += "  listed but passed: " + strings.Join(r.Wrong, " ")
	}
	if r.Problem != "" {
		s += "  " + r.Problem
	}
	return s
}

// List names the standard library's packages that have tests.
func (r *Runner) List(ctx context.Context, patterns ...string) ([]string, error) {
	cmd := exec.CommandContext(ctx, r.Tools.Go, append([]string{"list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}"}, patterns...)...)
	cmd.Env = append(os.Environ(), "GOROOT="+r.Tools.Root, "CGO_ENABLED=0", "GOFLAGS=")
	cmd.Dir = r.Tools.Root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the standard library: %w", err)
	}
	return strings.Fields(string(out)), nil
}

// packageJob builds a package's tests and runs them once for each count of CPUs.
func (r *Runner) packageJob(ctx context.Context, pkg string) job {
	whole := r.Exclusions.Whole(pkg)
	return job{
		name: pkg,
		build: func() (string, error) {
			if whole != "" {
				return "", nil
			}
			return r.build(ctx, pkg)
		},
		run: func(binary string, err error, cpus []int) (results []Result) {
			if err != nil {
				fmt.Fprintf(r.Log, "%v\n", err)
			}
			for _, n := range cpus {
				switch {
				case whole != "":
					results = append(results, Result{Package: pkg, CPUs: n, Problem: "excluded: " + whole})
				case err != nil:
					results = append(results, Result{Package: pkg, CPUs: n, Problem: "does not build", Failed: []string{"(build)"}})
				default:
					results = append(results, r.run(ctx, pkg, binary, n))
				}
			}
			return results
		},
	}
}

// run runs a binary twice: what is not listed, and what is.
func (r *Runner) run(ctx context.Context, pkg, binary string, cpus int) Result {
	result := Result{Package: pkg, CPUs: cpus, Long: !r.Short}
	listed := r.Exclusions.Tests(pkg)
	start := time.Now()
	var args []string
	skipped := slices.Clone(listed)
	for _, a := range agains[pkg] {
		skipped = append(skipped, Exclusion{Test: a.test})
	}
	if len(skipped) > 0 {
		args = append(args, "-test.skip="+pattern(skipped))
	}
	seen, problem := r.machine(ctx, pkg, binary, cpus, environment[pkg], args)
	result.count(seen)
	if !seen.ended && len(result.Failed) == 0 {
		result.Failed = []string{"(the machine)"}
	}
	if !result.OK() {
		fmt.Fprintf(r.Log, "==== %s on %d CPUs\n%s%s", pkg, cpus, seen.failures(), problem)
	}
	r.runAgain(ctx, pkg, binary, cpus, &result)
	if own := withoutHangs(listed); len(own) > 0 && ctx.Err() == nil {
		seen, _ := r.machine(ctx, pkg, binary, cpus, environment[pkg], []string{"-test.run=" + pattern(own)})
		result.exclude(own, seen)
	}
	result.Excluded += len(listed) - len(withoutHangs(listed))
	result.Seconds = time.Since(start).Seconds()
	return result
}

// exclude counts listed tests by how they ended.
func (result *Result) exclude(listed []Exclusion, seen *events) {
	for _, e := range listed {
		switch state := seen.state[e.Test]; {
		case state == "PASS" && e.Kind == "internet":
			result.Passed++
		case state == "PASS":
			result.Wrong = append(result.Wrong, e.Test)
		case state == "SKIP":
			result.Skipped++
		default:
			result.Excluded++
		}
	}
}

// count sorts the top-level tests by how they ended.
func (result *Result) count(seen *events) {
	for _, name := range seen.order {
		switch seen.state[name] {
		case "PASS":
			result.Passed++
		case "SKIP":
			result.Skipped++
		default:
			if sub := seen.failedBelow(name); len(sub) > 0 {
				result.Failed = append(result.Failed, sub...)
			} else {
				result.Failed = append(result.Failed, name)
			}
		}
	}
}

// memory is what machines for packages need that need more than pith run gives a
// test. A test of package net keeps a file of 2 GiB in /tmp.
var memory = map[string]string{"net": "6G", "runtime": "4G"}

// environment is what packages' tests need that start themselves again to have it.
var environment = map[string]string{
	"crypto/internal/fips140only": "GODEBUG=fips140=only",
	"crypto/internal/fips140test": "GODEBUG=fips140=on",
}

// machine runs a test binary in a machine of its own, with a variable in its
// environment unless env is "". The text says why none could be started.
func (r *Runner) machine(ctx context.Context, pkg, binary string, cpus int, env string, args []string) (*events, string) {
	r.machines.Lock()
	defer r.machines.Unlock()
	ctx, cancel := context.WithTimeout(ctx, r.Timeout+30*time.Second)
	defer cancel()
	own := []string{"run", "--cpus", fmt.Sprint(cpus)}
	if m := memory[pkg]; m != "" {
		own = append(own, "-m", m)
	}
	if env != "" {
		own = append(own, "-e", env)
	}
	args = append(append(own, binary, "-test.paniconexit0", "-test.v=test2json", "-test.timeout="+r.Timeout.String()), args...)
	if r.Short {
		args = append(args, "-test.short")
	}
	cmd := exec.CommandContext(ctx, r.Pith, args...)
	cmd.Dir = filepath.Join(r.Tools.Root, "src", filepath.FromSlash(pkg))
	cmd.Env = append(os.Environ(), "PWD="+cmd.Dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	seen := newEvents()
	cmd.Stdout, cmd.Stderr = seen, seen
	err := cmd.Run()
	seen.flush()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return seen, fmt.Sprintf("pith run: %v\n", err)
	}
	seen.ended = seen.ended || err == nil
	return seen, ""
}
