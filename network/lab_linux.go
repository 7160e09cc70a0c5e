package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"pith"
)

// labFolder is where named network namespaces are kept (ip-netns(8)).
const labFolder = "/run/netns"

// labPrefix begins the names of our namespaces: no other is ever removed.
const labPrefix = "pith-"

// Lab is a deployment's networks: bridges in a network namespace of its own, so
// that nothing of them is on the host itself, and all of them go with it. It
// takes root.
type Lab struct {
	name string // of the namespace
}

// MakeLab makes a deployment's networks, or brings those that there are to what
// is wanted: doing it twice does nothing. On an error, a namespace that wasn't
// there before is gone again. Networks on a bridge of the host, and user
// networks, are no part of a lab.
func MakeLab(deployment string, networks []pith.Network) (*Lab, error) {
	l := &Lab{labPrefix + deployment}
	fresh := !l.Exists()
	if fresh {
		if err := l.makeNamespace(); err != nil {
			return nil, err
		}
	}
	err := l.Do(func() error { return reconcile(networks) })
	if err != nil && fresh {
		err = errors.Join(err, l.Remove())
	}
	return l, err
}

// FindLab returns a deployment's lab; nil where there is none.
func FindLab(deployment string) *Lab {
	l := &Lab{labPrefix + deployment}
	if !l.Exists() {
		return nil
	}
	return l
}

// Exists tells whether the namespace is there.
func (l *Lab) Exists() bool {
	h, err := netns.GetFromName(l.name)
	if err != nil {
		return false
	}
	h.Close()
	return true
}

// Path is the namespace's file, for programs that are to run in it.
func (l *Lab) Path() string { return filepath.Join(labFolder, l.name) }

// makeNamespace makes the namespace on a thread that ends with it.
func (l *Lab) makeNamespace() error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		h, err := netns.NewNamed(l.name)
		if err == nil {
			h.Close()
		}
		done <- err
	}()
	err := <-done
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return pith.Errorf("networks between machines (driver bridge) take root; without it a service is alone in its network: write {driver: user}")
	}
	if err != nil {
		return fmt.Errorf("make network namespace %s: %w", l.name, err)
	}
	return nil
}

// Do calls f on a thread inside the namespace. Sockets that f makes stay there,
// wherever they are used; goroutines that f starts are outside.
func (l *Lab) Do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		h, err := netns.GetFromName(l.name)
		if err != nil {
			done <- fmt.Errorf("network namespace %s: %w", l.name, err)
			return
		}
		defer h.Close()
		if err := netns.Set(h); err != nil {
			done <- fmt.Errorf("enter network namespace %s: %w", l.name, err)
			return
		}
		done <- f()
	}()
	return <-done
}

// Tap makes a tap on a network's bridge. It is gone when the file, and what
// inherited it, is closed. The file works outside of the namespace.
func (l *Lab) Tap(network string) (tap *os.File, err error) {
	err = l.Do(func() error {
		bridge, err := findBridge(network)
		if err != nil {
			return err
		}
		files, err := openTap(Mode{Bridge, bridge.Attrs().Name}, 1)
		if err == nil {
			tap = files[0]
		}
		return err
	})
	return tap, err
}

// Bridge is the interface's name of a network's bridge in the namespace.
func (l *Lab) Bridge(network string) (name string, err error) {
	err = l.Do(func() error {
		bridge, err := findBridge(network)
		if err == nil {
			name = bridge.Attrs().Name
		}
		return err
	})
	return name, err
}

// Dial connects from inside the namespace; address is an IP address and a port.
func (l *Lab) Dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = l.Do(func() error {
		c, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// Remove takes the namespace and all that is in it away. Where a process still
// holds it, its networks end with that process.
func (l *Lab) Remove() error {
	if err := netns.DeleteNamed(l.name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove network namespace %s: %w", l.name, err)
	}
	return nil
}

// reconcile makes the bridges of this namespace those of the networks.
func reconcile(networks []pith.Network) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring lo up: %w", err)
	}
	if err := isolate(); err != nil {
		return err
	}
	var wanted []string
	for _, n := range networks {
		if n.Kind != pith.NetworkBridge || n.Bridge != "" {
			continue
		}
		wanted = append(wanted, n.Name)
		if err := reconcileBridge(n); err != nil {
			return fmt.Errorf("network %s: %w", n.Name, err)
		}
	}
	for _, n := range networks {
		if !slices.Contains(wanted, n.Name) {
			continue
		}
		if err := reconcileVLAN(n); err != nil {
			return fmt.Errorf("network %s: VLAN %d of %s: %w", n.Name, n.VLAN, n.Parent, err)
		}
	}
	links, err := whole(netlink.LinkList)
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	for _, l := range links {
		if l.Type() != "bridge" || slices.Contains(wanted, l.Attrs().Alias) {
			continue
		}
		if err := errors.Join(leaveVLAN(l), netlink.LinkDel(l)); err != nil {
			return fmt.Errorf("remove network %s: %w", l.Attrs().Alias, err)
		}
	}
	return nil
}

// whole lists something of the kernel's. A list that changed while it was read is read
// again: other machines of the deployment come and go.
func whole[T any](list func() ([]T, error)) ([]T, error) {
	for {
		all, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
}

// isolate keeps the namespace from forwarding between its networks, which a new one
// does where its host does.
func isolate() error {
	for _, path := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"} {
		value, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) || err == nil && string(value) == "0\n" {
			continue
		}
		if err := errors.Join(err, os.WriteFile(path, []byte("0"), 0)); err != nil {
			return fmt.Errorf("keep the networks apart: %w", err)
		}
	}
	return nil
}

// findBridge finds a network's bridge. Its alias is the network's name, which
// may be longer than an interface's.
func findBridge(network string) (netlink.Link, error) {
	links, err := whole(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	for _, l := range links {
		if l.Type() == "bridge" && l.Attrs().Alias == network {
			return l, nil
		}
	}
	return nil, fmt.Errorf("there is no network %s in the deployment", network)
}

// reconcileBridge makes a network's bridge, or changes it to what is wanted.
func reconcileBridge(n pith.Network) error {
	bridge, err := findBridge(n.Name)
	if err != nil {
		if bridge, err = makeBridge(n.Name); err != nil {
			return err
		}
	}
	if n.MTU > 0 && bridge.Attrs().MTU != n.MTU {
		if err := netlink.LinkSetMTU(bridge, n.MTU); err != nil {
			return fmt.Errorf("set MTU %d: %w", n.MTU, err)
		}
	}
	if err := reconcileAddresses(bridge, n); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return fmt.Errorf("bring it up: %w", err)
	}
	return nil
}

// makeBridge makes a bridge under the next free name.
func makeBridge(network string) (netlink.Link, error) {
	const most = 1000
	for i := range most {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = fmt.Sprintf("br%d", i)
		err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("make a bridge: %w", err)
		}
		l, err := netlink.LinkByName(attrs.Name)
		if err != nil {
			return nil, fmt.Errorf("find the bridge: %w", err)
		}
		if err := netlink.LinkSetAlias(l, network); err != nil {
			return nil, fmt.Errorf("name the bridge: %w", errors.Join(err, netlink.LinkDel(l)))
		}
		return l, nil
	}
	return nil, pith.Errorf("a deployment has at most %d networks", most)
}

// reconcileAddresses gives a bridge the host's own addresses in the network, and
// takes others away, but for those of the link itself.
func reconcileAddresses(bridge netlink.Link, n pith.Network) error {
	var wanted []netip.Prefix
	for _, g := range n.Gateway {
		for _, p := range n.Subnet {
			if p.Contains(g) {
				wanted = append(wanted, netip.PrefixFrom(g, p.Bits()))
			}
		}
	}
	there, err := whole(func() ([]netlink.Addr, error) { return netlink.AddrList(bridge, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range there {
		p, err := netip.ParsePrefix(a.IPNet.String())
		if err == nil && (slices.Contains(wanted, p) || p.Addr().IsLinkLocalUnicast()) {
			wanted = slices.DeleteFunc(wanted, func(w netip.Prefix) bool { return w == p })
			continue
		}
		if err := netlink.AddrDel(bridge, &a); err != nil {
			return fmt.Errorf("remove address %s: %w", a.IPNet, err)
		}
	}
	for _, p := range wanted {
		a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
		if p.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD // nobody else is on a bridge that we made
		}
		if err := netlink.AddrAdd(bridge, a); err != nil {
			return fmt.Errorf("add address %s: %w", p, err)
		}
	}
	return nil
}
