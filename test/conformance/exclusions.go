package conformance

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

//go:embed exclusions.txt
var list string

// Kinds of reasons, and what they mean in a report.
var kinds = map[string]string{
	"forks":    "starts a process",
	"cgo":      "needs cgo",
	"root":     "needs a power that a machine has not (mount, namespaces, other users, tracing)",
	"internet": "wants the internet, without which it doesn't pass on Linux either: run, and counted as passed where it is there",
	"time":     "asserts times that an emulated machine on a shared host can't keep",
	"native":   "fails on Linux too, under this toolchain",
	"kernel":   "Pith's kernel is wrong or lacks something: to be mended",
}

// Exclusion is one test that isn't expected to pass.
type Exclusion struct {
	Package string
	Test    string // with subtests' names behind slashes, or "*" for all of the package
	Kind    string // one of kinds
	Hangs   bool   // isn't run at all: it takes the others with it
	Reason  string
}

// Exclusions are all that are listed.
type Exclusions struct{ all []Exclusion }

// ReadExclusions reads the list. A line is
//
//	PACKAGE TEST KIND[!] REASON
//
// where "!" says that the test hangs or ends the program. "#" begins a comment.
func ReadExclusions() (*Exclusions, error) { return parseExclusions(list) }

func parseExclusions(text string) (*Exclusions, error) {
	x := &Exclusions{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		if len(words) < 4 {
			return nil, fmt.Errorf("exclusions.txt:%d: write PACKAGE TEST KIND REASON", number)
		}
		kind, hangs := strings.CutSuffix(words[2], "!")
		if kinds[kind] == "" {
			return nil, fmt.Errorf("exclusions.txt:%d: there is no kind %q of reasons", number, kind)
		}
		x.all = append(x.all, Exclusion{words[0], words[1], kind, hangs, strings.Join(words[3:], " ")})
	}
	return x, nil
}

// Whole is why none of a package's tests is run, "" if some are.
func (x *Exclusions) Whole(pkg string) string {
	for _, e := range x.all {
		if e.Test == "*" && (e.Package == pkg || strings.HasSuffix(e.Package, "/...") && strings.HasPrefix(pkg+"/", strings.TrimSuffix(e.Package, "..."))) {
			return e.Kind + ": " + e.Reason
		}
	}
	return ""
}

// Tests are a package's excluded tests.
func (x *Exclusions) Tests(pkg string) (tests []Exclusion) {
	for _, e := range x.all {
		if e.Package == pkg && e.Test != "*" {
			tests = append(tests, e)
		}
	}
	return tests
}

func withoutHangs(tests []Exclusion) []Exclusion {
	return slices.DeleteFunc(slices.Clone(tests), func(e Exclusion) bool { return e.Hangs })
}

// pattern is the regular expression of -test.skip and -test.run that fits
// exactly these tests.
func pattern(tests []Exclusion) string {
	var parts []string
	for _, e := range tests {
		var levels []string
		for _, name := range strings.Split(e.Test, "/") {
			levels = append(levels, "^"+regexp.QuoteMeta(name)+"$")
		}
		parts = append(parts, strings.Join(levels, "/"))
	}
	return strings.Join(parts, "|")
}
