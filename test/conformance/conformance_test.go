package conformance

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestEvents(t *testing.T) {
	e := newEvents()
	for _, piece := range []string{
		"\x16=== RUN   TestA\nsome out", "put\x16--- PASS: TestA (0.00s)\n",
		"\x16=== RUN   TestB\n\x16=== RUN   TestB/x\n\x16=== RUN   TestB/x/y\n",
		"\x16        --- FAIL: TestB/x/y (0.00s)\n\x16    --- FAIL: TestB/x (0.00s)\n\x16--- FAIL: TestB (0.00s)\n",
		"\x16=== RUN   TestC\n\x16--- SKIP: TestC (0.00s)\n\x16=== RUN   TestD\npanic: ",
	} {
		e.Write([]byte(piece))
	}
	e.flush()
	if got := e.failures(); !strings.Contains(got, "panic: ") || strings.Contains(got, "some output") {
		t.Errorf("failures are\n%s", got)
	}
	var r Result
	r.count(e)
	if r.Passed != 1 || r.Skipped != 1 || !slices.Equal(r.Failed, []string{"TestB/x/y", "TestD"}) || e.ended {
		t.Errorf("%+v, ended %v", r, e.ended)
	}
	e.Write([]byte("\x16FAIL\n"))
	if !e.ended {
		t.Error("FAIL alone is the end")
	}
}

func TestExclusions(t *testing.T) {
	x, err := parseExclusions("# a comment\n\na/b TestX forks starts itself\na/b TestY/sub kernel! hangs\ncmd/... * forks all of it\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := len(x.Tests("a/b")); got != 2 {
		t.Errorf("%d tests, want 2", got)
	}
	if got := withoutHangs(x.Tests("a/b")); len(got) != 1 || got[0].Test != "TestX" {
		t.Errorf("without those that hang: %v", got)
	}
	if x.Whole("cmd/go") == "" || x.Whole("cmd") == "" || x.Whole("cmdx") != "" || x.Whole("a/b") != "" {
		t.Error("a package's folder ends in /...")
	}
	if got := pattern(x.Tests("a/b")); got != "^TestX$|^TestY$/^sub$" {
		t.Error(got)
	}
	for _, bad := range []string{"a/b TestX forks", "a/b TestX whim because", "a/b"} {
		if _, err := parseExclusions(bad); err == nil || !strings.Contains(err.Error(), "exclusions.txt:1:") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestList: the list that is committed can be read, and names each test once.
func TestList(t *testing.T) {
	x, err := ReadExclusions()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range x.all {
		key := e.Package + " " + e.Test
		if seen[key] {
			t.Errorf("%s stands twice", key)
		}
		seen[key] = true
		if _, err := regexp.Compile(pattern([]Exclusion{e})); err != nil {
			t.Error(err)
		}
	}
}

func TestWanted(t *testing.T) {
	for text, want := range map[string]bool{
		"// run\n\npackage main\n":                            true,
		"// run -goexperiment x\n\npackage main\n":            false,
		"// errorcheck\n\npackage main\n":                     false,
		"// run\n\n//go:build cgo\n\npackage main\n":          false,
		"// run\n\n//go:build !linux\n\npackage main\n":       false,
		"// run\n\n//go:build linux\n\npackage main\n":        true,
		"// run\n\n//go:build !wasm\n\npackage main\n":        true,
		"// run\n\n//go:build darwin\n\npackage main\n":       false,
		"// run\n\n//go:build !nacl && !js\n\npackage main\n": true,
	} {
		if got := wanted(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
