package netstack

import (
	"encoding/binary"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Control messages have Linux's layout for 64-bit machines: struct cmsghdr is
// length (8 bytes, header included), level and type (4 each), then the data,
// padded to 8 bytes (man 3 cmsg).
const (
	cmsgHeader = 16
	cmsgAlign  = 8

	ipv6HopLimitMsg = 52 // IPV6_HOPLIMIT
	ipv6PktInfoMsg  = 50 // IPV6_PKTINFO
	soTimestampMsg  = 29 // SO_TIMESTAMP, SCM_TIMESTAMP
)

// control writes the messages that the program has asked for, as many as fit.
// cut reports that some did not.
func (e *endpoint) control(oob []byte, m *tcpip.ReceivableControlMessages) (n int, cut bool) {
	w := controlWriter{oob: oob}
	if m.HasTOS {
		w.put(syscall.IPPROTO_IP, syscall.IP_TOS, []byte{m.TOS})
	}
	if m.HasTTL {
		w.put32(syscall.IPPROTO_IP, syscall.IP_TTL, uint32(m.TTL))
	}
	if m.HasIPPacketInfo {
		w.put(syscall.IPPROTO_IP, syscall.IP_PKTINFO, packetInfo4(&m.PacketInfo))
	}
	if m.HasTClass {
		w.put32(syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS, m.TClass)
	}
	if m.HasHopLimit {
		w.put32(syscall.IPPROTO_IPV6, ipv6HopLimitMsg, uint32(m.HopLimit))
	}
	if m.HasIPv6PacketInfo {
		w.put(syscall.IPPROTO_IPV6, ipv6PktInfoMsg, packetInfo6(&m.IPv6PacketInfo))
	}
	return w.n, w.cut
}

// packetInfo4 is struct in_pktinfo.
func packetInfo4(i *tcpip.IPPacketInfo) []byte {
	b := make([]byte, 12)
	binary.LittleEndian.PutUint32(b, uint32(i.NIC))
	copy(b[4:8], i.LocalAddr.AsSlice())
	copy(b[8:12], i.DestinationAddr.AsSlice())
	return b
}

// packetInfo6 is struct in6_pktinfo.
func packetInfo6(i *tcpip.IPv6PacketInfo) []byte {
	b := make([]byte, 20)
	copy(b, i.Addr.AsSlice())
	binary.LittleEndian.PutUint32(b[16:], uint32(i.NIC))
	return b
}

type controlWriter struct {
	oob []byte
	n   int
	cut bool
}

func (w *controlWriter) put32(level, typ int, v uint32) {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], v)
	w.put(level, typ, b[:])
}

func (w *controlWriter) put(level, typ int, data []byte) {
	room := w.oob[w.n:]
	if len(room) < cmsgHeader+len(data) {
		w.cut = true
		return
	}
	binary.LittleEndian.PutUint64(room, uint64(cmsgHeader+len(data)))
	binary.LittleEndian.PutUint32(room[8:], uint32(level))
	binary.LittleEndian.PutUint32(room[12:], uint32(typ))
	copy(room[cmsgHeader:], data)
	w.n = min(w.n+aligned(cmsgHeader+len(data)), len(w.oob))
}

func aligned(n int) int { return (n + cmsgAlign - 1) &^ (cmsgAlign - 1) }

// parseControl reads the messages of a send. It knows those that change a
// datagram's source, interface or hop limit; others are EINVAL, as on Linux.
func (e *endpoint) parseControl(oob []byte, o *tcpip.WriteOptions) syscall.Errno {
	for len(oob) >= cmsgHeader {
		size := binary.LittleEndian.Uint64(oob)
		if size < cmsgHeader || size > uint64(len(oob)) {
			return syscall.EINVAL
		}
		level := int(int32(binary.LittleEndian.Uint32(oob[8:])))
		typ := int(int32(binary.LittleEndian.Uint32(oob[12:])))
		if n := e.sendControl(level, typ, oob[cmsgHeader:size], o); n != 0 {
			return n
		}
		oob = oob[min(aligned(int(size)), len(oob)):]
	}
	return 0
}

func (e *endpoint) sendControl(level, typ int, data []byte, o *tcpip.WriteOptions) syscall.Errno {
	c := &o.ControlMessages
	switch {
	case level == syscall.IPPROTO_IP && typ == syscall.IP_TTL && len(data) == 4:
		c.HasTTL, c.TTL = true, data[0]
	case level == syscall.IPPROTO_IP && typ == syscall.IP_TOS && len(data) >= 1:
		// Accepted; gVisor has no such thing for one datagram.
	case level == syscall.IPPROTO_IP && typ == syscall.IP_PKTINFO && len(data) == 12:
		return e.sendFrom4(data, o)
	case level == syscall.IPPROTO_IPV6 && typ == ipv6HopLimitMsg && len(data) == 4:
		c.HasHopLimit, c.HopLimit = true, data[0]
	case level == syscall.IPPROTO_IPV6 && typ == syscall.IPV6_TCLASS && len(data) == 4:
	case level == syscall.IPPROTO_IPV6 && typ == ipv6PktInfoMsg && len(data) == 20:
		c.HasIPv6PacketInfo = true
		c.IPv6PacketInfo.NIC = tcpip.NICID(binary.LittleEndian.Uint32(data[16:]))
		if a := tcpip.AddrFrom16Slice(data[:16]); !a.Unspecified() {
			c.IPv6PacketInfo.Addr = a
		}
	case level == syscall.SOL_SOCKET:
		// SCM_TIMESTAMPING and the like ask for nothing that we have.
	default:
		return syscall.EINVAL
	}
	return 0
}

// sendFrom4 honours the interface of struct in_pktinfo. Its source address
// can't be chosen for a single datagram; gVisor takes the interface's first
// one, which is the address asked for unless the interface has several.
func (e *endpoint) sendFrom4(data []byte, o *tcpip.WriteOptions) syscall.Errno {
	nic := tcpip.NICID(binary.LittleEndian.Uint32(data))
	if source := tcpip.AddrFrom4Slice(data[4:8]); !source.Unspecified() {
		holder := e.s.stack.CheckLocalAddress(nic, header.IPv4ProtocolNumber, source)
		if holder == 0 {
			return syscall.EINVAL
		}
		nic = holder
	}
	if nic != 0 && nic != loopbackID && o.To != nil && o.To.NIC == 0 {
		o.To.NIC = nic
	}
	return 0
}
