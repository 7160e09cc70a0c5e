package forward

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"pith/service/packet"
)

// Sizes in bytes: the least Ethernet frame, with its check sequence, and the
// largest IP packet that an Ethernet frame carries.
const (
	LeastFrame    = 64
	LargestPacket = 1500
)

// flows is how many UDP flows there are.
const flows = 64

// port is the UDP port that the rules let through.
const port = 9

// Flow is how many packets came through.
type Flow struct {
	Sent, Through int64
	Length        time.Duration
	Tenths        []float64 // packets per second that came through in each tenth of the time
}

// Rate is how many came through per second.
func (f Flow) Rate() float64 { return float64(f.Through) / f.Length.Seconds() }

// Delay is how long packets took that were sent one by one.
type Delay struct {
	Sent, Lost int64
	Latency    *hdrhistogram.Histogram // nanoseconds, of those that came through
}

// Microseconds is a quantile (0 to 100).
func (d Delay) Microseconds(quantile float64) float64 {
	return float64(d.Latency.ValueAtPercentile(quantile)) / 1000
}

// newLatency holds up to ten seconds.
func newLatency() *hdrhistogram.Histogram { return hdrhistogram.New(1, 10_000_000_000, 3) }

// checkSize refuses what is no size of a packet here.
func checkSize(size int) error {
	if size < LeastFrame || size > LargestPacket {
		return fmt.Errorf("forward: packets of %d bytes: there can be %d to %d", size, LeastFrame, LargestPacket)
	}
	return nil
}

// frame is a packet of a flow. One of 64 bytes is the least frame, which has 60
// without its check sequence; others are IP packets of that size.
func frame(to, from packet.MAC, size, flow int) []byte {
	n := size - 28
	if size == LeastFrame {
		n = 60 - packet.EthernetLen - 28
	}
	p, b := packet.NewIP(packet.IPHeader{Src: left.host.Addr(), Dst: right.host.Addr(), Protocol: packet.UDP, TTL: 64}, 8+n)
	binary.BigEndian.PutUint16(b, uint16(20000+flow))
	binary.BigEndian.PutUint16(b[2:], port)
	binary.BigEndian.PutUint16(b[4:], uint16(8+n))
	p.SumTransport()
	p.SetEthernet(to, from, 0)
	return p.Frame.Bytes()
}

// payload is where a frame's own bytes begin.
const payload = packet.EthernetLen + 20 + 8

// number makes a frame the one of a number. Without a UDP checksum, which IPv4 allows,
// none has to be made anew.
func number(frame []byte, n uint64) {
	frame[payload-2], frame[payload-1] = 0, 0
	binary.BigEndian.PutUint64(frame[payload:], n)
}

// numberOf is a received frame's number, if it is one of ours.
func numberOf(b []byte) (uint64, bool) {
	if len(b) < payload+8 || binary.BigEndian.Uint16(b[12:]) != packet.EtherIPv4 || b[23] != packet.UDP {
		return 0, false
	}
	src, _ := netip.AddrFromSlice(b[26:30])
	if src != left.host.Addr() || binary.BigEndian.Uint16(b[payload-6:]) != port {
		return 0, false
	}
	return binary.BigEndian.Uint64(b[payload:]), true
}

// hardwareAddr is an interface's.
func hardwareAddr(link string) (packet.MAC, error) {
	i, err := net.InterfaceByName(link)
	if err != nil {
		return packet.MAC{}, fmt.Errorf("forward: %s: %w", link, err)
	}
	return packet.MAC(i.HardwareAddr), nil
}
