// Package netns joins a network namespace of Linux to networks: for machines
// that share the host's kernel and so have interfaces instead of cards.
//
// It relies on rtnetlink (rtnetlink(7)), on network namespaces
// (network_namespaces(7)) and on the TUN/TAP driver. It must not change
// addresses, routes or packet filters of the host's own namespace: all that it
// makes there is one end of a veth pair, which vanishes with the namespace that
// holds the other end.
package netns

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"pith"
	"pith/machine"
)

// Plan is one interface of a machine.
type Plan struct {
	Name   string // "eth0"
	Link   pith.Link
	Bridge string // the host's bridge; "" is the rootless network, by a tap
	Silent bool   // the program's own: the kernel neither answers nor forwards on it
}

// Plans describes the interfaces of cards: eth0, eth1, ... forward says that they are
// for a program that forwards.
func Plans(cards []machine.Card, forward bool) []Plan {
	var plans []Plan
	for i, c := range cards {
		plans = append(plans, Plan{Name: fmt.Sprintf("eth%d", i), Link: c.Link, Bridge: c.Wire.Bridge, Silent: forward})
	}
	return plans
}

// New makes a network namespace, which lives as long as the file is open or a
// process is in it. It needs CAP_SYS_ADMIN.
func New() (ns *os.File, err error) {
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		ns, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	return ns, err
}

// Do calls f on a thread that is in the namespace, which ends with f.
func Do(ns *os.File, f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

// onThread calls f on a thread of its own, which ends with it. It is never the
// process's first thread, which can't end, and whose namespace is what the host
// takes for the process's.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			done <- onThread(f)
			return
		}
		done <- f() // never unlocked: the thread ends with the goroutine
	}()
	return <-done
}

// Connect makes the veth pairs that the plans need, between the host's bridges
// and the namespace ns, from outside. name tells this machine's interfaces on
// the host from others'.
func Connect(plans []Plan, ns *os.File, name string) error {
	for i, p := range plans {
		if p.Bridge == "" {
			continue
		}
		if err := connect(p, ns, hostEnd(name, i)); err != nil {
			return fmt.Errorf("join bridge %s: %w", p.Bridge, err)
		}
	}
	return nil
}

// hostEnd is a name that the kernel takes and that no other machine has.
func hostEnd(name string, index int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s/%d", os.Getpid(), name, index))
	return fmt.Sprintf("pith%x", sum[:5])
}

func connect(p Plan, ns *os.File, outer string) error {
	bridge, err := netlink.LinkByName(p.Bridge)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return pith.Errorf("this host has no interface %s", p.Bridge)
	}
	if err != nil {
		return err
	}
	if bridge.Type() != "bridge" {
		return pith.Errorf("%s is no bridge but a %s", p.Bridge, bridge.Type())
	}
	mac, err := net.ParseMAC(p.Link.MAC)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex, attrs.MTU = outer, bridge.Attrs().Index, bridge.Attrs().MTU
	pair := netlink.NewVeth(attrs)
	pair.PeerName, pair.PeerHardwareAddr, pair.PeerMTU = p.Name, mac, uint32(attrs.MTU)
	pair.PeerNamespace = netlink.NsFd(int(ns.Fd()))
	if err := netlink.LinkAdd(pair); err != nil {
		if errors.Is(err, unix.EPERM) {
			return pith.Errorf("only root may join a bridge; the user network needs no rights")
		}
		return err
	}
	return netlink.LinkSetUp(pair)
}

// Configure brings up the loopback and all planned interfaces in the thread's
// own namespace. It returns an open tap for each one on the rootless network, in
// their order.
func Configure(plans []Plan) (taps []*os.File, err error) {
	defer func() {
		if err == nil {
			return
		}
		for _, t := range taps {
			t.Close()
		}
	}()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return nil, err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return nil, fmt.Errorf("interface lo: %w", err)
	}
	for _, p := range plans {
		if p.Bridge == "" {
			tap, err := makeTap(p)
			if err != nil {
				return taps, fmt.Errorf("interface %s: %w", p.Name, err)
			}
			taps = append(taps, tap)
		}
		if err := configure(p); err != nil {
			return taps, fmt.Errorf("interface %s: %w", p.Name, err)
		}
	}
	if err := forwardNothing(); err != nil {
		return taps, err
	}
	return taps, allowLowPorts()
}

// makeTap makes a tap interface that lives as long as its file is open.
func makeTap(p Plan) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(p.Name)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), p.Name), nil
}

func configure(p Plan) error {
	link, err := netlink.LinkByName(p.Name)
	if err != nil {
		return err
	}
	mac, err := net.ParseMAC(p.Link.MAC)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetHardwareAddr(link, mac); err != nil {
		return err
	}
	if p.Silent {
		return silence(link)
	}
	for _, a := range p.Link.Addrs {
		// Without duplicate address detection: the address is the
		// orchestrator's to give, and is usable at once.
		address := &netlink.Addr{Flags: unix.IFA_F_NODAD, IPNet: &net.IPNet{
			IP: a.Addr().AsSlice(), Mask: net.CIDRMask(a.Bits(), a.Addr().BitLen()),
		}}
		if err := netlink.AddrAdd(link, address); err != nil {
			return fmt.Errorf("address %s: %w", a, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	for _, g := range p.Link.Gateway {
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: g.AsSlice()}
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("gateway %s: %w", g, err)
		}
	}
	for _, r := range p.Link.Routes {
		to := &net.IPNet{IP: r.To.Addr().AsSlice(), Mask: net.CIDRMask(r.To.Bits(), r.To.Addr().BitLen())}
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: to, Gw: r.Via.AsSlice()}
		if err := netlink.RouteAdd(route); err != nil {
			return fmt.Errorf("route to %s: %w", r.To, err)
		}
	}
	return nil
}

// silence brings an interface up of which the kernel knows no address, so that it
// answers nothing that comes there: no ARP, and no IPv6, which would make a link-local
// address of its own. Source: ip-sysctl.rst; netdevice(7), IFF_NOARP.
func silence(link netlink.Link) error {
	err := os.WriteFile("/proc/sys/net/ipv6/conf/"+link.Attrs().Name+"/disable_ipv6", []byte("1"), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without IPv6 has no such file
		return fmt.Errorf("turn IPv6 off: %w", err)
	}
	if err := netlink.LinkSetARPOff(link); err != nil {
		return fmt.Errorf("turn ARP off: %w", err)
	}
	return netlink.LinkSetUp(link)
}

// forwardNothing keeps the kernel from forwarding between a machine's interfaces,
// which it does in a new namespace where it does on the host.
func forwardNothing() error {
	for _, path := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"} {
		err := os.WriteFile(path, []byte("0"), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("keep the kernel from forwarding: %w", err)
		}
	}
	return nil
}

// allowLowPorts lets a program without rights listen at every port of its own
// namespace. Source: ip-sysctl.rst.
func allowLowPorts() error {
	err := os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0)
	if err != nil {
		return fmt.Errorf("allow low ports: %w", err)
	}
	return nil
}
