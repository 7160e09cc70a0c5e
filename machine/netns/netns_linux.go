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
	err = OnThread(func() error {
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
	return OnThread(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

// OnThread calls f on a thread of its own, which ends with it. It is never the
// process's first thread, which can't end, and whose namespace is what the host
// takes for the process's.
func OnThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			defer runtime.UnlockOSThread()
			done <- OnThread(f)
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
