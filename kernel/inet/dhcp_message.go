package inet

// The format of DHCP messages (RFC 2131, section 2; RFC 2132).
const (
	dhcpFixed  = 240 // up to the options, the cookie included
	dhcpMin    = 300 // what old relays expect of a BOOTP message
	dhcpCookie = 0x63825363

	dhcpDiscover = 1
	dhcpOffer    = 2
	dhcpRequest  = 3
	dhcpAck      = 5
	dhcpNak      = 6

	dhcpOptMask      = 1
	dhcpOptRouter    = 3
	dhcpOptDNS       = 6
	dhcpOptHostname  = 12
	dhcpOptMTU       = 26
	dhcpOptRequested = 50
	dhcpOptLease     = 51
	dhcpOptOverload  = 52
	dhcpOptType      = 53
	dhcpOptServer    = 54
	dhcpOptWanted    = 55
	dhcpOptMaxSize   = 57
	dhcpOptRenew     = 58
	dhcpOptRebind    = 59
	dhcpOptClientID  = 61
	dhcpOptRoutes    = 121
	dhcpOptEnd       = 255

	// maxDHCPList bounds the routers, routes and DNS servers that one answer brings.
	maxDHCPList = 16
)

// dhcpMessage is a server's answer.
type dhcpMessage struct {
	kind                   uint8
	xid                    uint32
	mac                    hardwareAddr
	mask                   uint32
	seconds, renew, rebind uint32
	lease                  lease
}

// message appends the state's message to b, which has room for dhcpMin bytes and the
// options. Called with mu held.
func (d *dhcpClient) message(b []byte, state dhcpState, now int64) []byte {
	b = append(b, make([]byte, dhcpFixed)...)
	b[0], b[1], b[2] = 1, 1, 6
	put32(b[4:], d.xid)
	put16(b[8:], uint16(min((now-d.began)/1e9, 0xffff)))
	if state >= dhcpRenewing {
		put32(b[12:], uint32(d.current.addr.addr.lo))
	}
	d.nic.mac.put(b[28:])
	put32(b[236:], dhcpCookie)

	kind := byte(dhcpRequest)
	if state == dhcpSelecting {
		kind = dhcpDiscover
	}
	b = append(b, dhcpOptType, 1, kind)
	b = append(b, dhcpOptClientID, 7, 1, 0, 0, 0, 0, 0, 0)
	d.nic.mac.put(b[len(b)-6:])
	b = append(b, dhcpOptMaxSize, 2, 1500>>8, 1500&0xff)
	b = append(b, dhcpOptWanted, 8, dhcpOptMask, dhcpOptRouter, dhcpOptDNS, dhcpOptMTU,
		dhcpOptLease, dhcpOptRenew, dhcpOptRebind, dhcpOptRoutes)
	if state == dhcpRequesting {
		b = appendAddress(b, dhcpOptRequested, d.offer.addr.addr)
		b = appendAddress(b, dhcpOptServer, d.offer.server)
	}
	if name := d.nic.s.conf.Hostname; name != "" && len(name) < 64 {
		b = append(b, dhcpOptHostname, byte(len(name)))
		b = append(b, name...)
	}
	b = append(b, dhcpOptEnd)
	for len(b) < dhcpMin {
		b = append(b, 0)
	}
	return b
}

func appendAddress(b []byte, option byte, a address) []byte {
	b = append(b, option, 4, 0, 0, 0, 0)
	put32(b[len(b)-4:], uint32(a.lo))
	return b
}

// parseDHCP reads a server's answer. It reports false for what isn't one.
func parseDHCP(b []byte) (m dhcpMessage, ok bool) {
	if len(b) < dhcpFixed || b[0] != 2 || b[1] != 1 || b[2] != 6 || get32(b[236:]) != dhcpCookie {
		return m, false
	}
	m.xid = get32(b[4:])
	m.mac = getMAC(b[28:])
	m.lease.addr = prefix{v4(get32(b[16:])), 0}
	m.lease.server = anyV4
	overload := m.options(b[dhcpFixed:])
	if overload&1 != 0 {
		m.options(b[108:236]) // the file name's field
	}
	if overload&2 != 0 {
		m.options(b[44:108]) // the server name's
	}
	m.lease.addr.bits = 96 + maskBits(m.mask, uint32(m.lease.addr.addr.lo))
	return m, m.kind != 0
}

// maskBits counts a network mask's ones; without a mask it is the old class's.
func maskBits(mask, addr uint32) int {
	if mask == 0 {
		switch {
		case addr>>31 == 0:
			return 8
		case addr>>30 == 2:
			return 16
		}
		return 24
	}
	n := 0
	for ; mask&(1<<31) != 0; mask <<= 1 {
		n++
	}
	return n
}

// options reads a field of options, and gives the overload option's value.
func (m *dhcpMessage) options(o []byte) (overload uint8) {
	for len(o) > 0 && o[0] != dhcpOptEnd {
		if o[0] == 0 {
			o = o[1:]
			continue
		}
		if len(o) < 2 || int(o[1])+2 > len(o) {
			return overload
		}
		v := o[2 : 2+o[1]]
		if o[0] == dhcpOptOverload && len(v) == 1 {
			overload = v[0]
		}
		m.option(o[0], v)
		o = o[2+len(v):]
	}
	return overload
}

func (m *dhcpMessage) option(kind uint8, v []byte) {
	l := &m.lease
	switch {
	case kind == dhcpOptType && len(v) == 1:
		m.kind = v[0]
	case kind == dhcpOptRouter:
		l.routers = addresses(v)
	case kind == dhcpOptDNS:
		for _, a := range addresses(v) {
			l.servers = append(l.servers, a.plain())
		}
	case kind == dhcpOptMTU && len(v) == 2:
		l.mtu = int(get16(v))
	case kind == dhcpOptRoutes:
		l.routes = classless(v)
	case len(v) != 4:
	case kind == dhcpOptMask:
		m.mask = get32(v)
	case kind == dhcpOptServer:
		l.server = v4(get32(v))
	case kind == dhcpOptLease:
		m.seconds = get32(v)
	case kind == dhcpOptRenew:
		m.renew = get32(v)
	case kind == dhcpOptRebind:
		m.rebind = get32(v)
	}
}

// addresses reads a list of IPv4 addresses.
func addresses(v []byte) (list []address) {
	for ; len(v) >= 4 && len(list) < maxDHCPList; v = v[4:] {
		if a := v4(get32(v)); !a.unspecified() {
			list = append(list, a)
		}
	}
	return list
}

// classless reads the routes of RFC 3442.
func classless(v []byte) (list []routeEntry) {
	for len(v) > 0 && len(list) < maxDHCPList {
		width := int(v[0])
		n := (width + 7) / 8
		if width > 32 || len(v) < 1+n+4 {
			return list
		}
		var dst [4]byte
		copy(dst[:], v[1:1+n])
		e := routeEntry{dst: prefix{v4(get32(dst[:])).masked(96 + width), 96 + width}}
		if gateway := v4(get32(v[1+n:])); gateway != anyV4 {
			e.gateway = gateway
		}
		list = append(list, e)
		v = v[1+n+4:]
	}
	return list
}
