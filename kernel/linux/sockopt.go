package linux

import (
	"syscall"
	"time"
)

// Options of SOL_SOCKET that package syscall lacks.
const (
	soProtocol = 38
	soDomain   = 39
	soPeersec  = 31
)

// maxOption is the largest option value that is taken or given, in bytes.
const maxOption = 1024

func sysSetsockopt(c call) (uintptr, Errno) {
	f, s, errno := socketOf(c.a1)
	if errno != 0 {
		return 0, errno
	}
	if int32(c.a5) < 0 || uint32(c.a5) > maxOption {
		return 0, syscall.EINVAL
	}
	p, b, errno := input(c.address(c.a4), uintptr(uint32(c.a5)))
	if errno != 0 {
		return 0, errno
	}
	defer b.free()
	level, name := int(int32(c.a2)), int(int32(c.a3))
	if level == syscall.SOL_SOCKET && (name == syscall.SO_RCVTIMEO || name == syscall.SO_SNDTIMEO) {
		return 0, f.setPatience(name, p)
	}
	return 0, s.setOption(level, name, p)
}

// setPatience is SO_RCVTIMEO and SO_SNDTIMEO: how long calls in blocking mode
// wait.
func (f *file) setPatience(name int, value []byte) Errno {
	if len(value) < 16 {
		return syscall.EINVAL
	}
	sec, usec := int64(load64(value)), int64(load64(value[8:]))
	if usec < 0 || usec >= 1e6 {
		return syscall.EDOM
	}
	limit := time.Duration(max(0, min(sec, 1<<32)))*time.Second + time.Duration(usec)*time.Microsecond
	if name == syscall.SO_RCVTIMEO {
		f.readPatience.Store(int64(limit))
	} else {
		f.writePatience.Store(int64(limit))
	}
	return 0
}

// patience is setPatience's opposite.
func (f *file) patience(name int, value []byte) (int, Errno) {
	limit := f.writePatience.Load()
	if name == syscall.SO_RCVTIMEO {
		limit = f.readPatience.Load()
	}
	var tv [16]byte
	store64(tv[:], uint64(limit/1e9))
	store64(tv[8:], uint64(limit%1e9/1e3))
	return copy(value, tv[:]), 0
}

func sysGetsockopt(c call) (uintptr, Errno) {
	f, s, errno := socketOf(c.a1)
	if errno != 0 {
		return 0, errno
	}
	size, errno := get[int32](c.address(c.a5))
	if errno != 0 {
		return 0, errno
	}
	if size < 0 {
		return 0, syscall.EINVAL
	}
	b := newBounce(c.address(c.a4), bounceSize)
	value := b.data[:min(int(size), maxOption)]
	n, errno := f.getOption(s, int(int32(c.a2)), int(int32(c.a3)), value)
	if errno != 0 {
		b.free()
		return 0, errno
	}
	defer b.free()
	if errno := copyOut(b.to, value[:n]); errno != 0 {
		return 0, errno
	}
	size = int32(n)
	return 0, put(c.address(c.a5), &size)
}

func (f *file) getOption(s sock, level, name int, value []byte) (int, Errno) {
	if level == syscall.SOL_SOCKET && (name == syscall.SO_RCVTIMEO || name == syscall.SO_SNDTIMEO) {
		return f.patience(name, value)
	}
	return s.option(level, name, value)
}

// number writes an option's value that is an int, as much as there is room.
func number(value []byte, v int) (int, Errno) {
	var four [4]byte
	store32(four[:], uint32(v))
	return copy(value, four[:]), 0
}
