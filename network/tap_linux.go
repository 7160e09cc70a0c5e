package network

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"pith"
)

const tunDevice = "/dev/net/tun"

// openTap opens the tap that a mode names, or makes one on its bridge.
func openTap(m Mode) (*os.File, error) {
	if _, err := net.InterfaceByName(m.Name); err != nil {
		return nil, pith.Errorf("this host has no interface %s", m.Name)
	}
	name := m.Name
	if m.Kind == Bridge {
		name = "pith%d" // the kernel puts the next free number there
	}
	f, name, err := attachTap(name)
	if err != nil {
		return nil, err
	}
	if m.Kind == Tap {
		return f, nil
	}
	if err := addToBridge(m.Name, name); err != nil {
		f.Close()
		return nil, fmt.Errorf("join %s to bridge %s: %w", name, m.Name, err)
	}
	return f, nil
}

// attachTap opens a tap interface by name, which makes it if there is none.
func attachTap(name string) (*os.File, string, error) {
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", fmt.Errorf("open %s: %w", tunDevice, err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		unix.Close(fd)
		return nil, "", fmt.Errorf("tap %s: %w", name, err)
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		unix.Close(fd)
		return nil, "", tapError(name, err)
	}
	return os.NewFile(uintptr(fd), request.Name()), request.Name(), nil
}

func tapError(name string, err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return pith.Errorf("tap %s: this user may not use it; as root: ip tuntap add %s mode tap user $USER", name, name)
	case errors.Is(err, unix.EBUSY):
		return pith.Errorf("tap %s is used by another machine", name)
	case errors.Is(err, unix.EINVAL):
		return pith.Errorf("%s is no tap interface", name)
	default:
		return fmt.Errorf("tap %s: %w", name, err)
	}
}

// addToBridge makes the interface a port of the bridge and brings it up.
func addToBridge(bridge, name string) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	port, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	request, err := unix.NewIfreq(bridge)
	if err != nil {
		return err
	}
	request.SetUint32(uint32(port.Index))
	if err := unix.IoctlIfreq(socket, unix.SIOCBRADDIF, request); err != nil {
		return err
	}
	if request, err = unix.NewIfreq(name); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(socket, unix.SIOCGIFFLAGS, request); err != nil {
		return err
	}
	request.SetUint16(request.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}
