package usernet

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// queueLength is how many frames to the machine may wait; more are lost, as on
// any wire.
const queueLength = 1024

// openCard makes a card of the stack's whose frames go through the tap.
func (n *Network) openCard(tap *os.File) (stack.LinkEndpoint, error) {
	fd, err := unix.FcntlInt(tap.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("tap: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("tap: %w", err)
	}
	wire := os.NewFile(uintptr(fd), "tap") // non-blocking, so that Close ends a read
	ctx, cancel := context.WithCancel(context.Background())
	frames := channel.New(queueLength, mtu+header.EthernetMinimumSize, gateMAC)
	n.keep(wire)
	n.keep(closer(cancel))
	go receive(wire, frames)
	go transmit(ctx, wire, frames)
	return ethernet.New(frames), nil
}

// closer makes a function an io.Closer that can be told from others.
func closer(f func()) io.Closer { return &closeFunc{f} }

type closeFunc struct{ f func() }

func (c *closeFunc) Close() error {
	c.f()
	return nil
}

// receive brings the machine's frames to the stack until the tap is closed.
func receive(wire io.Reader, frames *channel.Endpoint) {
	buf := make([]byte, 64<<10)
	for {
		size, err := wire.Read(buf)
		if err != nil {
			return
		}
		pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(buf[:size])})
		frames.InjectInbound(header.IPv4ProtocolNumber, pkt) // the Ethernet header's own counts
		pkt.DecRef()
	}
}

// transmit brings the stack's frames to the machine.
func transmit(ctx context.Context, wire io.Writer, frames *channel.Endpoint) {
	for {
		pkt := frames.ReadContext(ctx)
		if pkt == nil {
			return
		}
		frame := pkt.ToView()
		wire.Write(frame.AsSlice()) // frames may be lost
		frame.Release()
		pkt.DecRef()
	}
}
