// Package labtest runs a test inside a lab of its own. It relies on package lab, and
// is for tests only.
package labtest

import (
	"testing"

	"pith/bench/lab"
)

// Enter reports whether the test runs in a lab. If it doesn't, Enter has run it in
// one by itself, and its outcome is the test's; where there can be no lab, the test
// is skipped.
func Enter(t *testing.T) (inside bool) {
	t.Helper()
	if lab.Inside() {
		return true
	}
	code, err := lab.Enter(t.Context(), "-test.run=^"+t.Name()+"$", "-test.v")
	if err != nil {
		t.Skip(err)
	}
	if code != 0 {
		t.Fatalf("in the lab: exit code %d", code)
	}
	return false
}
