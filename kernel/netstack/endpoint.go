package netstack

import (
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"pith/kernel/socket"
)

// endpoint is one socket: gVisor's endpoint in Linux's terms.
type endpoint struct {
	s        *Stack
	ep       tcpip.Endpoint
	six      bool // AF_INET6
	typ      int  // SOCK_STREAM, SOCK_DGRAM, SOCK_RAW
	protocol int  // IPPROTO number

	queue  *waiter.Queue
	entry  waiter.Entry
	notify atomic.Pointer[func(socket.Readiness)]
	closed atomic.Bool

	optionsMu                   sync.Mutex // guards what follows
	receiveTimeout, sendTimeout [16]byte   // struct timeval: kept for who reads it back
	groups                      []membership
}

var _ socket.Endpoint = (*endpoint)(nil)

// Socket implements socket.Stack. SOCK_DGRAM with IPPROTO_ICMP or
// IPPROTO_ICMPV6 is a ping socket (man 7 icmp).
func (s *Stack) Socket(family, typ, protocol int) (socket.Endpoint, syscall.Errno) {
	network, e := networkOf(family)
	if e != 0 {
		return nil, e
	}
	transport, e := transportOf(family, typ, protocol)
	if e != 0 {
		return nil, e
	}
	queue := new(waiter.Queue)
	var ep tcpip.Endpoint
	var err tcpip.Error
	if typ == syscall.SOCK_RAW {
		ep, err = s.stack.NewRawEndpoint(transport, network, queue, true)
	} else {
		ep, err = s.stack.NewEndpoint(transport, network, queue)
	}
	if err != nil {
		return nil, errno(err)
	}
	return s.wrap(ep, queue, family == syscall.AF_INET6, typ, int(transport)), 0
}

func networkOf(family int) (tcpip.NetworkProtocolNumber, syscall.Errno) {
	switch family {
	case syscall.AF_INET:
		return header.IPv4ProtocolNumber, 0
	case syscall.AF_INET6:
		return header.IPv6ProtocolNumber, 0
	}
	return 0, syscall.EAFNOSUPPORT
}

// transportOf checks the combination as socket(2) does.
func transportOf(family, typ, protocol int) (tcpip.TransportProtocolNumber, syscall.Errno) {
	ping := syscall.IPPROTO_ICMP
	if family == syscall.AF_INET6 {
		ping = syscall.IPPROTO_ICMPV6
	}
	switch {
	case typ == syscall.SOCK_STREAM && (protocol == 0 || protocol == syscall.IPPROTO_TCP):
		return header.TCPProtocolNumber, 0
	case typ == syscall.SOCK_DGRAM && (protocol == 0 || protocol == syscall.IPPROTO_UDP):
		return header.UDPProtocolNumber, 0
	case typ == syscall.SOCK_DGRAM && protocol == ping:
		return tcpip.TransportProtocolNumber(protocol), 0
	case typ == syscall.SOCK_RAW && protocol > 0 && protocol < 256:
		return tcpip.TransportProtocolNumber(protocol), 0
	case typ == syscall.SOCK_STREAM || typ == syscall.SOCK_DGRAM || typ == syscall.SOCK_RAW:
		return 0, syscall.EPROTONOSUPPORT
	}
	return 0, syscall.ESOCKTNOSUPPORT
}

func (s *Stack) wrap(ep tcpip.Endpoint, queue *waiter.Queue, six bool, typ, protocol int) *endpoint {
	e := &endpoint{s: s, ep: ep, six: six, typ: typ, protocol: protocol, queue: queue}
	e.entry.Init(e, waiter.AllEvents)
	queue.EventRegister(&e.entry)
	return e
}

func (e *endpoint) stream() bool { return e.typ == syscall.SOCK_STREAM }

// check refuses an address that doesn't fit the endpoint's family.
func (e *endpoint) check(a netip.AddrPort) syscall.Errno {
	if a.Addr().Is4() == e.six {
		return syscall.EAFNOSUPPORT
	}
	return 0
}

// Bind implements socket.Endpoint.
func (e *endpoint) Bind(addr netip.AddrPort) syscall.Errno {
	if n := e.check(addr); n != 0 {
		return n
	}
	full := e.s.toFull(addr)
	if full.Addr.Len() == 16 && header.IsV6LinkLocalUnicastAddress(full.Addr) && full.NIC == 0 {
		return syscall.EINVAL // man 7 ipv6: the scope must be told
	}
	return errno(e.ep.Bind(full))
}

// Connect implements socket.Endpoint.
func (e *endpoint) Connect(addr netip.AddrPort) syscall.Errno {
	if !addr.IsValid() {
		if e.stream() {
			return syscall.EOPNOTSUPP // gVisor's TCP can't go back
		}
		return errno(e.ep.Disconnect())
	}
	if n := e.check(addr); n != 0 {
		return n
	}
	full := e.s.toFull(addr)
	err := e.ep.Connect(full)
	if n := e.unreachable(err, full); n != 0 {
		return n
	}
	return errno(err)
}

// unreachable tells apart what gVisor reports in one way: no route at
// all (ENETUNREACH) and a router's word that the host is out of reach.
func (e *endpoint) unreachable(err tcpip.Error, to tcpip.FullAddress) syscall.Errno {
	if _, ok := err.(*tcpip.ErrHostUnreachable); !ok {
		return 0
	}
	protocol := header.IPv4ProtocolNumber
	if to.Addr.Len() == 16 && !header.IsV4MappedAddress(to.Addr) {
		protocol = header.IPv6ProtocolNumber
	} else if to.Addr.Len() == 16 {
		to.Addr = tcpip.AddrFrom4Slice(to.Addr.AsSlice()[12:])
	}
	r, err := e.s.stack.FindRoute(to.NIC, tcpip.Address{}, to.Addr, protocol, false)
	if err != nil {
		return syscall.ENETUNREACH
	}
	r.Release()
	return syscall.EHOSTUNREACH
}

// Listen implements socket.Endpoint. A backlog is cut to Linux's
// net.core.somaxconn.
func (e *endpoint) Listen(backlog int) syscall.Errno {
	const somaxconn = 4096
	if backlog < 0 || backlog > somaxconn {
		backlog = somaxconn
	}
	return errno(e.ep.Listen(backlog + 1)) // gVisor counts exactly, Linux one more
}

// Accept implements socket.Endpoint.
func (e *endpoint) Accept() (socket.Endpoint, netip.AddrPort, syscall.Errno) {
	if !e.stream() {
		return nil, netip.AddrPort{}, syscall.EOPNOTSUPP
	}
	var peer tcpip.FullAddress
	ep, queue, err := e.ep.Accept(&peer)
	if err != nil {
		return nil, netip.AddrPort{}, errno(err)
	}
	return e.s.wrap(ep, queue, e.six, e.typ, e.protocol), e.s.fromFull(peer, e.six), 0
}

// Close implements socket.Endpoint.
func (e *endpoint) Close() {
	if e.closed.Swap(true) {
		return
	}
	e.notify.Store(nil)
	e.queue.EventUnregister(&e.entry)
	e.leftAll()
	if e.stream() && tcp.EndpointState(e.ep.State()) == tcp.StateSynRecv {
		// gVisor can't reset a connection that it is still opening.
		e.ep.SocketOptions().SetLinger(tcpip.LingerOption{})
	}
	e.ep.Close()
}

// Shutdown implements socket.Endpoint.
func (e *endpoint) Shutdown(how int) syscall.Errno {
	var flags tcpip.ShutdownFlags
	switch how {
	case syscall.SHUT_RD:
		flags = tcpip.ShutdownRead
	case syscall.SHUT_WR:
		flags = tcpip.ShutdownWrite
	case syscall.SHUT_RDWR:
		flags = tcpip.ShutdownRead | tcpip.ShutdownWrite
	default:
		return syscall.EINVAL
	}
	return errno(e.ep.Shutdown(flags))
}

// LocalAddr implements socket.Endpoint.
func (e *endpoint) LocalAddr() netip.AddrPort {
	full, err := e.ep.GetLocalAddress()
	if err != nil {
		full = tcpip.FullAddress{}
	}
	return e.s.fromFull(full, e.six)
}

// RemoteAddr implements socket.Endpoint.
func (e *endpoint) RemoteAddr() (netip.AddrPort, syscall.Errno) {
	full, err := e.ep.GetRemoteAddress()
	if err != nil {
		return netip.AddrPort{}, errno(err)
	}
	return e.s.fromFull(full, e.six), 0
}

// Buffered implements socket.Endpoint.
func (e *endpoint) Buffered() int {
	n, err := e.ep.GetSockOptInt(tcpip.ReceiveQueueSizeOption)
	if err != nil {
		return 0
	}
	return n
}

// Notify implements socket.Endpoint.
func (e *endpoint) Notify(f func(socket.Readiness)) {
	if f == nil {
		e.notify.Store(nil)
		return
	}
	e.notify.Store(&f)
}

// NotifyEvent implements waiter.EventListener.
func (e *endpoint) NotifyEvent(mask waiter.EventMask) {
	if f := e.notify.Load(); f != nil {
		(*f)(e.translate(mask))
	}
}

// Readiness implements socket.Endpoint.
func (e *endpoint) Readiness() socket.Readiness {
	const asked = waiter.EventIn | waiter.EventOut | waiter.EventErr | waiter.EventHUp | waiter.EventRdHUp
	r := e.translate(e.ep.Readiness(asked) & asked)
	if !e.stream() {
		return r
	}
	switch tcp.EndpointState(e.ep.State()) {
	case tcp.StateInitial, tcp.StateBound:
		r |= syscall.EPOLLOUT | syscall.EPOLLHUP // as tcp_poll does for TCP_CLOSE
	case tcp.StateClose, tcp.StateTimeWait:
		// gVisor reports all that it is asked for. An error is not among
		// it: that would be StateError.
		r &^= syscall.EPOLLERR
	}
	return r
}

// translate turns gVisor's bits into epoll's. They have the same values
// but for the normal-priority twins, which are dropped.
func (e *endpoint) translate(mask waiter.EventMask) socket.Readiness {
	r := socket.Readiness(mask & (waiter.EventIn | waiter.EventOut | waiter.EventErr | waiter.EventHUp | waiter.EventRdHUp))
	if e.stream() && mask&waiter.EventIn != 0 && mask&waiter.EventHUp != 0 {
		r |= syscall.EPOLLRDHUP
	}
	return r
}

// reader is a tcpip.Payloader over a caller's bytes. gVisor takes it as an
// interface, so it lives on the heap: it is pooled.
type reader struct{ b []byte }

func (r *reader) Len() int { return len(r.b) }

func (r *reader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

var readers = sync.Pool{New: func() any { return new(reader) }}

// writer is an io.Writer into a caller's bytes, pooled like reader. It
// reports an error when it is full, which ends gVisor's reading.
type writer struct {
	b       []byte
	discard int // if positive, so many bytes are dropped and b isn't used
}

func (w *writer) Write(p []byte) (int, error) {
	if w.discard > 0 {
		n := min(len(p), w.discard)
		w.discard -= n
		if n < len(p) || w.discard == 0 {
			return n, io.ErrShortWrite
		}
		return n, nil
	}
	n := copy(w.b, p)
	w.b = w.b[n:]
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

var writers = sync.Pool{New: func() any { return new(writer) }}
