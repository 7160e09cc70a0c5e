package linux

import (
	"syscall"
	"testing"
	_ "unsafe" // for go:linkname
)

// noescape declarations as the builder writes them into package syscall.
//
//go:noescape
//go:linkname shadowPread pith/kernel/linux.Pread
func shadowPread(fd int, p []byte, offset int64) (n int, err error)

//go:noescape
//go:linkname shadowPwrite pith/kernel/linux.Pwrite
func shadowPwrite(fd int, p []byte, offset int64) (n int, err error)

// TestBuffersStayOnTheStack: reading and writing with a buffer on the stack
// allocates nothing, as the shadow of package syscall does it.
func TestBuffersStayOnTheStack(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	writeFile(t, "/tmp/allocs", "0123456789")
	fd, errno := openFile(t, "/tmp/allocs", syscall.O_RDWR, 0)
	want(t, errno, 0)
	n := testing.AllocsPerRun(100, func() {
		var p [64]byte
		shadowPread(int(fd), p[:10], 0)
		shadowPwrite(int(fd), p[:10], 0)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
