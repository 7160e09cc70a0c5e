//go:build linux && !pith

package port

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"pith/service/packet"
)

const (
	batch = 32
	// room is for a frame that the kernel has merged, its virtio header and a tag.
	room      = 65536 + 64
	headerLen = 10 // struct virtio_net_hdr
)

// socket is a packet socket on one interface.
type socket struct {
	name string
	mac  packet.MAC
	mtu  int
	file *os.File
	conn syscall.RawConn

	in     *messages
	frames [batch]packet.Frame

	mu  sync.Mutex // guards what is queued
	out *messages
	n   int
}

func open(name string) (packet.Port, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("there is no interface %s: %w", name, err)
	}
	if len(i.HardwareAddr) != 6 {
		return nil, fmt.Errorf("interface %s is not Ethernet", name)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("a packet socket (this takes CAP_NET_RAW): %w", err)
	}
	if err := setUp(fd, i.Index); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("packet socket on %s: %w", name, err)
	}
	s := &socket{name: name, mac: packet.MAC(i.HardwareAddr), mtu: i.MTU, file: os.NewFile(uintptr(fd), name), in: newMessages(true), out: newMessages(false)}
	if s.conn, err = s.file.SyscallConn(); err != nil {
		s.file.Close()
		return nil, err
	}
	return s, nil
}

// setUp binds a packet socket to an interface, which then takes the frames of all
// groups: no stack of the kernel's joins those that neighbour discovery asks in.
func setUp(fd, index int) error {
	groups := &unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_ALLMULTI}
	return errors.Join(
		unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, groups),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<20),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 3 << 8, Ifindex: index})) // ETH_P_ALL, as the network has it
}

func (s *socket) Name() string             { return s.name }
func (s *socket) HardwareAddr() packet.MAC { return s.mac }
func (s *socket) MTU() int                 { return s.mtu }
func (s *socket) Queues() int              { return 1 }
func (s *socket) Close() error             { return s.file.Close() }

// Receive implements packet.Port.
func (s *socket) Receive(handle func(int, *packet.Frame), done func(int)) error {
	for {
		n, err := s.read()
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range n {
			f := &s.frames[i]
			if s.in.frame(i, f) {
				handle(0, f)
			}
		}
		done(0)
	}
}

// read waits for frames and takes a batch. That the interface is down is no error: it
// may come up again. Nor is a merged frame of a kind that the kernel has no virtio
// header for: it is lost.
func (s *socket) read() (n int, err error) {
	ctlErr := s.conn.Read(func(fd uintptr) bool {
		n, err = s.in.receive(fd)
		return err != unix.EAGAIN
	})
	if ctlErr != nil {
		return 0, ctlErr
	}
	if err == unix.ENETDOWN || err == unix.EINTR || err == unix.EINVAL {
		return 0, nil
	}
	return n, err
}

// Send implements packet.Port.
func (s *socket) Send(_ int, f *packet.Frame) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n == batch {
		s.flush()
	}
	if f.Off < headerLen {
		return false
	}
	s.out.put(s.n, f)
	s.n++
	return true
}

// Flush implements packet.Port.
func (s *socket) Flush(int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flush()
}

// flush sends what is queued. What the kernel doesn't take is dropped, as a full
// ring's frames are.
func (s *socket) flush() {
	for at := 0; at < s.n; {
		sent, err := 0, error(nil)
		if ctl := s.conn.Control(func(fd uintptr) { sent, err = s.out.send(fd, at, s.n) }); ctl != nil {
			break
		}
		if err != nil && err != unix.EINTR {
			sent = 1 // the first one is refused
		}
		at += sent
	}
	s.n = 0
}
