package test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// slice are packages of the standard library that tell much in little time;
// make conformance runs all of them.
var slice = []string{
	"sync", "context", "io", "io/fs", "os", "os/signal", "path/filepath", "net/textproto", "internal/poll", "goroot/test/chan/sieve1.go", "goroot/test/ken/chan.go", "goroot/test/nilptr.go", "goroot/test/fixedbugs/bug248.go",
}

// TestConformance: Go's own tests pass inside machines, but for those that are
// listed.
func TestConformance(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command, whose tests these are")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, append([]string{"test", "std", "--cpus", "2"}, slice...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, pkg := range slice {
		if !strings.Contains(string(out), pkg) {
			t.Errorf("%s was not run", pkg)
		}
	}
	if strings.Contains(string(out), "listed but passed") {
		t.Errorf("test/conformance/exclusions.txt lists tests that pass:\n%s", out)
	}
}

// TestCoverage: profiles of a test come out of the machine, called either way.
func TestCoverage(t *testing.T) {
	dir := goModule(t)
	for i, args := range [][]string{{command, "test"}, {"go", "test", "-exec", command + " run"}} {
		file := filepath.Join(t.TempDir(), "c.out")
		args = append(args, "-coverpkg=./...", "-coverprofile="+file, "./...")
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		cover := exec.CommandContext(t.Context(), "go", "tool", "cover", "-func="+file)
		cover.Dir = dir
		got, err := cover.CombinedOutput()
		if !strings.Contains(string(got), "100.0%") {
			t.Errorf("%d: no profile in %s: %v\n%s", i, file, err, got)
		}
	}
}
