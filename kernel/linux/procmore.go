package linux

import "pith/kernel/socket"

// procFileNumbers is /proc/sys/fs/file-nr: open files, free ones, the most.
func procFileNumbers() []byte {
	var p prose
	open := 0
	fds.each(0, maxDescriptors, func(uintptr) { open++ })
	return *p.number(uint64(open)).add("\t0\t").number(maxDescriptors).add("\n")
}

// procRoute is /proc/net/route: the IPv4 routes, addresses in hexadecimal as
// the processor stores them.
func procRoute() []byte {
	var p prose
	p.add("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n")
	s := stack()
	if s == nil {
		return p
	}
	names := map[int]string{}
	for _, i := range s.Interfaces() {
		names[i.Index] = i.Name
	}
	for _, r := range s.Routes() {
		if r.Destination.Addr().Is4() {
			p.route(names[r.Interface], r)
		}
	}
	return p
}

func (p *prose) route(name string, r socket.Route) {
	const up, viaGateway = 1, 2
	flags := uint64(up)
	var gateway [4]byte
	if r.Gateway.Is4() {
		gateway, flags = r.Gateway.As4(), up|viaGateway
	}
	to := r.Destination.Addr().As4()
	mask := ^uint32(0) << (32 - r.Destination.Bits())
	p.add(name).add("\t").reversed(to).add("\t").reversed(gateway).add("\t000").number(flags).add("\t0\t0\t0\t")
	p.reversed([4]byte{byte(mask >> 24), byte(mask >> 16), byte(mask >> 8), byte(mask)}).add("\t0\t0\t0\n")
}

// reversed adds four bytes in hexadecimal, the last first.
func (p *prose) reversed(b [4]byte) *prose { return p.hexUpper(b[3], b[2], b[1], b[0]) }

func (p *prose) hexUpper(bytes ...byte) *prose {
	const digits = "0123456789ABCDEF"
	for _, b := range bytes {
		*p = append(*p, digits[b>>4], digits[b&15])
	}
	return p
}
