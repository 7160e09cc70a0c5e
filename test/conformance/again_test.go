package conformance

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pith/image"
)

// TestAgains: a test that is run again is not excluded as well, and its
// environment is a variable.
func TestAgains(t *testing.T) {
	x, err := ReadExclusions()
	if err != nil {
		t.Fatal(err)
	}
	for pkg, list := range agains {
		for _, a := range list {
			if slices.ContainsFunc(x.Tests(pkg), func(e Exclusion) bool { return e.Test == a.test }) {
				t.Errorf("%s %s is excluded too", pkg, a.test)
			}
			if name, value, ok := strings.Cut(a.env, "="); !ok || name == "" || value == "" {
				t.Errorf("%s %s has the environment %q", pkg, a.test, a.env)
			}
		}
	}
}

// TestRunAgain: each environment has one machine, which runs its tests and no
// others; one that doesn't pass there is a failure.
func TestRunAgain(t *testing.T) {
	dir := t.TempDir()
	pkgDir := filepath.Join(dir, "root", "src", "internal", "cpu")
	if err := os.MkdirAll(pkgDir, 0o777); err != nil {
		t.Fatal(err)
	}
	// The command stands for pith: it notes how it is called, and one of the
	// tests passes.
	command, calls := filepath.Join(dir, "pith"), filepath.Join(dir, "calls")
	script := "#!/bin/sh\necho \"$@\" >>" + calls + "\nprintf '\\026--- PASS: TestSSE3DebugOption (0.00s)\\nPASS\\n'\n"
	if err := os.WriteFile(command, []byte(script), 0o777); err != nil {
		t.Fatal(err)
	}
	r := &Runner{Tools: &image.Toolchain{Root: filepath.Join(dir, "root")}, Pith: command, Timeout: time.Minute, Log: t.Output()}
	var result Result
	r.runAgain(t.Context(), "internal/cpu", "cpu.test", 1, &result)
	if result.Passed != 1 || !slices.Equal(result.Failed, []string{"TestDisableAllCapabilities"}) {
		t.Errorf("%+v", result)
	}
	noted, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(noted)), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d machines:\n%s", len(lines), noted)
	}
	for i, parts := range [][]string{
		{"-e GODEBUG=cpu.all=off", "-test.run=^TestAllCapabilitiesDisabled$"},
		{"-e GODEBUG=cpu.sse3=off", "-test.run=^TestSSE3DebugOption$"},
	} {
		for _, part := range parts {
			if !strings.Contains(lines[i], part) {
				t.Errorf("machine %d has no %s: %s", i, part, lines[i])
			}
		}
	}
}
