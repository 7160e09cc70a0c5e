package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestSeparate(t *testing.T) {
	for _, c := range []struct{ args, want []string }{
		{[]string{"run", "x.test", "-test.v", "-test.run=A"}, []string{"run", "x.test", "--", "-test.v", "-test.run=A"}},
		{[]string{"run", "--cpus", "2", "x.test", "-test.v"}, []string{"run", "--cpus", "2", "x.test", "--", "-test.v"}},
		{[]string{"run", "x", "--", "-test.v"}, []string{"run", "x", "--", "-test.v"}},
		{[]string{"run", "x", "-p", "80:80"}, []string{"run", "x", "-p", "80:80"}},
		{[]string{"ps", "-test.v"}, []string{"ps", "-test.v"}},
		{nil, nil},
	} {
		if got := separate(c.args); !slices.Equal(got, c.want) {
			t.Errorf("%q becomes %q, want %q", c.args, got, c.want)
		}
	}
}

func TestTestOutputs(t *testing.T) {
	for _, c := range []struct{ args, want []string }{
		{[]string{"-test.v=true", "-test.run=x"}, nil},
		{[]string{"-test.coverprofile=/tmp/c.out"}, []string{"/tmp/c.out"}},
		{[]string{"-test.cpuprofile=cpu", "-test.outputdir=/out"}, []string{"/out/cpu"}},
		{[]string{"-test.artifacts=true"}, []string{"/wd/_artifacts"}},
		{[]string{"-test.artifacts", "-test.outputdir=/out"}, []string{"/out/_artifacts"}},
		{[]string{"-test.artifacts=false"}, nil},
		{[]string{"-test.testlogfile=log", "-test.outputdir=out", "-test.trace=t"}, []string{"/wd/out/t", "/wd/log"}},
	} {
		if got := testOutputs("/wd", c.args); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.args, got, c.want)
		}
	}
}

func TestTakeLDFlags(t *testing.T) {
	for _, c := range []struct {
		args, rest []string
		value      string
	}{
		{[]string{"-v", "./..."}, []string{"-v", "./..."}, ""},
		{[]string{"-ldflags=-X a.b=1", "-v"}, []string{"-v"}, "-X a.b=1"},
		{[]string{"--ldflags=-s"}, nil, "-s"},
		{[]string{"-ldflags", "-s", "-v"}, []string{"-v"}, "-s"},
		{[]string{"-v", "-args", "-ldflags=x"}, []string{"-v", "-args", "-ldflags=x"}, ""},
	} {
		rest, value := takeLDFlags(c.args)
		if !slices.Equal(rest, c.rest) || value != c.value {
			t.Errorf("%q: %q, %q", c.args, rest, value)
		}
	}
}

// TestTestRoot: a test's files are its module's, or the Go installation's for a
// test of the standard library's that was called in a copy with links.
func TestTestRoot(t *testing.T) {
	dir := t.TempDir()
	for _, folder := range []string{"module/a/b", "go/src/runtime", "go/src/net", "go/bin", "shadow/src/runtime", "shadow/src/os"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"module/go.mod", "go/src/runtime/proc.go", "go/src/go.mod", "shadow/src/runtime/proc.go"} {
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "go/bin"), filepath.Join(dir, "shadow/bin")); err != nil {
		t.Fatal(err)
	}
	for wd, want := range map[string][2]string{
		"module/a/b":    {"module", "module/a/b"},
		"go/src/net":    {"go", "go/src/net"},
		"shadow/src/os": {"go", "go/src/os"},
	} {
		root, folder := testRoot(filepath.Join(dir, wd))
		if root != filepath.Join(dir, want[0]) || folder != filepath.Join(dir, want[1]) {
			t.Errorf("%s: %s, %s", wd, root, folder)
		}
	}
}
