package linux

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
)

func TestDifferences(t *testing.T) {
	file := func(inode uint64, size int64) glance { return glance{inode: inode, size: size} }
	before := map[string]glance{
		"same": file(1, 1), "longer": file(2, 1), "removed": file(3, 1), "replaced": file(4, 1),
		"own": file(5, 1), "ownRemoved": file(6, 1), "later": {inode: 7, size: 1, modified: syscall.Timespec{Sec: 1}},
		"dir": {inode: 8, dir: true, size: 1}, "dirRemoved": {inode: 9, dir: true},
	}
	after := map[string]glance{
		"same": file(1, 1), "longer": file(2, 2), "replaced": file(14, 1), "made": file(10, 1),
		"own": file(5, 2), "ownMade": file(11, 1), "later": {inode: 7, size: 1, modified: syscall.Timespec{Sec: 1, Nsec: 1}},
		"dir": {inode: 8, dir: true, size: 2}, "dirMade": {inode: 12, dir: true},
	}
	own := map[string]uint32{"own": syscall.IN_MODIFY, "ownRemoved": syscall.IN_MOVED_FROM, "ownMade": syscall.IN_CREATE | syscall.IN_OPEN}
	var got []string
	differences(before, after, own, func(name string, mask uint32) { got = append(got, fmt.Sprintf("%s %x", name, mask)) })
	want := []string{
		"longer 2", "longer 8", "removed 200", "replaced 80", "made 100", "made 2", "made 8", "later 2", "later 8",
		"dirRemoved 40000200", "dirMade 40000100",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
