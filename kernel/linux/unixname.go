package linux

import (
	"sync"
	"syscall"
)

// abstractNames is the sockets with abstract names.
var abstractNames = struct {
	mu    sync.Mutex
	names map[string]*unix
	auto  uint32 // last name given by autobind
}{names: map[string]*unix{}}

// unixName reads a sockaddr_un. A path ends at its NUL; an abstract name is
// all that follows the first NUL.
func unixName(name []byte) (string, Errno) {
	switch {
	case len(name) < sizeofFamily || family(name) != syscall.AF_UNIX:
		return "", syscall.EINVAL
	case len(name) > syscall.SizeofSockaddrUnix:
		return "", syscall.EINVAL
	}
	path := name[sizeofFamily:]
	if len(path) > 0 && path[0] != 0 {
		for i, b := range path {
			if b == 0 {
				return string(path[:i]), 0
			}
		}
	}
	return string(path), 0
}

// encodeUnix writes a sockaddr_un.
func encodeUnix(room *[maxSockaddr]byte, name string) []byte {
	store16(room[:], syscall.AF_UNIX)
	n := sizeofFamily + copy(room[sizeofFamily:], name)
	if name != "" && name[0] != 0 {
		room[n] = 0
		n++
	}
	return room[:n]
}

func (u *unix) bind(sockaddr []byte) Errno {
	name, errno := unixName(sockaddr)
	if errno != 0 {
		return errno
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.name != "" {
		return syscall.EINVAL
	}
	switch {
	case name == "":
		u.name = autobind(u)
		return 0
	case name[0] == 0:
		errno = bindAbstract(name, u)
	default:
		errno = u.bindPath(name)
	}
	if errno == 0 {
		u.name = name
	}
	return errno
}

// bindPath makes a socket node. The caller holds u.mu.
func (u *unix) bindPath(name string) Errno {
	process.mu.RLock()
	dir := process.cwd
	process.mu.RUnlock()
	node := tree.NewNode(syscall.S_IFSOCK|0o777&^process.umask.Load(), 0)
	node.Extra.Store(u)
	errno := tree.Make(dir, name, node) // it stays when the socket is closed, as on Linux
	if errno == syscall.EEXIST {
		return syscall.EADDRINUSE
	}
	return errno
}

func bindAbstract(name string, u *unix) Errno {
	abstractNames.mu.Lock()
	defer abstractNames.mu.Unlock()
	if abstractNames.names[name] != nil {
		return syscall.EADDRINUSE
	}
	abstractNames.names[name] = u
	return 0
}

// autobind gives a socket an abstract name of five hexadecimal digits.
func autobind(u *unix) string {
	abstractNames.mu.Lock()
	defer abstractNames.mu.Unlock()
	for {
		abstractNames.auto++
		name := []byte{0, 0, 0, 0, 0, 0}
		for i := range 5 {
			name[5-i] = "0123456789abcdef"[abstractNames.auto>>(4*i)&15]
		}
		if abstractNames.names[string(name)] == nil {
			abstractNames.names[string(name)] = u
			return string(name)
		}
	}
}

// findUnix returns the socket that an address names.
func findUnix(sockaddr []byte) (*unix, string, Errno) {
	name, errno := unixName(sockaddr)
	switch {
	case errno != 0:
		return nil, "", errno
	case name == "":
		return nil, "", syscall.ECONNREFUSED
	case name[0] == 0:
		abstractNames.mu.Lock()
		u := abstractNames.names[name]
		abstractNames.mu.Unlock()
		if u == nil {
			return nil, "", syscall.ECONNREFUSED
		}
		return u, name, 0
	}
	process.mu.RLock()
	dir := process.cwd
	process.mu.RUnlock()
	node, errno := tree.Lookup(dir, name, true)
	if errno != 0 {
		return nil, "", errno
	}
	u, _ := node.Extra.Load().(*unix)
	if node.Format() != syscall.S_IFSOCK || u == nil || u.isGone() {
		return nil, "", syscall.ECONNREFUSED
	}
	return u, name, 0
}

func releaseAbstract(name string, u *unix) {
	abstractNames.mu.Lock()
	defer abstractNames.mu.Unlock()
	if abstractNames.names[name] == u {
		delete(abstractNames.names, name)
	}
}
