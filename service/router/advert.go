package router

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"pith/service/packet"
)

// Times of router advertisements (RFC 4861, section 6.2.1), in nanoseconds.
const (
	advertEvery = 200e9
	advertLeast = 3e9 // between two that were asked for
	advertFirst = 16e9
	advertMany  = 3 // first ones, sent faster
)

var allNodes = netip.MustParseAddr("ff02::1")

// advertiser sends router advertisements on an interface.
type advertiser struct {
	conf AdvertiseConfig
	last atomic.Int64
	sent atomic.Int64
}

func newAdvertiser(c *AdvertiseConfig) *advertiser {
	a := &advertiser{conf: *c}
	if a.conf.Lifetime == 0 {
		a.conf.Lifetime = Duration(30 * time.Minute)
	}
	return a
}

func (a *advertiser) tick(r *Router, f *Interface, now int64) {
	every := int64(advertEvery)
	if a.sent.Load() < advertMany {
		every = advertFirst
	}
	if a.sent.Load() == 0 || now-a.last.Load() >= every {
		a.send(r, f, now)
	}
}

// solicited answers a solicitation, to all.
func (a *advertiser) solicited(r *Router, f *Interface, now int64) {
	if a.sent.Load() == 0 || now-a.last.Load() >= advertLeast {
		a.send(r, f, now)
	}
}

func (a *advertiser) send(r *Router, f *Interface, now int64) {
	a.last.Store(now)
	a.sent.Add(1)
	r.background(f, func(w *worker) {
		w.send(a.message(f), f, packet.MulticastMAC(allNodes))
	})
}

// message is the advertisement (RFC 4861, section 4.2; RFC 8106 for DNS).
func (a *advertiser) message(f *Interface) *packet.Packet {
	seconds := uint32(time.Duration(a.conf.Lifetime) / time.Second)
	b := []byte{packet.RouterAdvert, 0, 0, 0, 64, 0, byte(seconds >> 8), byte(seconds), 0, 0, 0, 0, 0, 0, 0, 0}
	b = append(b, 1, 1)
	b = append(b, f.port.mac[:]...)
	b = append(b, 5, 1, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(f.MTU))
	for _, p := range f.Addresses {
		if !p.Addr().Is6() || p.Addr().IsLinkLocalUnicast() {
			continue
		}
		flags := byte(0x80)
		if p.Bits() == 64 {
			flags |= 0x40 // stations may make addresses of it
		}
		prefix := p.Masked().Addr().As16()
		b = append(b, 3, 4, byte(p.Bits()), flags)
		b = binary.BigEndian.AppendUint32(b, 86400)
		b = binary.BigEndian.AppendUint32(b, 14400)
		b = append(append(b, 0, 0, 0, 0), prefix[:]...)
	}
	var servers []byte
	for _, d := range a.conf.DNS {
		if d.Is6() {
			s := d.As16()
			servers = append(servers, s[:]...)
		}
	}
	if len(servers) > 0 {
		b = append(b, 25, byte(1+len(servers)/8), 0, 0)
		b = binary.BigEndian.AppendUint32(b, seconds)
		b = append(b, servers...)
	}
	p, body := packet.NewIP(packet.IPHeader{Src: f.linkLocal, Dst: allNodes, Protocol: packet.ICMPv6, TTL: 255}, len(b))
	copy(body, b)
	p.Type = packet.RouterAdvert
	p.SumTransport()
	return p
}
