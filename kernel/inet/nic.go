package inet

import (
	"slices"
	"sync"
	"sync/atomic"

	"pith/kernel/link"
	"pith/kernel/socket"
)

// nic is one network interface.
type nic struct {
	s        *Stack
	index    int // from 1
	name     string
	dev      link.Device
	mac      hardwareAddr
	mtu      atomic.Int32 // of IP packets, in bytes
	mtu6     atomic.Int32 // what routers advertise for IPv6, at most mtu
	features link.Features
	loopback bool
	queues   []*queue

	neighbors neighborTable
	groups    groupTable
	reporter  reporter
	dhcp      *dhcpClient // nil without
	slaac     *slaac      // nil on the loopback
}

func newNIC(s *Stack, name string, dev link.Device) *nic {
	n := &nic{s: s, name: name, dev: dev, features: dev.Features()}
	hw := dev.HardwareAddr()
	n.mac = getMAC(hw[:])
	n.mtu.Store(int32(dev.MTU()))
	n.mtu6.Store(int32(dev.MTU()))
	n.neighbors.init(n)
	n.reporter.nic = n
	for i := range dev.Queues() {
		n.queues = append(n.queues, newQueue(n, i))
	}
	return n
}

// configure adds the static addresses and routes. Called within Stack.update.
func (n *nic) configure(c *config, conf socket.InterfaceConfig) {
	for _, p := range conf.Addrs {
		c.addAddress(n, fromPrefix(p), fromStatic)
	}
	for _, g := range conf.Gateways {
		c.addDefault(n, fromNetip(g.WithZone("")), fromStatic)
	}
	for _, r := range conf.Routes {
		c.addRoute(routeEntry{dst: fromPrefix(r.Destination), gateway: fromNetip(r.Gateway.WithZone("")), nic: n})
	}
	c.setNameservers(n, fromStatic, conf.Nameservers)
}

// begin starts what runs over the wire: automatic configuration.
func (n *nic) begin(conf socket.InterfaceConfig) {
	n.slaac = newSLAAC(n, conf.SLAAC)
	n.slaac.start()
	n.announce()
	if conf.DHCP {
		n.dhcp = newDHCP(n)
		n.dhcp.start()
	}
}

// queueFor spreads flows over the queues by their ports. The sum of the ports doesn't
// do alone: Linux's connect takes even ports as long as it finds any.
func (n *nic) queueFor(ports uint32) *queue {
	if len(n.queues) == 1 {
		return n.queues[0]
	}
	const golden = 0x9e3779b1 // 2^32 divided by the golden ratio: multiples of it lie far apart
	return n.queues[uint64(ports*golden)*uint64(len(n.queues))>>32]
}

// groupTable counts the multicast groups that sockets joined.
type groupTable struct {
	mu     sync.Mutex
	counts map[address]int
	joined atomic.Pointer[map[address]bool] // for look-ups without lock
}

// join adds one membership and reports whether it is the group's first.
func (t *groupTable) join(g address) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = make(map[address]int)
	}
	t.counts[g]++
	t.publish()
	return t.counts[g] == 1
}

// leave takes one membership back and reports whether it was the group's last.
func (t *groupTable) leave(g address) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts[g] == 0 {
		return false
	}
	t.counts[g]--
	last := t.counts[g] == 0
	if last {
		delete(t.counts, g)
	}
	t.publish()
	return last
}

// publish makes the look-up copy. Called with mu held.
func (t *groupTable) publish() {
	set := make(map[address]bool, len(t.counts))
	for g := range t.counts {
		set[g] = true
	}
	t.joined.Store(&set)
}

// list returns the groups in order.
func (t *groupTable) list() (list []socket.Group) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for g, users := range t.counts {
		list = append(list, socket.Group{Addr: g.plain(), Users: users})
	}
	slices.SortFunc(list, func(x, y socket.Group) int { return x.Addr.Compare(y.Addr) })
	return list
}

func (t *groupTable) has(g address) bool {
	set := t.joined.Load()
	return set != nil && (*set)[g]
}
