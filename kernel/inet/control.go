package inet

import "syscall"

// Control messages in Linux's layout: struct cmsghdr is an 8-byte length with itself,
// 4 bytes of level and 4 of type, and the data follows, padded to 8 bytes.
const controlHeader = 16

func controlSpace(n int) int { return controlHeader + (n+7)&^7 }

// controlWriter appends control messages to a buffer of a program's.
type controlWriter struct {
	buf []byte
	n   int
	cut bool // one didn't fit
}

// next begins a message with size bytes of data, and gives the place of the data, or nil.
func (w *controlWriter) next(level, kind, size int) []byte {
	if len(w.buf)-w.n < controlHeader+size {
		w.cut = true
		return nil
	}
	h := w.buf[w.n:]
	putLE64(h, uint64(controlHeader+size))
	putLE32(h[8:], uint32(level))
	putLE32(h[12:], uint32(kind))
	data := h[controlHeader : controlHeader+size]
	w.n += min(controlSpace(size), len(h))
	return data
}

// putControl writes what the program wants to know of a datagram.
func (e *base) putControl(oob []byte, d *datagram) (n int, cut bool) {
	w := controlWriter{buf: oob}
	if e.packetInfo && d.dst.is4() {
		if v := w.next(syscall.IPPROTO_IP, syscall.IP_PKTINFO, 12); v != nil {
			putLE32(v, uint32(d.nic))
			put32(v[4:], uint32(d.dst.lo)) // ipi_spec_dst
			put32(v[8:], uint32(d.dst.lo))
		}
	}
	if e.packetInfo6 && e.family == syscall.AF_INET6 {
		if v := w.next(syscall.IPPROTO_IPV6, ipv6PacketInfo, 20); v != nil {
			d.dst.put(v)
			putLE32(v[16:], uint32(d.nic))
		}
	}
	if e.hopLimitInfo {
		level, kind := syscall.IPPROTO_IP, syscall.IP_TTL
		if !d.dst.is4() {
			level, kind = syscall.IPPROTO_IPV6, syscall.IPV6_HOPLIMIT
		}
		if v := w.next(level, kind, 4); v != nil {
			putLE32(v, uint32(d.ttl))
		}
	}
	return w.n, w.cut
}

// parseControl reads the source address and the interface that a program asks for with
// IP_PKTINFO or IPV6_PKTINFO. Other messages are passed over.
func (e *base) parseControl(oob []byte, src *address, oif *int) syscall.Errno {
	for len(oob) >= controlHeader {
		length := le64(oob)
		if length < controlHeader || length > uint64(len(oob)) {
			return syscall.EINVAL
		}
		level, kind := int(le32(oob[8:])), int(le32(oob[12:]))
		v := oob[controlHeader:length]
		switch {
		case level == syscall.IPPROTO_IP && kind == syscall.IP_PKTINFO && len(v) >= 12:
			if a := v4(get32(v[4:])); a != anyV4 {
				*src = a
			}
			if n := int(le32(v)); n != 0 {
				*oif = n
			}
		case level == syscall.IPPROTO_IPV6 && kind == ipv6PacketInfo && len(v) >= 20:
			if a := v6(v); !a.unspecified() {
				*src = a
			}
			if n := int(le32(v[16:])); n != 0 {
				*oif = n
			}
		}
		oob = oob[min(controlSpace(len(v)), len(oob)):]
	}
	if *oif < 0 || *oif > len(e.s.snapshot.Load().nics) {
		return syscall.ENODEV
	}
	if !src.unspecified() && !src.isMulticast() && !e.s.snapshot.Load().isLocal(*src) {
		return syscall.EINVAL
	}
	return 0
}
