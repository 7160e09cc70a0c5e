package netstack

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"

	"pith/kernel/link"
	"pith/kernel/netstack/dhcp"
)

const dhcpClientPort = dhcp.ClientPort

// startDHCP starts a client that configures i and keeps doing so.
func (s *Stack) startDHCP(i *networkInterface) {
	b := &binding{s: s, i: i}
	client := &dhcp.Client{
		MAC:    i.card.dev.HardwareAddr(),
		Host:   s.hostname,
		Send:   i.card.sendFrame,
		Gained: b.gained,
		Lost:   b.lost,
		Random: random32,
	}
	take := client.Receive
	i.card.dhcp.Store(&take)
	done := make(chan struct{})
	i.stop = func() {
		client.Stop()
		<-done
	}
	go func() {
		client.Run()
		close(done)
	}()
}

// sendFrame puts a whole frame on the first queue.
func (c *card) sendFrame(frame []byte) {
	v := buffer.NewViewWithData(frame)
	defer v.Release()
	var list buffer.ViewList
	list.PushBack(v)
	b := c.gather(list, 0)
	list.Remove(v)
	if b == nil {
		return
	}
	c.dev.Transmit(0, b, link.Offload{})
	c.dev.Flush(0)
}

func random32() uint32 {
	var b [4]byte
	rand.Read(b[:]) // never fails (Go 1.24)
	return binary.LittleEndian.Uint32(b[:])
}

// binding is what the client's present lease has put into the stack. Its
// methods are called on the client's goroutine only.
type binding struct {
	s     *Stack
	i     *networkInterface
	lease dhcp.Lease
	bound bool
}

// gained applies a lease. A renewal that changes nothing leaves the stack, and
// its connections, alone.
func (b *binding) gained(l dhcp.Lease) {
	if b.bound && b.lease.Addr != l.Addr {
		b.lost()
	}
	if b.bound {
		b.removeRoutes()
	} else if err := b.s.addAddress(b.i.id, l.Addr); err != nil {
		println("pith: dhcp:", b.i.name, err.Error())
		return
	}
	b.lease, b.bound = l, true
	if l.MTU >= minMTU && l.MTU < b.i.card.dev.MTU() {
		b.s.stack.SetNICMTU(b.i.id, uint32(l.MTU))
	}
	for _, r := range routesOf(l) {
		b.s.addRoute(b.i.id, r.Destination, r.Gateway)
	}
	b.s.mu.Lock()
	b.i.dhcpNameservers = l.Nameservers
	b.s.mu.Unlock()
}

func (b *binding) lost() {
	if !b.bound {
		return
	}
	b.bound = false
	b.removeRoutes()
	b.s.removeAddress(b.i.id, b.lease.Addr)
	b.s.mu.Lock()
	b.i.dhcpNameservers = nil
	b.s.mu.Unlock()
}

func (b *binding) removeRoutes() {
	for _, r := range routesOf(b.lease) {
		b.s.removeRoute(b.i.id, r.Destination, r.Gateway)
	}
}

// routesOf lists a lease's routes; a gateway is invalid where the destination
// is on link.
func routesOf(l dhcp.Lease) []dhcp.Route {
	var list []dhcp.Route
	for _, r := range l.Routes {
		if r.Gateway.IsUnspecified() {
			r.Gateway = netip.Addr{}
		}
		list = append(list, r)
	}
	if len(list) == 0 && len(l.Routers) > 0 {
		list = append(list, dhcp.Route{Destination: everything(l.Routers[0]), Gateway: l.Routers[0]})
	}
	return list
}
