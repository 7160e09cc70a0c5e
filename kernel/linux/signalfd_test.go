package linux

import (
	"syscall"
	"testing"
	"unsafe"
)

// TestSignalfd: a signal of the mask makes the descriptor readable, one outside
// doesn't, and reading takes them one by one.
func TestSignalfd(t *testing.T) {
	mask := uint64(1<<(syscall.SIGUSR1-1) | 1<<(syscall.SIGHUP-1))
	newFD := func(fd, flags uintptr) (uintptr, Errno) {
		r, _, errno := entry(syscall.SYS_SIGNALFD4, fd, uintptr(unsafe.Pointer(&mask)), 8, flags, 0, 0)
		return r, errno
	}
	r, errno := newFD(failed, syscall.O_NONBLOCK)
	fd := ok(t, r, errno)
	defer closeFD(t, fd)
	_, errno = newFD(failed, 4)
	want(t, errno, syscall.EINVAL)
	_, errno = newFD(0, 0)
	want(t, errno, syscall.EINVAL)
	var p [3 * sizeofSiginfo]byte
	read := func(n int) (int, Errno) {
		n, err := Read(int(fd), p[:n])
		if err != nil {
			return n, err.(Errno)
		}
		return n, 0
	}
	_, errno = read(len(p))
	want(t, errno, syscall.EAGAIN)
	_, errno = read(10)
	want(t, errno, syscall.EINVAL)
	testPoller.take(fd)
	testSignals.send(int(syscall.SIGTERM))
	testSignals.send(int(syscall.SIGHUP))
	testSignals.send(int(syscall.SIGUSR1))
	if testPoller.take(fd)&syscall.EPOLLIN == 0 {
		t.Error("the poller is not told")
	}
	n, errno := read(len(p))
	want(t, errno, 0)
	if n != 2*sizeofSiginfo || load32(p[:]) != uint32(syscall.SIGHUP) || load32(p[sizeofSiginfo:]) != uint32(syscall.SIGUSR1) {
		t.Errorf("read %d bytes: signals %d and %d", n, load32(p[:]), load32(p[sizeofSiginfo:]))
	}
	mask = 1 << (syscall.SIGTERM - 1)
	_, errno = newFD(fd, 0)
	want(t, errno, 0)
	if n, errno := read(len(p)); n != sizeofSiginfo || errno != 0 || load32(p[:]) != uint32(syscall.SIGTERM) {
		t.Errorf("after a change of the mask: %d bytes, %v", n, errno)
	}
}

func TestPidfd(t *testing.T) {
	pid := uintptr(syscall.Getpid())
	r, errno := do(sysNumPidfdOpen, pid, 0, 0)
	fd := ok(t, r, errno)
	defer closeFD(t, fd)
	for _, c := range []struct {
		pid, flags uintptr
		want       Errno
	}{{1 << 22, 0, syscall.ESRCH}, {0, 0, syscall.EINVAL}, {pid, 1, syscall.EINVAL}} {
		_, errno := do(sysNumPidfdOpen, c.pid, c.flags, 0)
		want(t, errno, c.want)
	}
	_, _, errno = entry(sysNumPidfdSend, fd, 0, 0, 0, 0, 0)
	want(t, errno, 0)
	_, _, errno = entry(sysNumPidfdSend, 1, 0, 0, 0, 0, 0)
	want(t, errno, syscall.EBADF)
	r, errno = do(sysNumPidfdGetfd, fd, 1, 0)
	closeFD(t, ok(t, r, errno))
}
