package inet

import (
	"sync"
	"syscall"
)

// The range of ephemeral ports, as Linux has it.
const (
	firstEphemeral = 32768
	lastEphemeral  = 60999
)

// portTable knows which local ports one protocol's sockets have bound.
type portTable struct {
	mu    sync.Mutex
	bound map[uint16][]*binding
	next  uint32 // where the search for an ephemeral port goes on
}

// binding is one socket's claim to a port.
type binding struct {
	addr                 address
	port                 uint16
	oif                  int
	ipv4, ipv6           bool // families it takes
	reuseAddr, reusePort bool
	listening            bool
}

func (t *portTable) init(seed uint32) {
	t.bound = make(map[uint16][]*binding)
	t.next = seed
}

// claim is the binding that e would have.
func (e *base) claim(a address, port uint16) *binding {
	k := e.key()
	k.local = a
	return &binding{
		addr: a, port: port, oif: e.oif,
		ipv4: k.covers(true), ipv6: k.covers(false),
		reuseAddr: e.reuseAddr, reusePort: e.reusePort,
	}
}

// conflicts reports whether two sockets can't have the same port (Linux:
// inet_csk_bind_conflict, in behaviour).
func (x *binding) conflicts(y *binding) bool {
	if !(x.ipv4 && y.ipv4) && !(x.ipv6 && y.ipv6) {
		return false
	}
	if x.oif != 0 && y.oif != 0 && x.oif != y.oif {
		return false
	}
	if !x.addr.unspecified() && !y.addr.unspecified() && x.addr != y.addr {
		return false
	}
	if x.reusePort && y.reusePort {
		return false
	}
	return !x.reuseAddr || !y.reuseAddr || x.listening || y.listening
}

// bind claims a port, or an ephemeral one for port 0.
func (t *portTable) bind(want *binding) syscall.Errno {
	t.mu.Lock()
	defer t.mu.Unlock()
	if want.port != 0 {
		return t.add(want)
	}
	// An ephemeral port is the socket's own, even with SO_REUSEADDR.
	strict := *want
	strict.reuseAddr, strict.reusePort = false, false
	const span = lastEphemeral - firstEphemeral + 1
	for range span {
		t.next = t.next*1664525 + 1013904223 // a full cycle (Knuth), so no port is missed for long
		strict.port = uint16(firstEphemeral + uint32(uint64(t.next)*span>>32))
		if t.free(&strict) {
			want.port = strict.port
			t.bound[want.port] = append(t.bound[want.port], want)
			return 0
		}
	}
	return syscall.EADDRINUSE
}

func (t *portTable) add(want *binding) syscall.Errno {
	if !t.free(want) {
		return syscall.EADDRINUSE
	}
	t.bound[want.port] = append(t.bound[want.port], want)
	return 0
}

// free reports whether nobody's claim stands against want. Called with mu held.
func (t *portTable) free(want *binding) bool {
	for _, other := range t.bound[want.port] {
		if want.conflicts(other) {
			return false
		}
	}
	return true
}

// taken reports whether anybody has bound the port.
func (t *portTable) taken(port uint16) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.bound[port]) != 0
}

// listen marks a binding as listening's, which shares with nobody but SO_REUSEPORT.
func (t *portTable) listen(x *binding) syscall.Errno {
	t.mu.Lock()
	defer t.mu.Unlock()
	x.listening = true
	for _, other := range t.bound[x.port] {
		if other != x && other.listening && x.conflicts(other) {
			x.listening = false
			return syscall.EADDRINUSE
		}
	}
	return 0
}

// release gives a binding back; nil is allowed.
func (t *portTable) release(x *binding) {
	if x == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.bound[x.port]
	for i, other := range list {
		if other == x {
			list[i] = list[len(list)-1]
			list[len(list)-1] = nil
			list = list[:len(list)-1]
			break
		}
	}
	if len(list) == 0 {
		delete(t.bound, x.port)
		return
	}
	t.bound[x.port] = list
}
