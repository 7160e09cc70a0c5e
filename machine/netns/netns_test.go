//go:build linux

package netns

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"pith"
	"pith/machine"
)

func ip(args ...string) (string, error) {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return "", errors.Join(err, errors.New(strings.Join(args, " ")+": "+string(out)))
	}
	return string(out), nil
}

// TestConnect joins a namespace to a bridge, which is in a namespace of the
// test's too, and looks at both ends.
func TestConnect(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("making network namespaces needs root")
	}
	outer, err := New()
	if err != nil {
		t.Skip("this host has no network namespaces: ", err)
	}
	defer outer.Close()
	inner, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	plans := []Plan{{Name: "eth0", Bridge: "br0", Link: pith.Link{
		MAC:     "52:54:00:00:00:07",
		Addrs:   []netip.Prefix{netip.MustParsePrefix("10.9.0.2/24"), netip.MustParsePrefix("fd09::2/64")},
		Gateway: []netip.Addr{netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fd09::1")},
		Routes:  []pith.Route{{To: netip.MustParsePrefix("10.8.0.0/16"), Via: netip.MustParseAddr("10.9.0.9")}},
	}}}
	err = Do(outer, func() error {
		if err := Connect(plans, inner, "web"); pith.ExitCode(err) != 2 {
			t.Errorf("a bridge that is not there: %v", err)
		}
		if _, err := ip("link", "add", "br0", "type", "bridge"); err != nil {
			return err
		}
		if err := Connect(plans, inner, "web"); err != nil {
			return err
		}
		out, err := ip("-o", "link", "show", "master", "br0")
		if !strings.Contains(out, "pith") || !strings.Contains(out, "UP") {
			t.Errorf("the bridge's ports: %s", out)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = Do(inner, func() error {
		if _, err := Configure(plans); err != nil {
			return err
		}
		for _, c := range []struct{ want, cmd string }{
			{"10.9.0.2/24", "-4 -o addr show dev eth0"},
			{"fd09::2/64", "-6 -o addr show dev eth0"},
			{"52:54:00:00:00:07", "-o link show dev eth0"},
			{"default via 10.9.0.1", "-4 route"},
			{"default via fd09::1", "-6 route"},
			{"10.8.0.0/16 via 10.9.0.9", "-4 route"},
			{"UP", "-o link show dev lo"},
		} {
			out, err := ip(strings.Fields(c.cmd)...)
			if err != nil {
				return err
			}
			if !strings.Contains(out, c.want) {
				t.Errorf("ip %s does not show %s:\n%s", c.cmd, c.want, out)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	inner.Close()
	err = Do(outer, func() error {
		// The kernel takes a namespace apart in the background.
		for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			left, err := netlink.LinkList()
			if err != nil || len(left) == 2 { // lo and br0
				return err
			}
			if time.Since(begin) > 20*time.Second {
				return errors.New("the veth pair is left behind")
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// TestSilent: the kernel has no address on an interface that is the program's own, and
// forwards nothing, whatever the namespace did before.
func TestSilent(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("making network namespaces needs root")
	}
	inner, err := New()
	if err != nil {
		t.Skip("this host has no network namespaces: ", err)
	}
	defer inner.Close()
	cards := []machine.Card{{
		Wire: machine.Wire{Bridge: "br0"},
		Link: pith.Link{MAC: "52:54:00:00:00:08", Addrs: []netip.Prefix{netip.MustParsePrefix("10.9.0.2/24"), netip.MustParsePrefix("fd09::2/64")}},
	}}
	plans := Plans(cards, true)
	err = Do(inner, func() error {
		if _, err := ip("link", "add", "br0", "type", "bridge"); err != nil {
			return err
		}
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
			return err
		}
		if err := Connect(plans, inner, "router"); err != nil {
			return err
		}
		if _, err := Configure(plans); err != nil {
			return err
		}
		link, err := ip("link", "show", "dev", "eth0")
		if !strings.Contains(link, "NOARP") || !strings.Contains(link, ",UP") || !strings.Contains(link, "52:54:00:00:00:08") {
			t.Errorf("the interface: %s, %v", link, err)
		}
		if addresses, err := ip("addr", "show", "dev", "eth0"); err != nil || strings.Contains(addresses, "inet") {
			t.Errorf("the interface has addresses: %s, %v", addresses, err)
		}
		for path, want := range map[string]string{
			"/proc/sys/net/ipv4/ip_forward": "0\n", "/proc/sys/net/ipv6/conf/all/forwarding": "0\n", "/proc/sys/net/ipv6/conf/eth0/disable_ipv6": "1\n",
		} {
			if text, err := os.ReadFile(path); err == nil && string(text) != want {
				t.Errorf("%s is %q, want %q", path, text, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWatchPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	ports := []pith.Port{
		{Protocol: "tcp", Guest: uint16(l.Addr().(*net.TCPAddr).Port)},
		{Protocol: "udp", Guest: uint16(u.LocalAddr().(*net.UDPAddr).Port)},
	}
	told := map[uint16]string{}
	enough := make(chan struct{})
	time.AfterFunc(20*time.Second, func() { close(enough) })
	WatchPorts(os.Getpid(), ports, enough, func(protocol string, port uint16) { told[port] = protocol })
	for _, p := range ports {
		if told[p.Guest] != p.Protocol {
			t.Errorf("port %d/%s was not told of", p.Guest, p.Protocol)
		}
	}
	for _, line := range []string{"", "  sl  local_address rem_address   st", "0: 0100007F:zz 00000000:0000 0A", "0: x 0 0A"} {
		if isSocket(line, stateListen, 80) {
			t.Errorf("%q is a socket", line)
		}
	}
}
