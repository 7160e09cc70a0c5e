package linux

import (
	"syscall"

	"pith/kernel/socket"
)

// pidfd stands for a process (pidfd_open(2)): there is one, and while anything
// can look at its descriptor it has not ended.
type pidfd struct {
	file
	inode uint64
}

func sysPidfdOpen(c call) (uintptr, Errno) {
	switch {
	case c.a2&^syscall.O_NONBLOCK != 0 || int32(c.a1) <= 0:
		return 0, syscall.EINVAL
	case uintptr(uint32(c.a1)) != processID():
		return 0, syscall.ESRCH
	}
	return newPidfd(c.a2)
}

func newPidfd(flags uintptr) (uintptr, Errno) {
	p := &pidfd{inode: nextInode()}
	p.begin(p, syscall.O_RDWR|flags, true)
	return install(&p.file, syscall.O_CLOEXEC)
}

func pidfdOf(fd uintptr) Errno {
	f, errno := open(fd)
	if errno != 0 {
		return errno
	}
	if _, ok := f.object.(*pidfd); !ok {
		return syscall.EBADF
	}
	return 0
}

func sysPidfdSendSignal(c call) (uintptr, Errno) {
	if c.a4 != 0 {
		return 0, syscall.EINVAL
	}
	if errno := pidfdOf(c.a1); errno != 0 {
		return 0, errno
	}
	if c.a3 != 0 { // struct siginfo: its signal must be the one that is sent
		sig, errno := get[int32](c.address(c.a3))
		switch {
		case errno != 0:
			return 0, errno
		case sig != int32(c.a2):
			return 0, syscall.EINVAL
		}
	}
	_, _, errno := rawTrap(syscall.SYS_KILL, processID(), c.a2, 0, 0, 0, 0)
	return 0, Errno(errno)
}

// sysPidfdGetfd is dup for a descriptor of a process: of this one.
func sysPidfdGetfd(c call) (uintptr, Errno) {
	if c.a3 != 0 {
		return 0, syscall.EINVAL
	}
	if errno := pidfdOf(c.a1); errno != 0 {
		return 0, errno
	}
	return duplicate(c.a2, 0, true)
}

func (p *pidfd) read([]byte) (int, Errno)    { return 0, syscall.EINVAL }
func (p *pidfd) write([]byte) (int, Errno)   { return 0, syscall.EINVAL }
func (p *pidfd) readiness() socket.Readiness { return 0 }
func (p *pidfd) close()                      {}

func (p *pidfd) stat(st *syscall.Stat_t) Errno {
	anonymous(st, syscall.S_IFREG|0o600, p.inode)
	return 0
}
