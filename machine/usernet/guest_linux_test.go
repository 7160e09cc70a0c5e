package usernet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"pith"
)

const (
	patience = 60 * time.Second
	many     = 400 // connections at once
)

// guestOn is a machine of the test's own on a Network with published ports.
func guestOn(t *testing.T, ports ...pith.Port) (*Network, *stack.Stack) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	tap, wire := os.NewFile(uintptr(fds[0]), "tap"), os.NewFile(uintptr(fds[1]), "wire")
	n, err := New(tap, ports)
	tap.Close() // the Network has a descriptor of its own
	if err != nil {
		t.Fatal(err)
	}
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	frames := channel.New(queueLength, mtu+header.EthernetMinimumSize, "\x52\x54\x00\x00\x00\x01")
	ctx, cancel := context.WithCancel(context.Background())
	go receive(wire, frames)
	go transmit(ctx, wire, frames)
	t.Cleanup(func() { n.Close(); cancel(); wire.Close(); s.Close() })
	if err := s.CreateNIC(nicID, ethernet.New(frames)); err != nil {
		t.Fatal(err)
	}
	address := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{
		Address: tcpip.AddrFromSlice(machineAddr.Addr().AsSlice()), PrefixLen: machineAddr.Bits(),
	}}
	if err := s.AddProtocolAddress(nicID, address, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, Gateway: tcpip.AddrFromSlice(gateway.AsSlice()), NIC: nicID}})
	return n, s
}

func dialFrom(s *stack.Stack, to netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := gonet.DialContextTCP(ctx, s, *full(to), ipv4.ProtocolNumber)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func full(a netip.AddrPort) *tcpip.FullAddress {
	return &tcpip.FullAddress{NIC: nicID, Addr: tcpip.AddrFromSlice(a.Addr().AsSlice()), Port: a.Port()}
}

// eachAtOnce calls f many times at once.
func eachAtOnce(t *testing.T, what string, f func(i int) error) {
	t.Helper()
	var all sync.WaitGroup
	failures := make(chan error, many)
	for i := range many {
		all.Go(func() {
			if err := f(i); err != nil {
				failures <- err
			}
		})
	}
	all.Wait()
	close(failures)
	if n := len(failures); n > 0 {
		t.Errorf("%s: %d of %d failed, one with: %v", what, n, many, <-failures)
	}
}

// swap sends a text, ends that direction, and wants the text back.
func swap(c net.Conn, text []byte) error {
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(text)
		sent <- errors.Join(err, c.(interface{ CloseWrite() error }).CloseWrite())
	}()
	got, err := io.ReadAll(c)
	if err = errors.Join(err, <-sent); err == nil && !bytes.Equal(got, text) {
		err = fmt.Errorf("%d of %d bytes came back", len(got), len(text))
	}
	return err
}

// askPacket wants a datagram back, which may get lost.
func askPacket(c net.Conn, text string) error {
	defer c.Close()
	buf := make([]byte, 100)
	err := errors.New("no time")
	for end := time.Now().Add(patience); time.Now().Before(end); {
		fmt.Fprint(c, text)
		c.SetReadDeadline(time.Now().Add(2 * time.Second))
		var n int
		if n, err = c.Read(buf); err != nil {
			continue
		}
		if string(buf[:n]) != text {
			return fmt.Errorf("%q instead of %q", buf[:n], text)
		}
		return nil
	}
	return err
}

func echoStreams(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() { defer c.Close(); io.Copy(c, c) }()
	}
}

func echoPackets(c net.PacketConn) {
	for buf := make([]byte, 2048); ; {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		c.WriteTo(buf[:n], from)
	}
}

// outsideAddr is an address of this host that isn't its loopback.
const outsideAddr = "10.99.0.1"

// inNamespace runs the test once more in a network namespace of its own, with outsideAddr.
// It reports whether this is that run.
func inNamespace(t *testing.T) bool {
	t.Helper()
	const variable = "PITH_TEST_NAMESPACE"
	if os.Getenv(variable) != "" {
		for _, args := range []string{"link set lo up", "link add outside type bridge", "addr add " + outsideAddr + "/24 dev outside", "link set outside up"} {
			if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
				t.Fatalf("ip %s: %v: %s", args, err, out)
			}
		}
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("network namespaces take root")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), variable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Skip("this host has no network namespaces: ", err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("in a namespace: %v\n%s", err, out)
	}
	return false
}
