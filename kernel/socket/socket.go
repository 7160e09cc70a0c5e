// Package socket is what the system-call layer (kernel/linux) needs of a
// network stack: the one small interface between them.
//
// It relies only on the standard library below package os. It must not know
// which stack stands behind it, nor what a file descriptor is.
//
// Nothing here blocks: a call that would have to wait returns syscall.EAGAIN
// (or EINPROGRESS for Connect), and the endpoint's readiness callback says
// when to try again. Callers park in the Go runtime's poller.
package socket

import (
	"net/netip"
	"syscall"
)

// Readiness is a set of epoll event bits: syscall.EPOLLIN, EPOLLOUT,
// EPOLLRDHUP, EPOLLHUP, EPOLLERR.
type Readiness uint32

// Stack makes endpoints and knows the machine's interfaces.
type Stack interface {
	// Socket makes an endpoint. family is syscall.AF_INET or AF_INET6, typ is
	// SOCK_STREAM, SOCK_DGRAM or SOCK_RAW (without the SOCK_NONBLOCK and
	// SOCK_CLOEXEC bits), protocol 0 or an IPPROTO number.
	Socket(family, typ, protocol int) (Endpoint, syscall.Errno)
	// Interfaces lists the interfaces, loopback first, by index from 1.
	Interfaces() []Interface
	// Routes lists the route table.
	Routes() []Route
	// Nameservers lists the DNS servers that configuration, DHCP or router
	// advertisements gave, in order of preference.
	Nameservers() []netip.Addr
}

// Endpoint is one socket. All methods may be called from several goroutines
// at once, and none blocks. A zero netip.AddrPort stands for "no address".
// An IPv4 peer of an AF_INET6 endpoint appears as an IPv4-mapped address.
type Endpoint interface {
	Bind(addr netip.AddrPort) syscall.Errno
	// Connect begins a connection: EINPROGRESS for TCP, then EPOLLOUT (and
	// SO_ERROR) tells the outcome. The zero AddrPort dissolves a UDP
	// association.
	Connect(addr netip.AddrPort) syscall.Errno
	Listen(backlog int) syscall.Errno
	Accept() (Endpoint, netip.AddrPort, syscall.Errno)

	// Receive copies the next bytes or datagram into p and control messages
	// (Linux cmsg format) into oob. flags are MSG_PEEK, MSG_TRUNC, MSG_OOB,
	// MSG_WAITALL (ignored); outFlags may hold MSG_TRUNC and MSG_CTRUNC. n == 0 with
	// errno 0 is the end of a stream. p and oob are not kept.
	Receive(p, oob []byte, flags int) (n, oobn, outFlags int, from netip.AddrPort, errno syscall.Errno)
	// Send takes bytes or one datagram. A zero to means the connected peer.
	// n may be less than len(p) for a stream. p and oob are not kept.
	Send(p, oob []byte, to netip.AddrPort, flags int) (n int, errno syscall.Errno)
	// Shutdown takes syscall.SHUT_RD, SHUT_WR or SHUT_RDWR.
	Shutdown(how int) syscall.Errno
	// Close gives up the endpoint; a stream's remaining bytes are still sent.
	Close()

	LocalAddr() netip.AddrPort
	RemoteAddr() (netip.AddrPort, syscall.Errno) // ENOTCONN

	// SetOption and Option take and give option values in Linux's layout.
	SetOption(level, name int, value []byte) syscall.Errno
	Option(level, name int, value []byte) (n int, errno syscall.Errno)
	// Buffered returns the bytes ready to read (ioctl FIONREAD).
	Buffered() int

	// Readiness returns what could be done right now.
	Readiness() Readiness
	// Notify sets the one callback for changes of readiness: it is told the
	// bits that may have become set. It may be called spuriously, with the
	// endpoint's own locks held, so it must not call the endpoint, block or
	// allocate. nil removes it.
	Notify(func(Readiness))
}

// Interface describes one network interface.
type Interface struct {
	Index        int
	Name         string // "lo", "eth0", ...
	MTU          int
	HardwareAddr [6]byte
	Loopback     bool
	Up           bool
	Addrs        []netip.Prefix
	Groups       []Group // that sockets joined, in order; not those that every host is in
}

// Group is a multicast group that an interface takes packets of.
type Group struct {
	Addr  netip.Addr
	Users int // sockets that joined it
}

// Route is one entry of the route table. The zero Gateway means on link.
type Route struct {
	Destination netip.Prefix
	Gateway     netip.Addr
	Interface   int
}

// InterfaceConfig is how an interface gets its addresses. With DHCP and SLAAC
// false and no Addrs the interface only has its IPv6 link-local address.
type InterfaceConfig struct {
	Addrs       []netip.Prefix // static; IPv4 and IPv6
	Gateways    []netip.Addr   // default gateways, at most one a family
	Routes      []Route        // Interface is ignored: it is this one
	Nameservers []netip.Addr
	DHCP        bool // ask for an IPv4 lease and keep it
	SLAAC       bool // form IPv6 addresses from router advertisements
}
