//go:build linux

package port

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pith/service/packet"
)

// pair makes a network namespace of this thread's own with a veth pair: "near" has
// 10.0.0.1; "far" has nothing and is the port's.
func pair(t *testing.T) packet.Port {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces take root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("iproute2's ip is not installed")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test, and the namespace with it
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip("this host has no network namespaces: ", err)
	}
	commands := `link add near type veth peer name far
link set far address 02:00:00:00:00:02 arp off up
link set near up
addr add 10.0.0.1/24 dev near
neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev near
`
	c := exec.Command("ip", "-batch", "-")
	c.Stdin = strings.NewReader(commands)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("ip: %v\n%s", err, out)
	}
	p, err := Open("far")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// arrived are clones of the datagrams to a port that a port receives.
func arrived(p packet.Port, to uint16) <-chan *packet.Packet {
	c := make(chan *packet.Packet, 64)
	go p.Receive(func(_ int, f *packet.Frame) {
		var q packet.Packet
		if q.Parse(f.Clone()) == packet.OK && q.DstPort == to && len(c) < cap(c) {
			c <- &q
		}
	}, func(int) {})
	return c
}

func next(t *testing.T, c <-chan *packet.Packet) *packet.Packet {
	t.Helper()
	select {
	case p := <-c:
		return p
	case <-time.After(time.Minute):
		t.Fatal("nothing arrives")
		return nil
	}
}

// TestOffloads: what the kernel leaves to a network card comes in as such and can be
// completed.
func TestOffloads(t *testing.T) {
	c := arrived(pair(t), 4000)
	conn, err := net.Dial("udp", "10.0.0.2:4000")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "hello")
	p := next(t, c)
	if !p.Frame.Offload.NeedsChecksum || int(p.Frame.Offload.ChecksumStart) != p.L4 {
		t.Errorf("UDP header at %d, %+v", p.L4, p.Frame.Offload)
	}
	if p.SumTransport(); !p.ChecksumOK() || string(p.Transport()[8:]) != "hello" {
		t.Errorf("%q, checksum right: %v", p.Transport()[8:], p.ChecksumOK())
	}
}

// TestTags: a tag is where it was, and so is what is left to the card.
func TestTags(t *testing.T) {
	far := pair(t)
	near, err := Open("near")
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	sent, b := packet.NewIP(packet.IPHeader{Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"), Protocol: packet.UDP, TTL: 9}, 13)
	copy(b, "\x0f\xa1\x0f\xa2\x00\x0d\x00\x00hello")
	sent.SumTransport()
	sent.Frame.Offload = packet.Offload{NeedsChecksum: true, ChecksumStart: uint16(sent.L4), ChecksumOffset: 6}
	sent.SetEthernet(far.HardwareAddr(), near.HardwareAddr(), 10)
	c := arrived(far, 4002)
	if !near.Send(0, sent.Frame) {
		t.Fatal("the frame isn't sent")
	}
	near.Flush(0)
	p := next(t, c)
	if p.VLAN != 10 || p.L3 != 18 || !p.Frame.Offload.NeedsChecksum || int(p.Frame.Offload.ChecksumStart) != p.L4 {
		t.Errorf("VLAN %d, UDP header at %d, %+v", p.VLAN, p.L4, p.Frame.Offload)
	}
}

// TestSegments: datagrams that the sender has merged come in as one frame, and leave as
// such; the kernel cuts them where they have to be.
func TestSegments(t *testing.T) {
	p := pair(t)
	c := arrived(p, 4001)
	conn, err := net.Dial("udp", "10.0.0.2:4001")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var option error
	raw.Control(func(fd uintptr) { option = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, 1000) })
	if option != nil {
		t.Skip("this kernel can't merge datagrams: ", option)
	}
	if _, err := conn.Write(make([]byte, 3500)); err != nil {
		t.Fatal(err)
	}
	whole := next(t, c)
	if whole.Frame.Offload.Segmentation == packet.SegmentNone {
		t.Skip("this kernel's packet sockets cut merged datagrams")
	}
	if whole.Frame.Offload.Segmentation != packet.SegmentUDP || whole.Frame.Offload.SegmentSize != 1000 || whole.Headers() != 28 {
		t.Errorf("headers of %d bytes, %+v", whole.Headers(), whole.Frame.Offload)
	}

	// Back to the sender, whose socket takes no merged ones.
	back, err := net.ListenPacket("udp", "10.0.0.1:4001")
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	near, err := net.InterfaceByName("near")
	if err != nil {
		t.Fatal(err)
	}
	src, dst := whole.Src, whole.Dst
	whole.SetSrc(dst)
	whole.SetDst(src)
	whole.SetEthernet(packet.MAC(near.HardwareAddr), p.HardwareAddr(), 0)
	if !p.Send(0, whole.Frame) {
		t.Fatal("the frame isn't sent")
	}
	p.Flush(0)
	b := make([]byte, 64<<10)
	for _, want := range []int{1000, 1000, 1000, 500} {
		back.SetReadDeadline(time.Now().Add(time.Minute))
		if n, _, err := back.ReadFrom(b); err != nil || n != want {
			t.Fatalf("%d bytes come back, %v, want %d", n, err, want)
		}
	}
}

// TestNoInterface: the error names it.
func TestNoInterface(t *testing.T) {
	if _, err := Open("nowhere0"); err == nil || !strings.Contains(err.Error(), "no interface nowhere0") {
		t.Errorf("an interface that is not there: %v", err)
	}
}
