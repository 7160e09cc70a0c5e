package test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTakeProfile: each kind of profile of a program that imports no profiler is one
// that Go's own tools read.
func TestTakeProfile(t *testing.T) {
	dir := t.TempDir()
	detached(t, "profiled", "--profile", "./guest", "--", "busy")
	take := func(name string, args ...string) string {
		file := filepath.Join(dir, name)
		pith(t, append([]string{"profile", "profiled", "-o", file}, args...)...)
		return file
	}
	top := func(file, want string) {
		t.Helper()
		out, err := exec.Command("go", "tool", "pprof", "-top", file).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s does not show %s: %v\n%s", filepath.Base(file), want, err, out)
		}
	}
	top(take("cpu", "--cpu", "2s"), "main.burn")
	top(take("heap", "--heap"), "inuse_space")
	top(take("goroutine", "--goroutine"), "runtime.gopark")
	out, err := exec.Command("go", "tool", "trace", "-d=parsed", take("trace", "--trace", "1s")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "StateTransition") {
		t.Errorf("the trace: %v\n%.2000s", err, out)
	}
}

// TestNoProfile: an image without the agent says how to get one.
func TestNoProfile(t *testing.T) {
	detached(t, "unprofiled", guest, "--", "terminate")
	out, err := exec.Command(command, "profile", "unprofiled", "--heap", "-o", filepath.Join(t.TempDir(), "x")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "pith run --profile") {
		t.Errorf("%v: %s", err, out)
	}
}
