package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"pith/service/packet"
)

// Meter sends packets in on the left and looks for them on the right.
type Meter struct {
	out   int // a packet socket
	to    packet.MAC
	from  packet.MAC
	right string
	count *os.File // the kernel's counts of packets
	last  uint64   // the number of the last packet that was timed
}

// NewMeter opens a meter for the path that is there.
func NewMeter() (*Meter, error) {
	to, err := net.ParseMAC(left.mac)
	if err != nil {
		return nil, err
	}
	return newMeter(left.link, right.link, packet.MAC(to))
}

func newMeter(leftLink, rightLink string, to packet.MAC) (_ *Meter, err error) {
	m := &Meter{out: -1, to: to, right: rightLink}
	defer func() {
		if err != nil {
			m.Close()
		}
	}()
	if m.from, err = hardwareAddr(leftLink); err != nil {
		return nil, err
	}
	if m.out, err = openSocket(leftLink, 0); err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(m.out, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		return nil, fmt.Errorf("forward: %w", err)
	}
	m.count, err = os.Open("/proc/self/net/dev")
	return m, err
}

// openSocket opens a packet socket on an interface; protocol 0 receives nothing.
func openSocket(link string, protocol uint16) (int, error) {
	i, err := net.InterfaceByName(link)
	if err != nil {
		return -1, fmt.Errorf("forward: %s: %w", link, err)
	}
	bigEndian := protocol<<8 | protocol>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("forward: packet socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: i.Index, Protocol: bigEndian}); err != nil {
		return -1, errors.Join(fmt.Errorf("forward: packet socket on %s: %w", link, err), unix.Close(fd))
	}
	return fd, nil
}

// Close closes the meter.
func (m *Meter) Close() {
	if m.out >= 0 {
		unix.Close(m.out)
	}
	if m.count != nil {
		m.count.Close()
	}
}

// received reads the right interface's count (its second number; proc(5),
// /proc/net/dev).
func (m *Meter) received() (uint64, error) {
	b := make([]byte, 8192)
	n, err := m.count.ReadAt(b, 0)
	if n == 0 {
		return 0, fmt.Errorf("forward: %w", err)
	}
	_, rest, ok := strings.Cut(string(b[:n]), " "+m.right+":")
	if !ok {
		_, rest, ok = strings.Cut(string(b[:n]), "\n"+m.right+":")
	}
	words := strings.Fields(rest)
	if !ok || len(words) < 2 {
		return 0, fmt.Errorf("forward: there is no interface %s", m.right)
	}
	return strconv.ParseUint(words[1], 10, 64)
}

// first is how long a packet that asks whether there is a way may take.
const first = 100 * time.Millisecond

// Await waits until a packet comes through.
func (m *Meter) Await(ctx context.Context) error {
	in, err := openSocket(m.right, unix.ETH_P_IP)
	if err != nil {
		return err
	}
	defer unix.Close(in)
	f := frame(m.to, m.from, LeastFrame, 0)
	for ctx.Err() == nil {
		if _, ok, err := m.time(in, f, first); err != nil || ok {
			return err
		}
	}
	return fmt.Errorf("forward: nothing comes through: %w", ctx.Err())
}

// time sends a frame and waits for it at in, a packet socket of the right: one that
// is open for no longer than it is read, since what isn't read fills it up.
func (m *Meter) time(in int, f []byte, patience time.Duration) (took time.Duration, ok bool, err error) {
	m.last++
	number(f, m.last)
	begin := time.Now()
	if _, err := unix.Write(m.out, f); err != nil && !busy(err) {
		return 0, false, fmt.Errorf("forward: send: %w", err)
	}
	b := make([]byte, 2048)
	for {
		left := patience - time.Since(begin)
		if left <= 0 {
			return 0, false, nil
		}
		timeout := unix.NsecToTimeval(int64(max(left, time.Microsecond)))
		if err := unix.SetsockoptTimeval(in, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
			return 0, false, fmt.Errorf("forward: %w", err)
		}
		n, _, err := unix.Recvfrom(in, b, 0)
		took := time.Since(begin)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, false, fmt.Errorf("forward: receive: %w", err)
		}
		if got, ok := numberOf(b[:n]); ok && got == m.last {
			return took, true, nil
		}
	}
}

// busy reports whether a frame did not go because a queue is full.
func busy(err error) bool { return errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EAGAIN) }

// delayPatience is after how long a packet that was sent alone counts as lost;
// delayPause is between two of them.
const (
	delayPatience = 250 * time.Millisecond
	delayPause    = time.Millisecond
)

// settle waits until nothing comes through any more: the queues are empty then.
func (m *Meter) settle(ctx context.Context) error {
	last, err := m.received()
	for quiet := time.Now(); err == nil && ctx.Err() == nil && time.Since(quiet) < 2*lost; time.Sleep(time.Millisecond) {
		var now uint64
		if now, err = m.received(); now != last {
			last, quiet = now, time.Now()
		}
	}
	return err
}

// Delay sends packets one by one for a while, and times them. What was sent before
// has come through by then, or is lost.
func (m *Meter) Delay(ctx context.Context, size int, length time.Duration) (Delay, error) {
	d := Delay{Latency: newLatency()}
	if err := checkSize(size); err != nil {
		return d, err
	}
	in, err := openSocket(m.right, unix.ETH_P_IP)
	if err != nil {
		return d, err
	}
	defer unix.Close(in)
	if err := m.settle(ctx); err != nil {
		return d, err
	}
	f := frame(m.to, m.from, size, 0)
	for end := time.Now().Add(length); ctx.Err() == nil && time.Now().Before(end); time.Sleep(delayPause) {
		took, ok, err := m.time(in, f, delayPatience)
		if err != nil {
			return d, err
		}
		d.Sent++
		if !ok {
			d.Lost++
			continue
		}
		d.Latency.RecordValue(max(1, took.Nanoseconds())) // no longer than the patience
	}
	if ctx.Err() == nil && d.Sent == d.Lost {
		return d, errors.New("forward: nothing comes through")
	}
	return d, ctx.Err()
}
