package qemu

import "syscall"

// detached keeps the terminal's Ctrl-C from QEMU, and ends QEMU with the
// process that owns it, however that one ends.
func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
