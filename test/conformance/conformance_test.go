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

// TestExclude: a listed test counts by how it ends.
func TestExclude(t *testing.T) {
	e := newEvents()
	for test, state := range map[string]string{"TestA": "PASS", "TestB": "SKIP", "TestC": "FAIL", "TestD": "PASS"} {
		e.begin(test)
		e.end(test, state)
	}
	var r Result
	r.exclude([]Exclusion{{Test: "TestA"}, {Test: "TestB"}, {Test: "TestC"}, {Test: "TestNotThere"}, {Test: "TestD", Kind: "internet"}}, e)
	if r.Passed != 1 || r.Skipped != 1 || r.Excluded != 2 || !slices.Equal(r.Wrong, []string{"TestA"}) {
		t.Errorf("%+v", r)
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

// describe is a recipe in words.
func describe(r recipe) string {
	s := r.action
	for _, part := range [][2]string{
		{"sources", strings.Join(r.sources, " ")}, {"args", strings.Join(r.args, " ")}, {"flags", r.goflags()},
		{"ldflags", r.ldflags}, {"experiment", r.experiment}, {"language", r.language},
	} {
		if part[1] != "" && part[1] != "1.26" {
			s += " " + part[0] + "=" + part[1]
		}
	}
	return s
}

// TestRecipe: the first lines of GOROOT/test's programs are understood.
func TestRecipe(t *testing.T) {
	for text, want := range map[string]string{
		"// run\n\npackage main\n":                                              "run",
		"//run\n\npackage main\n":                                               "run",
		"// run -goexperiment x a b\n\npackage main\n":                          "run args=a b experiment=x",
		"// run -gcflags='all=-N -l'\n\npackage main\n":                         "run flags='-gcflags=all=-N -l'",
		"// run -gcflags -l=4\n\npackage main\n":                                "run flags=-gcflags=-l=4",
		"// run -race -tags=x\n\npackage main\n":                                "run flags=-race -tags=x",
		"// buildrun -t 10  -gcflags=-d=x\n\npackage main\n":                    "run flags=-gcflags=-d=x",
		"// runoutput ./rotate.go\n\npackage main\n":                            "runoutput sources=rotate.go",
		"// rundir -l=4\n":                                                      "rundir flags=-gcflags=test/...=-l=4",
		"// rundir -ldflags -strictdups=2 -w=0\n":                               "rundir ldflags=-strictdups=2 -w=0",
		"// errorcheckandrundir -0 -m\n\npackage ignored\n":                     "rundir",
		"// runindir -gomodversion \"1.23\"\n":                                  "runindir language=1.23",
		"// errorcheck\n\npackage main\n":                                       "",
		"// Copyright\n\npackage main\n":                                        "",
		"// run\n\n//go:build cgo\n\npackage main\n":                            "",
		"// run\n\n//go:build !linux\n\npackage main\n":                         "",
		"//go:build linux\n\n// run\n\npackage main\n":                          "run",
		"// run\n\n//go:build !wasm && test_run\n\npackage main\n":              "run",
		"// run\n\n//go:build darwin\n\npackage main\n":                         "",
		"// run\n\n//go:build !nacl && !js && !gcflags_noopt\n\npackage main\n": "run",
	} {
		got := ""
		if r, ok := parseRecipe(text); ok {
			got = describe(r)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
