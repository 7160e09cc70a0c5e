package process

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// become replaces this process by the program that fd is open on; it returns
// only where that fails.
func become(fd int, argv, env []string) error {
	args, err := pointers(argv)
	if err != nil {
		return err
	}
	vars, err := pointers(env)
	if err != nil {
		return err
	}
	empty := [1]byte{}
	// SAFETY: all that is pointed to stays alive and in place until the call
	// has returned; the kernel only reads it.
	_, _, errno := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(&empty[0])),
		uintptr(unsafe.Pointer(&args[0])), uintptr(unsafe.Pointer(&vars[0])), unix.AT_EMPTY_PATH, 0)
	return errno
}
