package netns

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

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
