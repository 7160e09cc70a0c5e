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

// programTime bounds one program, in machine and all.
const programTime = 3 * time.Minute

// program is one of GOROOT/test.
type program struct {
	name string // below GOROOT/test, with slashes
	recipe
}

// isProgram tells whether a result is of a program of GOROOT/test.
func isProgram(pkg string) bool {
	return strings.HasPrefix(pkg, Programs+"/") && strings.HasSuffix(pkg, ".go")
}

// programs finds what a pattern stands for: Programs is all of them, a name below
// it a folder's, or one program.
func (r *Runner) programs(pattern string) ([]program, error) {
	all, err := runnable(filepath.Join(r.Tools.Root, "test"))
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(p program) bool {
		name := path.Join(Programs, p.name)
		return pattern != Programs && pattern != name && pattern != path.Dir(name)
	})
	if len(all) == 0 {
		return nil, pith.Errorf("%s is no folder and no program of GOROOT/test that is run", pattern)
	}
	return all, nil
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

// Program builds one program and runs it once for each count of CPUs. It passes
// if it ends with code 0 and prints what the file beside it with the suffix .out
// holds, or nothing.
func (r *Runner) program(ctx context.Context, p program, cpus []int) (results []Result) {
	i := slices.IndexFunc(r.Exclusions.Tests(Programs), func(e Exclusion) bool { return e.Test == p.name })
	img := filepath.Join(r.Dir, "program.img")
	defer os.Remove(img)
	var built error
	run := func(n int) string {
		ctx, cancel := context.WithTimeout(ctx, programTime)
		defer cancel()
		if _, err := os.Stat(img); err != nil && built == nil {
			built = r.prepare(ctx, p, img)
		}
		if built != nil {
			return built.Error()
		}
		return r.check(ctx, p, img, n)
	}
	for _, n := range cpus {
		result := Result{Package: path.Join(Programs, p.name), CPUs: n}
		start := time.Now()
		why := "it hangs"
		if i < 0 || !r.Exclusions.Tests(Programs)[i].Hangs {
			why = run(n)
		}
		switch {
		case why == "" && i >= 0:
			result.Passed, result.Wrong = 1, []string{p.name}
		case why == "":
			result.Passed = 1
		case i >= 0:
			result.Excluded = 1
		default:
			fmt.Fprintf(r.Log, "==== %s on %d CPUs: %s\n", p.name, n, why)
			result.Failed = []string{p.name}
		}
		result.Seconds = time.Since(start).Seconds()
		results = append(results, result)
	}
	return results
}

func (r *Runner) prepare(ctx context.Context, p program, img string) error {
	what, dir, err := r.lay(ctx, p)
	if err != nil {
		return err
	}
	return r.image(ctx, p, what, dir, img)
}

// check runs a program's image; it returns why it failed, or "".
func (r *Runner) check(ctx context.Context, p program, img string, cpus int) string {
	got, err := r.output(ctx, img, cpus, p.args)
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

// output is what an image prints.
func (r *Runner) output(ctx context.Context, img string, cpus int, args []string) ([]byte, error) {
	words := append([]string{"run", "--rm", "-m", "1G", "--cpus", fmt.Sprint(cpus), img, "--"}, args...)
	run := exec.CommandContext(ctx, r.Pith, words...)
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	run.WaitDelay = 10 * time.Second
	got, err := run.CombinedOutput()
	return bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")), err
}
