package linux

import (
	"slices"
	"strings"
	"testing"
)

// TestLeavesAreOrdered: what lies below one directory follows each other, or the
// directory would be made twice.
func TestLeavesAreOrdered(t *testing.T) {
	for _, table := range [][]leaf{procFiles, sysFiles} {
		ordered := slices.IsSortedFunc(table, func(a, b leaf) int {
			return slices.Compare(strings.Split(a.path, "/"), strings.Split(b.path, "/"))
		})
		if !ordered {
			t.Errorf("the table that begins with %s is not sorted by path", table[0].path)
		}
	}
}
