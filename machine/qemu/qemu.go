// Package qemu runs machines in QEMU, on its boards microvm and q35.
//
// It relies on qemu-system-x86_64 7.2 or newer, which it talks to by sockets
// that it hands over as descriptors: the console and control messages of
// isa-debugcon, a virtio-serial port to the guest, and QMP (QEMU Machine
// Protocol, docs/interop/qmp-spec). It must not choose KVM but by ChooseAccel,
// and must not open /dev/kvm itself.
package qemu

import (
	"errors"
	"fmt"
	"net/netip"

	"pith"
	"pith/machine"
	"pith/machine/host"
)

// program is the emulator's name in the search path.
const program = "qemu-system-x86_64"

// Driver runs machines in QEMU on one host.
type Driver struct {
	host host.Host
}

// New makes the driver for a host.
func New(h host.Host) *Driver { return &Driver{host: h} }

// Name is "qemu".
func (d *Driver) Name() string { return "qemu" }

// Check refuses what QEMU can't do, and a host without QEMU.
func (d *Driver) Check(s machine.Spec) error {
	if _, err := d.find(); err != nil {
		return err
	}
	for _, p := range s.Ports {
		if p.Host.Addr().Is6() && !p.Host.Addr().Is4In6() {
			return pith.Errorf("%s can't be published: QEMU's user-mode network publishes on IPv4 addresses only", p.Host)
		}
	}
	return nil
}

// Find is the emulator's path on a host; where it is missing, the error says
// what installs it.
func Find(h host.Host) (string, error) { return New(h).find() }

// find is the emulator's path: $PITH_QEMU, or the one in the search path.
func (d *Driver) find() (string, error) {
	name := program
	if own := d.host.Getenv("PITH_QEMU"); own != "" {
		name = own
	}
	path, err := d.host.LookPath(name)
	if err == nil {
		return path, nil
	}
	if name != program {
		return "", pith.Errorf("PITH_QEMU is %s, which can't be run: %w", name, err)
	}
	return "", fmt.Errorf("QEMU is not installed on this host; this installs it: %s", d.host.Install("qemu"))
}

// Start starts QEMU.
func (d *Driver) Start(l machine.Launch) (machine.Running, error) {
	path, err := d.find()
	if err != nil {
		return nil, err
	}
	accel, err := ChooseAccel(d.host)
	if err != nil {
		return nil, err
	}
	if l.Spec.Image == nil {
		return nil, errors.New("BUG: a machine without an image")
	}
	return start(path, d.host, accel, l)
}

// guestNet is what QEMU's user-mode network expects of the guest.
// Source: QEMU's manual, "Network options", -netdev user.
var (
	guestAddrs = []netip.Prefix{netip.MustParsePrefix("10.0.2.15/24"), netip.MustParsePrefix("fec0::15/64")}
	gateways   = []netip.Addr{netip.MustParseAddr("10.0.2.2"), netip.MustParseAddr("fec0::2")}
	nameserver = netip.MustParseAddr("10.0.2.3")
)

// UserLink is the configuration of a card on QEMU's user-mode network: static,
// so that a guest is reachable without waiting for DHCP.
func UserLink(mac string) pith.Link {
	return pith.Link{Network: "user", MAC: mac, Addrs: guestAddrs, Gateway: gateways, DNS: []netip.Addr{nameserver}}
}
