// Package router forwards IPv4 and IPv6 packets between Ethernet ports, with a
// stateful filter on the way: what a router and a firewall are made of.
//
// A packet is received, decided about and sent by one goroutine, in the buffer that
// it came in; nothing is allocated for a packet of a known connection. The router
// has its ports for itself: it answers ARP, neighbour solicitations and pings,
// and hands what else is sent to its own addresses to a small stack of its own
// (Local), so that the host's or kernel's stack plays no part.
//
// It relies on RFC 1812, RFC 8200, RFC 4861, RFC 5508, RFC 8900 (fragments) and on packages
// packet, conntrack and nft, whose hooks it calls in Linux's order. It must not open a
// socket or a file.
package router

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"pith/service/conntrack"
	"pith/service/firewall/nft"
	"pith/service/packet"
)

// Local is the stack for what is sent to the router's own addresses.
type Local interface {
	// Deliver takes an IP packet; it must not keep the slice.
	Deliver(ip []byte)
}

// Options of New.
type Options struct {
	Ports       []packet.Port
	Connections int // at most; 0 is 65536
	Log         *slog.Logger
	// Closed lets nothing pass until rules are loaded.
	Closed bool
	// Clock is in nanoseconds; nil is the monotonic clock.
	Clock func() int64
}

// Router is a router. Its methods may be called by many goroutines.
type Router struct {
	ports     []*port
	log       *slog.Logger
	clock     func() int64
	closed    bool
	state     atomic.Pointer[state]
	conns     *conntrack.Table
	neighbors neighbors
	fragments fragments
	errors    bucket // ICMP errors that may be sent
	logs      bucket // lines of log statements
	local     atomic.Pointer[Local]
	drops     [reasons]atomic.Uint64
	identity  atomic.Uint32 // of fragments
	apply     sync.Mutex
}

// port is a packet.Port with its workers.
type port struct {
	packet.Port
	index   int
	mac     packet.MAC
	workers []*worker
}

// state is a configuration in force. It does not change.
type state struct {
	faces  []*Interface
	byPort [][]*Interface // by port; searched by VLAN
	local  map[netip.Addr]*Interface
	routes routes
	rules  *nft.Ruleset // nil: nothing may pass
	config *Config
}

// Interface is a port, or one VLAN of it.
type Interface struct {
	Name      string
	Addresses []netip.Prefix
	MTU       int
	VLAN      uint16

	index     int
	value     nft.Value
	port      *port
	linkLocal netip.Addr
	clampMSS  bool
	dhcp      *dhcpServer
	advert    *advertiser

	RxPackets, RxBytes, TxPackets, TxBytes, TxDropped atomic.Uint64
}

// reason why a packet was dropped.
type reason uint8

const (
	dropMalformed reason = iota
	dropNotOurs
	dropFilter
	dropClosed
	dropNoRoute
	dropTTL
	dropTooBig
	dropNeighbor
	dropTable
	dropMartian
	dropFragment
	dropPort
	reasons
)

var reasonNames = [reasons]string{"malformed", "not-ours", "filter", "no-rules", "no-route", "ttl", "too-big", "neighbour", "connection-table", "martian", "fragment", "port"}

// New makes a router that drops everything until Apply.
func New(o Options) *Router {
	r := &Router{log: o.Log, clock: o.Clock, closed: o.Closed}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.clock == nil {
		start := time.Now()
		r.clock = func() int64 { return int64(time.Since(start)) }
	}
	if o.Connections == 0 {
		o.Connections = 1 << 16
	}
	r.conns = conntrack.NewTable(o.Connections)
	r.neighbors.init(r)
	r.fragments.init()
	r.errors.rate, r.errors.most = 1000, 200
	r.logs.rate, r.logs.most = 100, 100
	for i, p := range o.Ports {
		q := &port{Port: p, index: i, mac: p.HardwareAddr()}
		r.ports = append(r.ports, q)
	}
	for _, p := range r.ports {
		for i := range p.Queues() {
			p.workers = append(p.workers, newWorker(r, p, i))
		}
	}
	return r
}

// SetLocal gives the router its own stack.
func (r *Router) SetLocal(l Local) { r.local.Store(&l) }

// Run receives until a port fails or all are closed.
func (r *Router) Run() error {
	errs := make(chan error, len(r.ports))
	for _, p := range r.ports {
		go func() {
			err := p.Receive(
				func(queue int, f *packet.Frame) { p.workers[queue].input(f) },
				func(queue int) { p.workers[queue].done() })
			if err != nil {
				err = fmt.Errorf("%s: %w", p.Name(), err)
			}
			errs <- err
		}()
	}
	for range r.ports {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// Tick does what is due; it is called about once a second.
func (r *Router) Tick() {
	now := r.clock()
	r.conns.Sweep(now)
	r.fragments.sweep(now)
	r.neighbors.tick(now)
	if s := r.state.Load(); s != nil {
		for _, f := range s.faces {
			if f.advert != nil {
				f.advert.tick(r, f, now)
			}
		}
	}
}

// Apply puts a configuration and rules into force, all at once. Connections and
// neighbours stay. On an error nothing has changed.
func (r *Router) Apply(c *Config, rules *nft.Ruleset) error {
	r.apply.Lock()
	defer r.apply.Unlock()
	s, err := r.build(c)
	if err != nil {
		return err
	}
	if rules == nil && !r.closed {
		rules = &nft.Ruleset{}
	}
	s.rules = rules
	if rules != nil {
		rules.Log = r.logPacket
	}
	r.keepCounters(s)
	r.state.Store(s)
	return nil
}

// keepCounters carries counters and leases over to interfaces of the same name.
func (r *Router) keepCounters(s *state) {
	old := r.state.Load()
	if old == nil {
		return
	}
	for _, f := range s.faces {
		for _, o := range old.faces {
			if o.Name != f.Name {
				continue
			}
			f.RxPackets.Store(o.RxPackets.Load())
			f.RxBytes.Store(o.RxBytes.Load())
			f.TxPackets.Store(o.TxPackets.Load())
			f.TxBytes.Store(o.TxBytes.Load())
			f.TxDropped.Store(o.TxDropped.Load())
			if f.dhcp != nil && o.dhcp != nil {
				f.dhcp.inherit(o.dhcp)
			}
		}
	}
}

// Config is the configuration in force, nil before the first Apply.
func (r *Router) Config() *Config {
	if s := r.state.Load(); s != nil {
		return s.config
	}
	return nil
}

// Rules are the rules in force; nil: nothing passes.
func (r *Router) Rules() *nft.Ruleset {
	if s := r.state.Load(); s != nil {
		return s.rules
	}
	return nil
}

// logPacket is called by log statements of rules.
func (r *Router) logPacket(prefix string, c *nft.Context) {
	if !r.logs.allow(r.clock()) {
		return
	}
	p := c.Packet
	r.log.Info("packet", "prefix", prefix, "in", c.In.Name(), "out", c.Out.Name(), "src", p.Src, "dst", p.Dst,
		"protocol", p.Protocol, "sport", p.SrcPort, "dport", p.DstPort, "length", p.Length)
}

func (r *Router) drop(why reason) { r.drops[why].Add(1) }

// bucket is a token bucket without a lock.
type bucket struct {
	rate, most int64 // a second; at once
	full       atomic.Int64
}

// allow takes a token. full is the time at which the bucket will be full again.
func (b *bucket) allow(now int64) bool {
	cost := int64(1e9) / b.rate
	for {
		full := b.full.Load()
		next := max(full, now) + cost
		if next-now > cost*b.most {
			return false
		}
		if b.full.CompareAndSwap(full, next) {
			return true
		}
	}
}
