package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pith"
)

// TestIsLinkedForPith: what is linked for Pith is known by its entry, symbols or
// none, as the go command strips the tests that it runs itself.
func TestIsLinkedForPith(t *testing.T) {
	dir := tree(t, map[string]string{"go.mod": gomod, "main.go": "package main\n\nimport \"os\"\n\nfunc main() { os.Exit(0) }\n"})
	tools, err := Prepare(t.Context(), Options{Dir: dir, Stack: pith.StackInet, Env: testEnv(t)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ldflags string
		want    bool
	}{
		{tools.LDFlags, true},
		{tools.LDFlags + " -s -w", true},
		{"-checklinkname=0 -s -w", false},
	} {
		file := filepath.Join(t.TempDir(), "linked")
		cmd := exec.CommandContext(t.Context(), tools.Go, "build", "-ldflags="+c.ldflags, "-o", file)
		cmd.Dir, cmd.Env = dir, append(tools.Env, "PWD="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := isLinkedForPith(file); got != c.want {
			t.Errorf("linked with %s: %t", c.ldflags, got)
		}
	}
	if isLinkedForPith(filepath.Join(dir, "main.go")) {
		t.Error("a source file is linked for Pith")
	}
}

// TestCoverFlags: a test that is built again covers what it covered, and what
// -coverpkg named is named again.
func TestCoverFlags(t *testing.T) {
	const covers = "testdeps.CoverMode = \"set\"\n\ttestdeps.CoverSelectedPackages = []string"
	profile := []string{"-test.coverprofile=c.out"}
	for _, c := range []struct {
		main string
		args []string
		want []string
	}{
		{covers + `{"example.com/a",}`, profile, []string{"-cover", "-covermode=set"}},
		{covers + `{"example.com/a","example.com/b",}`, profile, []string{"-cover", "-covermode=set", "-coverpkg=example.com/a,example.com/b"}},
		{covers + `{"example.com/b",}`, profile, []string{"-cover", "-covermode=set", "-coverpkg=example.com/b"}},
		{"", []string{"-test.gocoverdir=/x"}, []string{"-cover"}},
		{covers + `{"example.com/a",}`, []string{"-test.v"}, nil},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "_testmain.go"), []byte(c.main), 0o666); err != nil {
			t.Fatal(err)
		}
		if got := coverFlags(filepath.Join(dir, "a.test"), "example.com/a", c.args); !slices.Equal(got, c.want) {
			t.Errorf("%s with %q: %q", c.main, c.args, got)
		}
	}
}

// TestPrepareNamesake: tests of Pith's own checkout are linked with an image's kernel,
// and another module that has packages of its paths is refused at once.
func TestPrepareNamesake(t *testing.T) {
	dir := tree(t, checkout)
	tools, err := Prepare(t.Context(), Options{Dir: dir, Stack: pith.StackInet, Env: testEnv(t)})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), tools.Go, append(append([]string{"list"}, tools.Flags...), "./...")...)
	cmd.Dir, cmd.Env = dir, append(tools.Env, "PWD="+dir)
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "pith\npith/cmd\n" {
		t.Errorf("the go command sees %s: %v", out, err)
	}
	dir = tree(t, map[string]string{"go.mod": "module pith\n\ngo 1.26\n", "kernel/linux/x.go": "package linux\n"})
	if _, err := Prepare(t.Context(), Options{Dir: dir, Stack: pith.StackInet, Env: testEnv(t)}); pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), "package pith/kernel/linux is there twice") {
		t.Errorf("another module with a package of the kernel's: %v", err)
	}
}
