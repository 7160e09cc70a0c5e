package inet

import (
	"runtime"
	"syscall"
	"unsafe"
)

// ioctl calls ioctl(2) with the address of arg.
func ioctl(fd int, op uintptr, arg []byte) error {
	// SAFETY: arg is at least as large as what each op of the TAP driver reads and writes,
	// and is kept alive until the call has returned.
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), op, uintptr(unsafe.Pointer(&arg[0])))
	runtime.KeepAlive(arg)
	if errno != 0 {
		return errno
	}
	return nil
}
