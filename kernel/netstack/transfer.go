package netstack

import (
	"net/netip"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// Flags that Send and Receive know and that package syscall doesn't name.
const (
	msgMore     = 0x8000
	msgErrQueue = 0x2000
	msgFastOpen = 0x20000000
)

// Receive implements socket.Endpoint.
func (e *endpoint) Receive(p, oob []byte, flags int) (n, oobn, outFlags int, from netip.AddrPort, errno syscall.Errno) {
	switch {
	case flags&syscall.MSG_OOB != 0:
		return 0, 0, 0, from, syscall.EINVAL // there is never urgent data
	case flags&msgErrQueue != 0:
		return 0, 0, 0, from, syscall.EAGAIN // nor a queue of errors
	case e.stream():
		n, errno = e.receiveStream(p, flags)
		return n, 0, 0, from, errno
	}
	return e.receiveDatagram(p, oob, flags)
}

func (e *endpoint) receiveStream(p []byte, flags int) (int, syscall.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	w := writers.Get().(*writer)
	w.b = p
	if flags&syscall.MSG_TRUNC != 0 {
		w.discard = len(p) // man 7 tcp: the bytes are thrown away
	}
	peek := flags&syscall.MSG_PEEK != 0
	r, err := e.ep.Read(w, tcpip.ReadOptions{Peek: peek})
	*w = writer{}
	writers.Put(w)
	if err != nil {
		if _, ok := err.(*tcpip.ErrClosedForReceive); ok {
			return 0, 0
		}
		return 0, errno(err)
	}
	if !peek {
		e.ep.ModerateRecvBuf(r.Count)
	}
	return r.Count, 0
}

func (e *endpoint) receiveDatagram(p, oob []byte, flags int) (n, oobn, outFlags int, from netip.AddrPort, _ syscall.Errno) {
	w := writers.Get().(*writer)
	w.b = p
	r, err := e.ep.Read(w, tcpip.ReadOptions{Peek: flags&syscall.MSG_PEEK != 0, NeedRemoteAddr: true})
	*w = writer{}
	writers.Put(w)
	switch err.(type) {
	case nil:
	case *tcpip.ErrBadBuffer:
		// There was no room for even one byte. The datagram is gone, as on
		// Linux.
	case *tcpip.ErrClosedForReceive:
		return 0, 0, 0, from, 0
	default:
		return 0, 0, 0, from, errno(err)
	}
	n = r.Count
	if r.Total > n {
		outFlags = syscall.MSG_TRUNC
		if flags&syscall.MSG_TRUNC != 0 {
			n = r.Total
		}
	}
	if len(oob) > 0 {
		var cut bool
		oobn, cut = e.control(oob, &r.ControlMessages)
		if cut {
			outFlags |= syscall.MSG_CTRUNC
		}
	}
	return n, oobn, outFlags, e.s.fromFull(r.RemoteAddr, e.six), 0
}

// Send implements socket.Endpoint.
func (e *endpoint) Send(p, oob []byte, to netip.AddrPort, flags int) (int, syscall.Errno) {
	if flags&(syscall.MSG_OOB|msgFastOpen) != 0 {
		return 0, syscall.EOPNOTSUPP
	}
	var o tcpip.WriteOptions
	var full tcpip.FullAddress
	if to.IsValid() && !e.stream() { // man 2 sendto: a stream ignores it
		if n := e.check(to); n != 0 {
			return 0, n
		}
		full = e.s.toFull(to)
		if to.Port() == 0 && e.typ == syscall.SOCK_DGRAM && e.protocol == syscall.IPPROTO_UDP {
			return 0, syscall.EINVAL
		}
		o.To = toPointer(full)
	}
	if len(oob) > 0 && !e.stream() {
		if n := e.parseControl(oob, &o); n != 0 {
			return 0, n
		}
	}
	if flags&msgMore != 0 && !e.stream() {
		return 0, syscall.EOPNOTSUPP // datagrams in pieces
	}
	if len(p) == 0 && e.stream() {
		return 0, e.writable()
	}
	r := readers.Get().(*reader)
	r.b = p
	n, err := e.ep.Write(r, o)
	r.b = nil
	readers.Put(r)
	if err == nil {
		return int(n), 0
	}
	if code := e.unreachable(err, e.destination(full)); code != 0 {
		return 0, code
	}
	return 0, errno(err)
}

// toPointer keeps the address off the heap for sends that have none.
func toPointer(f tcpip.FullAddress) *tcpip.FullAddress { return &f }

// destination is where a failed datagram was to go.
func (e *endpoint) destination(to tcpip.FullAddress) tcpip.FullAddress {
	if to.Port != 0 || to.Addr.Len() > 0 {
		return to
	}
	peer, err := e.ep.GetRemoteAddress()
	if err != nil {
		return tcpip.FullAddress{}
	}
	return peer
}

// writable is the outcome of sending nothing.
func (e *endpoint) writable() syscall.Errno {
	if _, err := e.ep.GetRemoteAddress(); err != nil {
		return syscall.EPIPE
	}
	return 0
}
