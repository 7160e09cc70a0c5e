package network

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"pith"
)

// noTun says that the device for taps can't be opened, and why.
type noTun struct{ reason error }

func (e *noTun) Error() string { return "open " + tunDevice + ": " + e.reason.Error() }

// missing says that a mode's interface isn't there.
func missing(m Mode) error {
	if m.Kind == Bridge {
		return pith.Errorf("this host has no interface %s; as root: ip link add %s type bridge && ip link set %s up", m.Name, m.Name, m.Name)
	}
	return pith.Errorf("this host has no interface %s; as root: ip tuntap add %s mode tap user $USER && ip link set %s up", m.Name, m.Name, m.Name)
}

// explain says in one sentence why a mode's tap can't be had, and what to do. What the
// kernel means by its errors is in its sources (drivers/net/tun.c, net/core/dev_ioctl.c).
func explain(m Mode, err error) error {
	if tun := (*noTun)(nil); errors.As(err, &tun) {
		return explainTun(m, tun.reason)
	}
	if m.Kind == Bridge {
		return explainBridge(m, err)
	}
	switch {
	case errors.Is(err, unix.EPERM):
		return pith.Errorf("tap %s belongs to another user; as root: ip tuntap del %s mode tap && ip tuntap add %s mode tap user $USER", m.Name, m.Name, m.Name)
	case errors.Is(err, unix.EBUSY):
		return pith.Errorf("tap %s is used by another machine: stop that one, or make another tap", m.Name)
	case errors.Is(err, unix.EINVAL):
		return pith.Errorf("%s is no tap interface; as root: ip tuntap add NAME mode tap user $USER makes one", m.Name)
	default:
		return fmt.Errorf("network %s: %w", m, err)
	}
}

// explainTun is explain where the device for taps can't be opened.
func explainTun(m Mode, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return pith.Errorf("network %s: this host has no %s; as root: modprobe tun (--net user does without)", m, tunDevice)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return pith.Errorf("network %s: this user may not open %s; as root: chmod 666 %s (--net user does without)", m, tunDevice, tunDevice)
	default:
		return fmt.Errorf("network %s: open %s: %w", m, tunDevice, err)
	}
}

func explainBridge(m Mode, err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return pith.Errorf("network %s: a tap on a bridge takes root; without: --net tap:NAME with a tap of this user's, or --net user", m)
	case errors.Is(err, unix.EOPNOTSUPP):
		return pith.Errorf("%s is no bridge; as root: ip link add NAME type bridge makes one", m.Name)
	default:
		return fmt.Errorf("network %s: %w", m, err)
	}
}
