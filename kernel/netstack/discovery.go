package netstack

import (
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// discovery does what router advertisements ask for (RFC 4861, 8106): routes
// and nameservers. gVisor itself forms the addresses.
//
// It implements ipv6.NDPDispatcher, whose methods must not call the stack:
// they leave the work to a goroutine of discovery's own.
type discovery struct {
	s *Stack

	mu      sync.Mutex
	work    []func()
	busy    bool // a goroutine is emptying work
	closed  bool
	servers []nameserver
	names   map[tcpip.NICID]string // of interfaces
}

// nameserver is a DNS server and when it stops being one.
type nameserver struct {
	addr  netip.Addr
	until time.Time // zero: never
}

var _ ipv6.NDPDispatcher = (*discovery)(nil)

func newDiscovery() *discovery { return &discovery{names: make(map[tcpip.NICID]string)} }

// call tells an interface's name, before the interface is enabled.
func (d *discovery) call(id tcpip.NICID, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[id] = name
}

// options are the IPv6 protocol's. Duplicate address detection is off (RFC
// 4862, section 5.1 allows DupAddrDetectTransmits of 0): it would cost
// each start one second, and all our addresses stem from configuration or from
// a hardware address that the machine's manager keeps unique.
func (d *discovery) options() ipv6.Options {
	return ipv6.Options{
		NDPDisp:          d,
		AutoGenLinkLocal: true,
		DADConfigs:       stack.DADConfigurations{DupAddrDetectTransmits: 0},
	}
}

// start sets the stack to work on. Nothing is dispatched before there is an
// interface.
func (d *discovery) start(s *Stack) { d.s = s }

func (d *discovery) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.work = nil
}

// later runs f on discovery's goroutine, after what was given before.
func (d *discovery) later(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.work = append(d.work, f)
	if !d.busy {
		d.busy = true
		go d.run()
	}
}

func (d *discovery) run() {
	for {
		d.mu.Lock()
		work := d.work
		d.work = nil
		d.busy = len(work) > 0
		d.mu.Unlock()
		if len(work) == 0 {
			return
		}
		for _, f := range work {
			f()
		}
	}
}

// nameservers lists those that are still valid.
func (d *discovery) nameservers() []netip.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []netip.Addr
	now := time.Now()
	for _, n := range d.servers {
		if n.until.IsZero() || now.Before(n.until) {
			list = append(list, n.addr)
		}
	}
	return list
}

// OnRecursiveDNSServerOption implements ipv6.NDPDispatcher.
func (d *discovery) OnRecursiveDNSServerOption(id tcpip.NICID, addrs []tcpip.Address, lifetime time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range addrs {
		addr := fromAddress(a)
		if addr.IsLinkLocalUnicast() {
			addr = addr.WithZone(d.names[id])
		}
		d.learn(addr, lifetime)
	}
}

// learn adds, renews or, with no lifetime, forgets a server. mu is held.
func (d *discovery) learn(addr netip.Addr, lifetime time.Duration) {
	const most = 8 // a hostile router must not fill memory
	kept := d.servers[:0]
	for _, n := range d.servers {
		if n.addr != addr {
			kept = append(kept, n)
		}
	}
	d.servers = kept
	if lifetime <= 0 || len(d.servers) >= most {
		return
	}
	n := nameserver{addr: addr}
	if lifetime < header.NDPInfiniteLifetime {
		n.until = time.Now().Add(lifetime)
	}
	d.servers = append(d.servers, n)
}

// OnOffLinkRouteUpdated implements ipv6.NDPDispatcher.
func (d *discovery) OnOffLinkRouteUpdated(id tcpip.NICID, to tcpip.Subnet, router tcpip.Address, _ header.NDPRoutePreference) {
	d.later(func() { d.s.addRoute(id, fromSubnet(to), fromAddress(router)) })
}

// OnOffLinkRouteInvalidated implements ipv6.NDPDispatcher.
func (d *discovery) OnOffLinkRouteInvalidated(id tcpip.NICID, to tcpip.Subnet, router tcpip.Address) {
	d.later(func() { d.s.removeRoute(id, fromSubnet(to), fromAddress(router)) })
}

// OnOnLinkPrefixDiscovered implements ipv6.NDPDispatcher.
func (d *discovery) OnOnLinkPrefixDiscovered(id tcpip.NICID, prefix tcpip.Subnet) {
	d.later(func() { d.s.addRoute(id, fromSubnet(prefix), netip.Addr{}) })
}

// OnOnLinkPrefixInvalidated implements ipv6.NDPDispatcher.
func (d *discovery) OnOnLinkPrefixInvalidated(id tcpip.NICID, prefix tcpip.Subnet) {
	d.later(func() { d.s.removeRoute(id, fromSubnet(prefix), netip.Addr{}) })
}

// OnAutoGenAddress implements ipv6.NDPDispatcher.
func (d *discovery) OnAutoGenAddress(tcpip.NICID, tcpip.AddressWithPrefix) stack.AddressDispatcher {
	return nil
}

// OnAutoGenAddressDeprecated implements ipv6.NDPDispatcher.
func (d *discovery) OnAutoGenAddressDeprecated(tcpip.NICID, tcpip.AddressWithPrefix) {}

// OnAutoGenAddressInvalidated implements ipv6.NDPDispatcher.
func (d *discovery) OnAutoGenAddressInvalidated(tcpip.NICID, tcpip.AddressWithPrefix) {}

// OnDuplicateAddressDetectionResult implements ipv6.NDPDispatcher.
func (d *discovery) OnDuplicateAddressDetectionResult(tcpip.NICID, tcpip.Address, stack.DADResult) {
}

// OnDNSSearchListOption implements ipv6.NDPDispatcher. Names are looked up as
// they are.
func (d *discovery) OnDNSSearchListOption(tcpip.NICID, []string, time.Duration) {}

// OnDHCPv6Configuration implements ipv6.NDPDispatcher. There is no DHCPv6
// client.
func (d *discovery) OnDHCPv6Configuration(tcpip.NICID, ipv6.DHCPv6ConfigurationFromNDPRA) {}
