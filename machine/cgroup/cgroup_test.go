package cgroup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSettings writes the limits into a tree that stands for the host's, in
// both versions.
func TestSettings(t *testing.T) {
	for version, want := range map[int]map[string]string{
		1: {"memory/pith/web/memory.limit_in_bytes": "67108864", "cpu/pith/web/cpu.cfs_quota_us": "200000", "pids/pith/web/pids.max": "4096"},
		2: {"pith/web/memory.max": "67108864", "pith/web/cpu.max": "200000 100000", "pith/cgroup.subtree_control": "+memory +cpu +pids"},
	} {
		dir := t.TempDir()
		if version == 2 {
			write(t, filepath.Join(dir, "cgroup.controllers"), "memory cpu pids")
		}
		g := at(dir, "web")
		if g.v2 != (version == 2) {
			t.Fatalf("version %d is not recognised", version)
		}
		if err := g.Create(Limits{Memory: 64 << 20, CPUs: 2}); err != nil {
			t.Fatal(err)
		}
		if err := g.Join(4711); err != nil {
			t.Fatal(err)
		}
		for name, text := range want {
			got, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || string(got) != text {
				t.Errorf("version %d: %s holds %q, %v; want %q", version, name, got, err, text)
			}
		}
		events := filepath.Join(g.dir("memory"), map[int]string{1: "memory.oom_control", 2: "memory.events"}[version])
		write(t, events, "under_oom 0\noom_kill 0\n")
		if g.OutOfMemory() {
			t.Error("memory ran out without a kill")
		}
		write(t, events, "under_oom 0\noom_kill 1\n")
		if !g.OutOfMemory() {
			t.Error("a kill is not seen")
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestOnThisHost makes a group, puts itself nowhere, and takes it away.
func TestOnThisHost(t *testing.T) {
	if !Writable() {
		t.Skip("this user may not make control groups here")
	}
	g := At("test-of-pith")
	if err := g.Create(Limits{Memory: 64 << 20, CPUs: 1}); err != nil {
		t.Fatal(err)
	}
	if err := g.Remove(); err != nil {
		t.Fatal(err)
	}
	if err := g.Remove(); err != nil {
		t.Errorf("removing what is not there: %v", err)
	}
	left, err := filepath.Glob(root + "/*/" + parent + "/test-of-pith")
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %s, %v", strings.Join(left, " "), err)
	}
}
