// Package inet is a lean TCP/IP stack for the machine's hot path: Ethernet, ARP,
// IPv4 (RFC 791, 1122), ICMP (RFC 792), IPv6 (RFC 8200), ICMPv6 (RFC 4443), NDP and
// SLAAC (RFC 4861, 4862, 8106), DHCP (RFC 2131), UDP (RFC 768) and TCP (RFC 9293 with
// 1122, 2018, 5681, 5961, 6191, 6298, 6582, 6675, 6928, 7323, 8985's tail-loss probe and 9438).
//
// It stands behind socket.Stack (for programs) and link.Attacher (for network
// cards), and relies on nothing above package os: the standard library's locks,
// atomics, time and net/netip. It must not know a device's registers nor a file
// descriptor, must not block a caller, and doesn't route other machines' packets.
//
// # How a packet goes
//
// One goroutine a device queue takes up to 64 frames from the ring, brings each
// as far as its endpoint, sends the acknowledgements that are due, and tells the
// device once about all frames that came of it. A program's Send builds headers
// and payload in place in a device Buffer and puts it on the ring itself; its
// Receive copies out of the Buffers that the device wrote. No goroutine lies
// between. Senders share the telling of the device where they follow each other closely
// (queue.flush). A batch reads the clock once, and nothing on these ways allocates.
//
// # Locks
//
// Whoever holds a lock may take only locks further down this list:
//
//	dhcpClient.mu, slaac.mu                automatic configuration
//	Stack.confMu                           changes of addresses and routes
//	tcpEndpoint.mu, udpEndpoint.mu, rawEndpoint.mu   one a socket; a connection's
//	                                       before its listening socket's
//	listener.mu                            a listening socket's queues
//	portTable.mu, tcpTable.mu, endpointTable.mu
//	timeWaitQueue.mu, reassembler.mu, pathTable.mu
//	neighborTable.mu, neighbor.mu
//	timers.mu
//	loopback.mu and the device's own
//
// Look-ups of endpoints, addresses and routes take no lock: they read
// immutable snapshots through atomic pointers. Packets that a machine sends to itself
// wait in the loopback's queue until the sender holds no lock (batch.flush).
package inet

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"pith/kernel/link"
	"pith/kernel/socket"
)

// Config is what a Stack needs of its surroundings.
type Config struct {
	// Rand fills the slice with unpredictable bytes. Required.
	Rand func([]byte)
	// Now reads the monotonic clock, in nanoseconds. The default is package time's.
	Now func() int64
	// Memory bounds what all sockets' queues together may hold, in bytes. The
	// default is 64 MiB; a small machine should give a quarter of its memory.
	Memory int
	// DeviceShare is up to how many bytes of the devices' own Buffers sockets' queues
	// may hold, copies aside. The default is 1 MiB, and at most half of Memory.
	DeviceShare int
	// MaxReceiveBuffer and MaxSendBuffer bound what one TCP socket's buffers grow
	// to by themselves, in bytes. The default is 4 MiB, and at most a quarter of
	// Memory.
	MaxReceiveBuffer, MaxSendBuffer int
	// Hostname is told to DHCP servers when it is not empty.
	Hostname string
}

// Stack is one machine's network. It implements socket.Stack and link.Attacher.
type Stack struct {
	conf     Config
	start    time.Time
	isn      secret // initial sequence numbers, time stamps, ports
	cookie   secret // SYN cookies
	hashSeed secret // hash tables

	confMu   sync.Mutex
	snapshot atomic.Pointer[config]

	tcp        tcpTable
	listeners  endpointTable[*tcpEndpoint]
	udp        endpointTable[*udpEndpoint]
	raw        endpointTable[*rawEndpoint] // by protocol
	pings      endpointTable[*rawEndpoint] // by identifier
	tcpPorts   portTable
	udpPorts   portTable
	pingPorts  portTable
	timeWaits  timeWaitQueue
	fragments  reassembler
	paths      pathTable
	timers     timers
	lo         *loopback
	packetID   atomic.Uint32
	queueCount atomic.Uint32
	errorQuota atomic.Int64 // see allowError
	memory     atomic.Int64 // bytes that sockets' queues hold
	closed     atomic.Bool
	stats      Stats
}

// Stats counts what is otherwise invisible. All fields only grow.
type Stats struct {
	Malformed       atomic.Uint64 // frames dropped because they break a format
	BadChecksum     atomic.Uint64
	NoBuffer        atomic.Uint64 // sends that found no free Buffer
	RingFull        atomic.Uint64 // frames that the device refused
	QueueFull       atomic.Uint64 // packets dropped at a socket's full queue
	Retransmits     atomic.Uint64 // TCP segments sent again
	Timeouts        atomic.Uint64 // TCP retransmission time-outs
	SpuriousRepairs atomic.Uint64 // time-outs found to be spurious and undone
	Probes          atomic.Uint64 // tail-loss probes
	PureAcks        atomic.Uint64 // TCP segments sent only to acknowledge
	Cookies         atomic.Uint64 // SYN cookies sent
	AcceptFull      atomic.Uint64 // connections turned away at a full backlog
}

// Stats gives the stack's counters.
func (s *Stack) Stats() *Stats { return &s.stats }

// config is one immutable state of addresses and routes.
type config struct {
	gen         uint64 // changes with every state
	nics        []*nic // a nic's index is its place here plus one
	locals      []local
	routes      []routeEntry // the longest prefix first
	nameservers []nameserver // in order of preference
}

// local is one of the machine's own addresses.
type local struct {
	nic        *nic
	prefix     prefix // its addr is the whole address
	broadcast  address
	deprecated bool // not for new connections
	origin     origin
}

// origin tells who configured something, and may take it back.
type origin uint8

const (
	fromStatic origin = iota
	fromDHCP
	fromRouter // router advertisements
)

// New makes a Stack with a loopback interface and no other.
func New(conf Config) *Stack {
	s := &Stack{conf: conf, start: time.Now()}
	s.applyDefaults()
	for _, k := range []*secret{&s.isn, &s.cookie, &s.hashSeed} {
		k.k0, k.k1 = s.random(), s.random()
	}
	s.timers.init(s)
	s.tcp.init()
	s.tcpPorts.init(uint32(s.random()))
	s.udpPorts.init(uint32(s.random()))
	s.pingPorts.init(uint32(s.random()))
	s.timeWaits.init(s)
	s.fragments.init(s)
	s.packetID.Store(uint32(s.random()))
	s.errorQuota.Store(-errorBurst * errorInterval)
	s.snapshot.Store(&config{})
	s.lo = newLoopback(s)
	return s
}

func (s *Stack) applyDefaults() {
	c := &s.conf
	if c.Now == nil {
		c.Now = func() int64 { return int64(time.Since(s.start)) }
	}
	if c.Memory <= 0 {
		c.Memory = 64 << 20
	}
	if c.DeviceShare <= 0 {
		c.DeviceShare = min(1<<20, c.Memory/2)
	}
	if c.MaxReceiveBuffer <= 0 {
		c.MaxReceiveBuffer = min(4<<20, c.Memory/4)
	}
	if c.MaxSendBuffer <= 0 {
		c.MaxSendBuffer = min(4<<20, c.Memory/4)
	}
}

func (s *Stack) random() uint64 {
	var b [8]byte
	s.conf.Rand(b[:])
	return get64(b[:])
}

// begin starts the work of one call from a program.
func (s *Stack) begin() batch { return batch{s: s, now: s.conf.Now()} }

// update replaces the snapshot by a changed copy.
func (s *Stack) update(change func(*config)) {
	s.confMu.Lock()
	defer s.confMu.Unlock()
	old := s.snapshot.Load()
	c := &config{
		gen:         old.gen + 1,
		nics:        slices.Clone(old.nics),
		locals:      slices.Clone(old.locals),
		routes:      slices.Clone(old.routes),
		nameservers: slices.Clone(old.nameservers),
	}
	change(c)
	slices.SortStableFunc(c.routes, func(a, b routeEntry) int {
		if a.dst.bits != b.dst.bits {
			return b.dst.bits - a.dst.bits
		}
		return a.metric - b.metric
	})
	s.snapshot.Store(c)
}

// Attach adds an Ethernet interface and starts one receive goroutine for each of the
// device's queues.
func (s *Stack) Attach(name string, dev link.Device, conf socket.InterfaceConfig) error {
	n := newNIC(s, name, dev)
	s.update(func(c *config) {
		c.nics = append(c.nics, n)
		n.index = len(c.nics)
		n.configure(c, conf)
	})
	for _, q := range n.queues {
		go q.run()
		go q.flusher()
	}
	n.begin(conf)
	return nil
}

// Close stops the timers, and each receive goroutine when its device's Wait next
// returns. Sockets are not told. It is for tests: a machine's stack ends with it.
func (s *Stack) Close() {
	s.closed.Store(true)
	s.timers.close()
	for _, n := range s.snapshot.Load().nics {
		for _, q := range n.queues {
			token(q.wake)
		}
	}
}

// Socket implements socket.Stack.
func (s *Stack) Socket(family, typ, protocol int) (socket.Endpoint, syscall.Errno) {
	if family != syscall.AF_INET && family != syscall.AF_INET6 {
		return nil, syscall.EAFNOSUPPORT
	}
	icmp := syscall.IPPROTO_ICMP
	if family == syscall.AF_INET6 {
		icmp = syscall.IPPROTO_ICMPV6
	}
	switch {
	case typ == syscall.SOCK_STREAM && (protocol == 0 || protocol == syscall.IPPROTO_TCP):
		return newTCP(s, family), 0
	case typ == syscall.SOCK_DGRAM && (protocol == 0 || protocol == syscall.IPPROTO_UDP):
		return newUDP(s, family), 0
	case typ == syscall.SOCK_DGRAM && protocol == icmp:
		return newRaw(s, family, protocol, true), 0
	case typ == syscall.SOCK_RAW && protocol > 0 && protocol < 255:
		return newRaw(s, family, protocol, false), 0
	case typ == syscall.SOCK_STREAM || typ == syscall.SOCK_DGRAM || typ == syscall.SOCK_RAW:
		return nil, syscall.EPROTONOSUPPORT
	}
	return nil, syscall.ESOCKTNOSUPPORT
}

// Interfaces implements socket.Stack.
func (s *Stack) Interfaces() []socket.Interface {
	c := s.snapshot.Load()
	list := make([]socket.Interface, 0, len(c.nics))
	for _, n := range c.nics {
		i := socket.Interface{Index: n.index, Name: n.name, MTU: int(n.mtu.Load()), Loopback: n.loopback, Up: true}
		n.mac.put(i.HardwareAddr[:])
		for _, l := range c.locals {
			if l.nic == n {
				i.Addrs = append(i.Addrs, l.prefix.netip())
			}
		}
		i.Groups = n.groups.list()
		list = append(list, i)
	}
	return list
}

// Routes implements socket.Stack.
func (s *Stack) Routes() []socket.Route {
	c := s.snapshot.Load()
	list := make([]socket.Route, 0, len(c.routes))
	for _, e := range c.routes {
		r := socket.Route{Destination: e.dst.netip(), Interface: e.nic.index}
		if e.gateway != (address{}) {
			r.Gateway = e.gateway.plain()
		}
		list = append(list, r)
	}
	return list
}

// Nameservers implements socket.Stack.
func (s *Stack) Nameservers() []netip.Addr {
	var list []netip.Addr
	for _, n := range s.snapshot.Load().nameservers {
		if !slices.Contains(list, n.addr) {
			list = append(list, n.addr)
		}
	}
	return list
}
