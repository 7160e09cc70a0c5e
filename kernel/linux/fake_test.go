package linux

import (
	"crypto/rand"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"pith/kernel/fs"
	"pith/kernel/socket"
)

// entry is Entry, declared without a body, so that pointers in its arguments are
// kept alive as they are in package syscall.
//
//go:linkname entry pith/kernel/linux.Entry
func entry(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, errno Errno)

// fakeConsole records what is written and plays back what is typed.
type fakeConsole struct {
	mu     sync.Mutex
	out    []byte
	in     []byte
	notify func(socket.Readiness)
}

func (c *fakeConsole) Read(p []byte) (int, syscall.Errno) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.in) == 0 {
		return 0, syscall.EAGAIN
	}
	n := copy(p, c.in)
	c.in = c.in[n:]
	return n, 0
}

func (c *fakeConsole) Write(p []byte) (int, syscall.Errno) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(c.out, p...)
	return len(p), 0
}

func (c *fakeConsole) Readiness() socket.Readiness {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.in) > 0 {
		return readable
	}
	return 0
}

func (c *fakeConsole) Notify(f func(socket.Readiness)) { c.notify = f }

func (c *fakeConsole) WindowSize() (rows, columns int, ok bool) { return 24, 80, true }

func (c *fakeConsole) typed(s string) {
	c.mu.Lock()
	c.in = append(c.in, s...)
	c.mu.Unlock()
	c.notify(readable)
}

// taken returns what was written and forgets it.
func (c *fakeConsole) taken() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := string(c.out)
	c.out = nil
	return s
}

// fakePoller remembers edges by descriptor.
type fakePoller struct {
	mu      sync.Mutex
	pending map[int32]uint32
	forgot  map[int32]int
}

func (p *fakePoller) Ready(fd int32, events uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending[fd] |= events
}

func (p *fakePoller) Forget(fd int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pending, fd)
	p.forgot[fd]++
}

// take returns the edges of a descriptor since the last take.
func (p *fakePoller) take(fd uintptr) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	events := p.pending[int32(fd)]
	delete(p.pending, int32(fd))
	return events
}

// terminalMode is what was told of the terminal, and terminalModes all of it.
type terminalMode struct {
	mode   TerminalMode
	before bool
}

var terminalModes []terminalMode

// fakeSignals is signals that wait to be read from a signalfd.
type fakeSignals struct {
	mu      sync.Mutex
	pending []int
	tell    func()
}

func (s *fakeSignals) Watch(tell func()) bool { s.tell = tell; return true }

func (s *fakeSignals) Take(mask uint64, look bool) (int, int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, sig := range s.pending {
		if mask>>(sig-1)&1 == 0 {
			continue
		}
		if !look {
			s.pending = slices.Delete(s.pending, i, i+1)
		}
		return sig, -6
	}
	return 0, 0
}

// send is a signal that arrives.
func (s *fakeSignals) send(sig int) {
	s.mu.Lock()
	s.pending = append(s.pending, sig)
	s.mu.Unlock()
	s.tell()
}

var (
	testSignals = &fakeSignals{}
	testConsole = &fakeConsole{}
	testPoller  = &fakePoller{pending: map[int32]uint32{}, forgot: map[int32]int{}}
	testStack   = newFakeStack()
)

const packedText = "packed in the image\n"

func TestMain(m *testing.M) {
	Start(Config{
		Console:  testConsole,
		Poller:   testPoller,
		Stack:    testStack,
		Files:    []fs.Packed{{Path: "/data/packed.txt", Mode: 0o644, Data: []byte(packedText)}},
		Hostname: "machine",
		Args:     []string{"/bin/program", "-flag"},
		Env:      []string{"HOME=/root"},
		CPUs:     2,
		Space:    &hostSpace{sources: map[uint64]uintptr{}},
		Signals:  testSignals,
		Memory:   func() (total, free uint64) { return 1 << 30, 1 << 29 },
		Random:   func(p []byte) { rand.Read(p) },
		Traffic: func(name string) (t Traffic) {
			if name == "eth0" {
				t = Traffic{RxPackets: 1, RxBytes: 2, RxDropped: 3, TxPackets: 4, TxBytes: 5, TxDropped: 6}
			}
			return t
		},
		Terminal: func(mode TerminalMode, before bool) {
			terminalModes = append(terminalModes, terminalMode{mode, before})
		},
	})
	os.Exit(m.Run())
}

// fakeStack is a network in which everything is on the loopback interface.
type fakeStack struct {
	mu    sync.Mutex
	bound map[portKey]*fakeEndpoint
	next  uint16
}

type portKey struct {
	typ  int
	port uint16
}

func newFakeStack() *fakeStack { return &fakeStack{bound: map[portKey]*fakeEndpoint{}, next: 40000} }

func (s *fakeStack) Socket(family, typ, protocol int) (socket.Endpoint, syscall.Errno) {
	if typ != syscall.SOCK_STREAM && typ != syscall.SOCK_DGRAM {
		return nil, syscall.EPROTONOSUPPORT
	}
	return &fakeEndpoint{stack: s, family: family, typ: typ}, 0
}

func (s *fakeStack) Interfaces() []socket.Interface {
	return []socket.Interface{
		{Index: 1, Name: "lo", MTU: 65536, Loopback: true, Up: true, Addrs: []netip.Prefix{
			netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")}},
		{Index: 2, Name: "eth0", MTU: 1500, Up: true, HardwareAddr: [6]byte{0x52, 0x54, 0, 1, 2, 3}, Addrs: []netip.Prefix{
			netip.MustParsePrefix("10.0.2.15/24"), netip.MustParsePrefix("fe80::5054:ff:fe01:203/64")}, Groups: []socket.Group{
			{Addr: netip.MustParseAddr("239.1.2.3"), Users: 2}, {Addr: netip.MustParseAddr("ff02::114"), Users: 1}}},
	}
}

func (s *fakeStack) Routes() []socket.Route {
	return []socket.Route{
		{Destination: netip.MustParsePrefix("10.0.2.0/24"), Interface: 2},
		{Destination: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.0.2.2"), Interface: 2},
	}
}

func (s *fakeStack) Nameservers() []netip.Addr { return []netip.Addr{netip.MustParseAddr("10.0.2.3")} }

// fakeEndpoint is a datagram or stream socket of a fakeStack.
type fakeEndpoint struct {
	stack       *fakeStack
	family, typ int

	mu        sync.Mutex
	local     netip.AddrPort
	remote    netip.AddrPort
	peer      *fakeEndpoint
	datagrams []fakeDatagram
	bytes     []byte
	pending   []*fakeEndpoint
	listening bool
	ended     bool
	failed    syscall.Errno
	notify    func(socket.Readiness)
	options   map[[2]int][]byte
}

type fakeDatagram struct {
	data []byte
	from netip.AddrPort
}

func (e *fakeEndpoint) tell(r socket.Readiness) {
	e.mu.Lock()
	f := e.notify
	e.mu.Unlock()
	if f != nil {
		f(r)
	}
}

func (e *fakeEndpoint) loopback() netip.Addr {
	if e.family == syscall.AF_INET6 {
		return netip.IPv6Loopback()
	}
	return netip.MustParseAddr("127.0.0.1")
}

func (e *fakeEndpoint) Bind(a netip.AddrPort) syscall.Errno {
	e.stack.mu.Lock()
	defer e.stack.mu.Unlock()
	port := a.Port()
	if port == 0 {
		e.stack.next++
		port = e.stack.next
	}
	key := portKey{e.typ, port}
	if e.stack.bound[key] != nil {
		return syscall.EADDRINUSE
	}
	e.stack.bound[key] = e
	e.mu.Lock()
	e.local = netip.AddrPortFrom(e.loopback(), port)
	e.mu.Unlock()
	return 0
}

func (e *fakeEndpoint) Connect(a netip.AddrPort) syscall.Errno {
	e.stack.mu.Lock()
	other := e.stack.bound[portKey{e.typ, a.Port()}]
	e.stack.mu.Unlock()
	if !e.LocalAddr().IsValid() {
		e.Bind(netip.AddrPort{})
	}
	e.mu.Lock()
	e.remote = a
	e.mu.Unlock()
	if e.typ == syscall.SOCK_DGRAM {
		return 0
	}
	if other == nil || !other.listening {
		e.mu.Lock()
		e.failed = syscall.ECONNREFUSED
		e.mu.Unlock()
		e.tell(broken | writable)
		return syscall.EINPROGRESS
	}
	end := &fakeEndpoint{stack: e.stack, family: e.family, typ: e.typ, local: a, remote: e.LocalAddr(), peer: e}
	e.mu.Lock()
	e.peer = end
	e.mu.Unlock()
	other.mu.Lock()
	other.pending = append(other.pending, end)
	other.mu.Unlock()
	other.tell(readable)
	go e.tell(writable)
	return syscall.EINPROGRESS
}

func (e *fakeEndpoint) Listen(int) syscall.Errno {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.listening = true
	return 0
}

func (e *fakeEndpoint) Accept() (socket.Endpoint, netip.AddrPort, syscall.Errno) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.listening {
		return nil, netip.AddrPort{}, syscall.EINVAL
	}
	if len(e.pending) == 0 {
		return nil, netip.AddrPort{}, syscall.EAGAIN
	}
	end := e.pending[0]
	e.pending = e.pending[1:]
	return end, end.remote, 0
}

// deepen uses as much stack as makes a small stack grow and move.
//
//go:noinline
func deepen(n int) byte {
	var room [1024]byte
	for i := range room {
		room[i] = byte(i * n)
	}
	if n == 0 {
		return room[7]
	}
	return deepen(n-1) + room[n%1024]
}

var sink byte

func (e *fakeEndpoint) Receive(p, oob []byte, flags int) (n, oobn, out int, from netip.AddrPort, errno syscall.Errno) {
	sink = deepen(40) // as a real stack would: use of memory far down
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.typ == syscall.SOCK_STREAM {
		if len(e.bytes) == 0 && !e.ended {
			return 0, 0, 0, from, syscall.EAGAIN
		}
		n = copy(p, e.bytes)
		if flags&syscall.MSG_PEEK == 0 {
			e.bytes = e.bytes[n:]
		}
		return n, 0, 0, e.remote, 0
	}
	if len(e.datagrams) == 0 {
		return 0, 0, 0, from, syscall.EAGAIN
	}
	d := e.datagrams[0]
	n = copy(p, d.data)
	if flags&syscall.MSG_PEEK == 0 {
		e.datagrams = e.datagrams[1:]
	}
	if n < len(d.data) {
		out |= syscall.MSG_TRUNC
		if flags&syscall.MSG_TRUNC != 0 {
			n = len(d.data)
		}
	}
	oobn = copy(oob, "control!")
	return n, oobn, out, d.from, 0
}

func (e *fakeEndpoint) Send(p, oob []byte, to netip.AddrPort, flags int) (int, syscall.Errno) {
	sink = deepen(40)
	if e.typ == syscall.SOCK_STREAM {
		e.mu.Lock()
		peer := e.peer
		e.mu.Unlock()
		if peer == nil {
			return 0, syscall.ENOTCONN
		}
		peer.mu.Lock()
		n := min(len(p), 64<<10-len(peer.bytes))
		peer.bytes = append(peer.bytes, p[:n]...)
		peer.mu.Unlock()
		peer.tell(readable)
		if n == 0 && len(p) > 0 {
			return 0, syscall.EAGAIN
		}
		return n, 0
	}
	if !to.IsValid() {
		to, _ = e.RemoteAddr()
	}
	if !to.IsValid() {
		return 0, syscall.EDESTADDRREQ
	}
	if !e.LocalAddr().IsValid() {
		e.Bind(netip.AddrPort{})
	}
	e.stack.mu.Lock()
	other := e.stack.bound[portKey{e.typ, to.Port()}]
	e.stack.mu.Unlock()
	if other == nil {
		return 0, syscall.ECONNREFUSED
	}
	other.mu.Lock()
	other.datagrams = append(other.datagrams, fakeDatagram{append([]byte(nil), p...), e.LocalAddr()})
	other.mu.Unlock()
	other.tell(readable)
	return len(p), 0
}

func (e *fakeEndpoint) Shutdown(how int) syscall.Errno {
	e.mu.Lock()
	peer := e.peer
	e.mu.Unlock()
	if peer == nil {
		return syscall.ENOTCONN
	}
	if how != syscall.SHUT_RD {
		peer.mu.Lock()
		peer.ended = true
		peer.mu.Unlock()
		peer.tell(readable | peerDone)
	}
	return 0
}

func (e *fakeEndpoint) Close() {
	e.Shutdown(syscall.SHUT_RDWR)
	e.stack.mu.Lock()
	defer e.stack.mu.Unlock()
	for key, other := range e.stack.bound {
		if other == e {
			delete(e.stack.bound, key)
		}
	}
}

func (e *fakeEndpoint) LocalAddr() netip.AddrPort {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.local
}

func (e *fakeEndpoint) RemoteAddr() (netip.AddrPort, syscall.Errno) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.remote.IsValid() {
		return e.remote, syscall.ENOTCONN
	}
	return e.remote, 0
}

func (e *fakeEndpoint) SetOption(level, name int, value []byte) syscall.Errno {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.options == nil {
		e.options = map[[2]int][]byte{}
	}
	e.options[[2]int{level, name}] = append([]byte(nil), value...)
	return 0
}

func (e *fakeEndpoint) Option(level, name int, value []byte) (int, syscall.Errno) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if level == syscall.SOL_SOCKET && name == syscall.SO_ERROR {
		errno := e.failed
		e.failed = 0
		return number(value, int(errno))
	}
	v, ok := e.options[[2]int{level, name}]
	if !ok {
		return 0, syscall.ENOPROTOOPT
	}
	return copy(value, v), 0
}

func (e *fakeEndpoint) Buffered() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.bytes)
}

func (e *fakeEndpoint) Readiness() (r socket.Readiness) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.bytes) > 0 || len(e.datagrams) > 0 || len(e.pending) > 0 || e.ended {
		r |= readable
	}
	if e.failed != 0 {
		r |= broken | hungUp
	}
	if e.typ == syscall.SOCK_DGRAM || e.peer != nil {
		r |= writable
	}
	return r
}

func (e *fakeEndpoint) Notify(f func(socket.Readiness)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.notify = f
}

// Helpers that make calls as package syscall does.

func ok(t testing.TB, r uintptr, errno Errno) uintptr {
	t.Helper()
	if errno != 0 {
		t.Fatalf("failed: %v (%d)", errno, int(errno))
	}
	return r
}

func want(t testing.TB, errno, expected Errno) {
	t.Helper()
	if errno != expected {
		t.Fatalf("got %v, want %v", errno, expected)
	}
}

func do(trap, a1, a2, a3 uintptr) (uintptr, Errno) {
	r, _, errno := RawEntry(trap, a1, a2, a3, 0, 0, 0)
	return r, errno
}

// pointer gives a string's address, in memory that stays for the whole test
// run.
func pointer(s string) uintptr {
	p, err := syscall.BytePtrFromString(s)
	if err != nil {
		panic(err)
	}
	keepMu.Lock()
	defer keepMu.Unlock()
	kept = append(kept, p)
	return uintptr(unsafe.Pointer(p))
}

var (
	keepMu sync.Mutex
	kept   []*byte
)

func openFile(t testing.TB, path string, flags int, mode uint32) (uintptr, Errno) {
	t.Helper()
	r, _, errno := entry(syscall.SYS_OPENAT, cwd, pointer(path), uintptr(flags), uintptr(mode), 0, 0)
	return r, errno
}

func closeFD(t testing.TB, fd uintptr) {
	t.Helper()
	_, errno := do(syscall.SYS_CLOSE, fd, 0, 0)
	want(t, errno, 0)
}
