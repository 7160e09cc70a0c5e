package conformance

import (
	"bytes"
	"context"
	"fmt"
	"go/build/constraint"
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

// group is programs that are counted together: those of a folder.
type group struct {
	name  string   // goroot/test, goroot/test/ken, or one program's
	files []string // below GOROOT/test
}

// groups finds the programs that a pattern stands for: Programs is all of them,
// a name below it a folder's, or one program. They are the single-file programs
// of GOROOT/test, and of the folders in it, whose first line is "// run" without
// arguments.
func (r *Runner) groups(pattern string) ([]group, error) {
	files, err := runnable(filepath.Join(r.Tools.Root, "test"))
	if err != nil {
		return nil, err
	}
	if single := strings.TrimPrefix(pattern, Programs+"/"); slices.Contains(files, single) {
		return []group{{pattern, []string{single}}}, nil
	}
	var all []group
	for _, file := range files {
		name := path.Join(Programs, path.Dir(file))
		if pattern != Programs && pattern != name {
			continue
		}
		if len(all) == 0 || all[len(all)-1].name != name {
			all = append(all, group{name: name})
		}
		g := &all[len(all)-1]
		g.files = append(g.files, file)
	}
	if len(all) == 0 {
		return nil, pith.Errorf("%s is no folder and no program of GOROOT/test that says // run", pattern)
	}
	return all, nil
}

// programs runs a group. A program passes if it ends with code 0 and prints what
// the file beside it with the suffix .out holds, or nothing.
func (r *Runner) programs(ctx context.Context, g group, cpus int) Result {
	result := Result{Package: g.name, CPUs: cpus}
	start := time.Now()
	root := filepath.Join(r.Tools.Root, "test")
	for _, name := range g.files {
		if ctx.Err() != nil {
			break
		}
		listed := slices.ContainsFunc(r.Exclusions.Tests(Programs), func(e Exclusion) bool { return e.Test == name })
		why := r.program(ctx, root, name, cpus)
		switch {
		case why == "" && listed:
			result.Wrong = append(result.Wrong, name)
			result.Passed++
		case why == "":
			result.Passed++
		case listed:
			result.Excluded++
		default:
			fmt.Fprintf(r.Log, "==== %s on %d CPUs: %s\n", name, cpus, why)
			result.Failed = append(result.Failed, name)
		}
	}
	result.Seconds = time.Since(start).Seconds()
	return result
}

// runnable lists the programs by their paths below root, folder by folder.
func runnable(root string) (names []string, err error) {
	for _, glob := range []string{"*.go", "*/*.go"} {
		files, err := filepath.Glob(filepath.Join(root, glob))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			if wanted(string(text)) {
				name, err := filepath.Rel(root, file)
				if err != nil {
					return nil, err
				}
				names = append(names, filepath.ToSlash(name))
			}
		}
	}
	return names, nil
}

// wanted tells whether a program is to be run as it is, on linux/amd64 without
// cgo and with the ordinary compiler.
func wanted(text string) bool {
	head, rest, _ := strings.Cut(text, "\n")
	if strings.TrimSpace(head) != "// run" {
		return false
	}
	for line := range strings.Lines(rest) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "package ") {
			return true
		}
		if !constraint.IsGoBuild(line) {
			continue
		}
		x, err := constraint.Parse(line)
		return err == nil && x.Eval(func(tag string) bool {
			return slices.Contains([]string{"linux", "unix", "amd64", "gc"}, tag) || strings.HasPrefix(tag, "go1.")
		})
	}
	return true
}

// program builds and runs one; it returns why it failed, or "".
func (r *Runner) program(ctx context.Context, root, name string, cpus int) string {
	ctx, cancel := context.WithTimeout(ctx, programTime)
	defer cancel()
	binary := filepath.Join(r.Dir, "program.img")
	defer os.Remove(binary)
	dir := filepath.Join(root, filepath.Dir(name))
	build := exec.CommandContext(ctx, r.Pith, "build", "-o", binary, "./"+filepath.Base(name))
	build.Dir, build.Env = dir, append(os.Environ(), "PWD="+dir)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Sprintf("it does not build: %v\n%s", err, out)
	}
	run := exec.CommandContext(ctx, r.Pith, "run", "--rm", "-m", "1G", "--cpus", fmt.Sprint(cpus), binary)
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	run.WaitDelay = 10 * time.Second
	got, err := run.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%v\n%s", err, got)
	}
	want, err := os.ReadFile(strings.TrimSuffix(filepath.Join(root, name), ".go") + ".out")
	if err != nil {
		want = nil // it prints nothing
	}
	got = bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n"))
	if string(got) != string(want) {
		return fmt.Sprintf("it prints\n%s\ninstead of\n%s", got, want)
	}
	return ""
}
