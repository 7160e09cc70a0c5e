package linux

import (
	"sync"
	"syscall"

	"pith/kernel/socket"
)

// netlink is a socket of AF_NETLINK for NETLINK_ROUTE (rtnetlink(7)): it
// answers dumps of links, addresses and routes, and refuses changes, because
// interfaces are configured from outside the machine.
type netlink struct {
	file
	inode uint64

	mu      sync.Mutex
	port    uint32 // the address; 0 until bound
	replies [][]byte
}

// netlinkPorts gives unbound sockets their addresses.
var netlinkPorts struct {
	mu   sync.Mutex
	used map[uint32]bool
	last uint32
}

func newNetlink(typ, protocol int, flags uintptr) (*file, Errno) {
	switch {
	case typ != syscall.SOCK_RAW && typ != syscall.SOCK_DGRAM:
		return nil, syscall.ESOCKTNOSUPPORT
	case protocol != syscall.NETLINK_ROUTE:
		return nil, syscall.EPROTONOSUPPORT
	}
	n := &netlink{inode: nextInode()}
	n.begin(n, syscall.O_RDWR|flags, true)
	return &n.file, 0
}

func (n *netlink) bind(name []byte) Errno {
	if len(name) < syscall.SizeofSockaddrNetlink || family(name) != syscall.AF_NETLINK {
		return syscall.EINVAL
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	want := load32(name[4:])
	switch {
	case n.port != 0 && want != 0 && want != n.port:
		return syscall.EINVAL
	case n.port != 0:
		return 0
	}
	var errno Errno
	n.port, errno = takePort(want)
	return errno
}

// takePort returns a free address, or the wanted one.
func takePort(want uint32) (uint32, Errno) {
	p := &netlinkPorts
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used == nil {
		p.used = map[uint32]bool{}
		pid, _, _ := rawTrap(syscall.SYS_GETPID, 0, 0, 0, 0, 0, 0)
		p.last = uint32(pid) - 1 // a process's first socket has its pid as address
	}
	if want != 0 && p.used[want] {
		return 0, syscall.EADDRINUSE
	}
	for want == 0 {
		p.last++
		if !p.used[p.last] {
			want = p.last
		}
	}
	p.used[want] = true
	return want, 0
}

func (n *netlink) connect(name []byte) Errno {
	if len(name) < syscall.SizeofSockaddrNetlink || family(name) != syscall.AF_NETLINK {
		return syscall.EINVAL
	}
	if load32(name[4:]) != 0 {
		return syscall.ECONNREFUSED // only the kernel is there to talk to
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.autobind()
}

// autobind gives the socket an address if it has none. The caller holds n.mu.
func (n *netlink) autobind() (errno Errno) {
	if n.port == 0 {
		n.port, errno = takePort(0)
	}
	return errno
}

func (n *netlink) listen(int) Errno { return syscall.EOPNOTSUPP }

func (n *netlink) accept(uintptr, *[maxSockaddr]byte) (*file, []byte, Errno) {
	return nil, nil, syscall.EOPNOTSUPP
}

func (n *netlink) localName(room *[maxSockaddr]byte) ([]byte, Errno) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return encodeNetlink(room, n.port), 0
}

func (n *netlink) peerName(room *[maxSockaddr]byte) ([]byte, Errno) {
	return encodeNetlink(room, 0), 0
}

func encodeNetlink(room *[maxSockaddr]byte, port uint32) []byte {
	name := room[:syscall.SizeofSockaddrNetlink]
	clear(name)
	store16(name, syscall.AF_NETLINK)
	store32(name[4:], port)
	return name
}

func (n *netlink) shutdown(int) Errno { return syscall.EOPNOTSUPP }

// setOption takes what libraries set by habit; nothing here depends on it.
func (n *netlink) setOption(level, name int, value []byte) Errno {
	const solNetlink = 270
	if level != syscall.SOL_SOCKET && level != solNetlink {
		return syscall.ENOPROTOOPT
	}
	return 0
}

func (n *netlink) option(level, name int, value []byte) (int, Errno) {
	if level != syscall.SOL_SOCKET {
		return 0, syscall.ENOPROTOOPT
	}
	switch name {
	case syscall.SO_TYPE:
		return number(value, syscall.SOCK_RAW)
	case soDomain:
		return number(value, syscall.AF_NETLINK)
	case soProtocol:
		return number(value, syscall.NETLINK_ROUTE)
	case syscall.SO_ERROR, syscall.SO_ACCEPTCONN:
		return number(value, 0)
	case syscall.SO_RCVBUF, syscall.SO_SNDBUF:
		return number(value, unixBuffer)
	}
	return 0, syscall.ENOPROTOOPT
}

func (n *netlink) stat(st *syscall.Stat_t) Errno {
	anonymous(st, syscall.S_IFSOCK|0o777, n.inode)
	return 0
}

func (n *netlink) close() {
	n.mu.Lock()
	port := n.port
	n.mu.Unlock()
	if port == 0 {
		return
	}
	netlinkPorts.mu.Lock()
	delete(netlinkPorts.used, port)
	netlinkPorts.mu.Unlock()
}

func (n *netlink) readiness() socket.Readiness {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.replies) > 0 {
		return readable | writable
	}
	return writable
}

func (n *netlink) read(p []byte) (int, Errno) {
	m := newMessage()
	defer m.free()
	m.data = p
	return n.receive(m)
}

func (n *netlink) write(p []byte) (int, Errno) {
	m := newMessage()
	defer m.free()
	m.data = p
	return n.send(m)
}

func (n *netlink) receive(m *message) (int, Errno) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.replies) == 0 {
		return 0, syscall.EAGAIN
	}
	reply := n.replies[0]
	if m.flags&msgPeek == 0 {
		n.replies = n.replies[1:]
	}
	m.name = encodeNetlink(&m.room, 0)
	done := copy(m.data, reply)
	if done < len(reply) {
		m.outFlags |= msgTrunc
		if m.flags&msgTrunc != 0 {
			return len(reply), 0
		}
	}
	return done, 0
}

func (n *netlink) send(m *message) (int, Errno) {
	n.mu.Lock()
	errno := n.autobind()
	for rest := m.data; errno == 0 && len(rest) >= nlHeader; {
		size := load32(rest)
		if size < nlHeader || size > uint32(len(rest)) {
			break
		}
		n.replies = append(n.replies, n.reply(rest[:size])...)
		rest = rest[min(len(rest), nlAlign(int(size))):]
	}
	n.mu.Unlock()
	n.watch.notify(readable)
	if errno != 0 {
		return 0, errno
	}
	return len(m.data), 0
}
