package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"pith/service/packet"
)

// flows is how many UDP flows there are.
const flows = 64

// sender sends packets into a machine's left tap and counts those that come out of the
// right one.
type sender struct {
	m      *machine
	fd     int
	frames map[int][][]byte
	count  *os.File // the kernel's counts of packets
}

func newSender(ctx context.Context, m *machine) (*sender, error) {
	mac, err := m.hardwareAddr(ctx)
	if err != nil {
		return nil, err
	}
	left, err := net.InterfaceByName(m.left)
	if err != nil {
		return nil, err
	}
	s := &sender{m: m, frames: map[int][][]byte{}}
	if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, err
	}
	err = errors.Join(unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.Bind(s.fd, &unix.SockaddrLinklayer{Ifindex: left.Index}))
	if err != nil {
		return nil, err
	}
	for _, size := range []int{64, 1500} {
		for flow := range flows {
			s.frames[size] = append(s.frames[size], frame(m, mac, packet.MAC(left.HardwareAddr), size, flow))
		}
	}
	s.count, err = os.Open("/proc/self/net/dev")
	return s, err
}

// frame is a packet of a flow. A frame of 64 bytes on the wire has 60 without its check
// sequence; one of 1,500 is an IP packet of that size.
func frame(m *machine, to, from packet.MAC, size, flow int) []byte {
	n := size - 28
	if size == 64 {
		n = 60 - packet.EthernetLen - 28
	}
	p, b := packet.NewIP(packet.IPHeader{Src: netip.AddrFrom4([4]byte{10, byte(m.subnet), 0, 2}), Dst: netip.AddrFrom4([4]byte{10, byte(m.subnet + 1), 0, 2}),
		Protocol: packet.UDP, TTL: 64}, 8+n)
	binary.BigEndian.PutUint16(b, uint16(20000+flow))
	binary.BigEndian.PutUint16(b[2:], 9)
	binary.BigEndian.PutUint16(b[4:], uint16(8+n))
	p.SumTransport()
	p.SetEthernet(to, from, 0)
	return p.Frame.Bytes()
}

// hardwareAddr asks for the machine's address on the left, as any host does.
func (m *machine) hardwareAddr(ctx context.Context) (packet.MAC, error) {
	addr := fmt.Sprintf("10.%d.0.1", m.subnet)
	for range 300 {
		if c, err := net.Dial("udp4", addr+":9"); err == nil {
			c.Write([]byte("?"))
			c.Close()
		}
		text, err := os.ReadFile("/proc/net/arp")
		if err != nil {
			return packet.MAC{}, err
		}
		for line := range strings.Lines(string(text)) {
			w := strings.Fields(line)
			if mac, err := net.ParseMAC(w[min(3, len(w)-1)]); err == nil && w[0] == addr && w[2] != "0x0" {
				return packet.MAC(mac), nil
			}
		}
		select {
		case <-ctx.Done():
			return packet.MAC{}, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return packet.MAC{}, fmt.Errorf("%s does not answer ARP", addr)
}

// received reads the right tap's count (its second number; see proc_net_dev(5)).
func (s *sender) received() (uint64, error) {
	b := make([]byte, 4096)
	n, err := s.count.ReadAt(b, 0)
	if n == 0 {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(b[:n]), " "+s.m.right+":")
	words := strings.Fields(rest)
	if !ok || len(words) < 2 {
		return 0, errors.New("there is no interface " + s.m.right)
	}
	return strconv.ParseUint(words[1], 10, 64)
}

const (
	burst = 32
	// lost is after how long without progress what is under way counts as lost.
	lost = 20 * time.Millisecond
)

// rate sends for a while, with so many packets under way, and returns how many a second
// came through. A fifth of the time before does not count.
func (s *sender) rate(ctx context.Context, size, window int, length time.Duration) (float64, error) {
	if _, err := s.flood(ctx, size, window, length/5); err != nil {
		return 0, err
	}
	start := time.Now()
	n, err := s.flood(ctx, size, window, length)
	if err == nil && n == 0 {
		err = errors.New("nothing comes through")
	}
	return float64(n) / time.Since(start).Seconds(), err
}

func (s *sender) flood(ctx context.Context, size, window int, length time.Duration) (uint64, error) {
	first, err := s.received()
	if err != nil {
		return 0, err
	}
	last, sent, flow := first, uint64(0), 0
	progress := time.Now()
	for end := time.Now().Add(length); time.Now().Before(end) && ctx.Err() == nil; {
		now, err := s.received()
		if err != nil {
			return 0, err
		}
		if now != last {
			last, progress = now, time.Now()
		}
		if time.Since(progress) > lost {
			sent, progress = now-first, time.Now()
		}
		if int64(sent)-int64(now-first) > int64(window-burst) {
			time.Sleep(20 * time.Microsecond)
			continue
		}
		for range burst {
			flow = (flow + 1) % flows
			if _, err := unix.Write(s.fd, s.frames[size][flow]); err != nil && err != unix.ENOBUFS {
				return 0, err
			}
			sent++
		}
	}
	time.Sleep(lost)
	now, err := s.received()
	return now - first, err
}
