package linux

import (
	"internal/runtime/syscall/linux"
	"syscall"
	"unsafe"
)

// read takes the place of package syscall's.
//
//pith:replaces syscall.read
func read(fd int, p []byte) (n int, err error) {
	reads.Add(1)
	// SAFETY: the host's kernel writes len(p) bytes at most, before it returns.
	r1, _, e := linux.Syscall6(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
	if e != 0 {
		return int(r1), syscall.Errno(e)
	}
	return int(r1), nil
}
