package network

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const tunDevice = "/dev/net/tun"

// checkTap is Check for taps and bridges.
func checkTap(m Mode) error {
	if _, err := net.InterfaceByName(m.Name); err != nil {
		return missing(m)
	}
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return explainTun(m, err)
	}
	return unix.Close(fd)
}

// openTap opens the tap that a mode names, or makes one on its bridge, with up to
// so many queues.
func openTap(m Mode, queues int) ([]*os.File, error) {
	if _, err := net.InterfaceByName(m.Name); err != nil {
		return nil, missing(m)
	}
	var files []*os.File
	var err error
	if m.Kind == Tap {
		files, err = openOwn(m.Name, queues)
	} else {
		files, err = openPort(m.Name, queues)
	}
	if err != nil {
		return nil, explain(m, err)
	}
	return files, nil
}

// openPort makes a tap on a bridge.
func openPort(bridge string, queues int) ([]*os.File, error) {
	files, name, err := attachTap("pith%d", queues) // the kernel puts the next free number there
	if err != nil {
		return nil, err
	}
	if err := addToBridge(bridge, name); err != nil {
		closeAll(files)
		return nil, fmt.Errorf("join %s to it: %w", name, err)
	}
	return files, nil
}

// openOwn opens a tap that the user made, with as many queues as it may have: whether
// that is one or several is settled when a tap is made.
func openOwn(name string, queues int) ([]*os.File, error) {
	files, _, err := attachTap(name, queues)
	if errors.Is(err, unix.EINVAL) && queues > 1 {
		files, _, err = attachTap(name, 1)
	} else if errors.Is(err, unix.EINVAL) {
		files, err = attachFirst(name)
	}
	if err != nil {
		return nil, err
	}
	if err := alone(name, len(files)); err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

// attachFirst opens one queue of a tap that may have several.
func attachFirst(name string) ([]*os.File, error) {
	f, _, err := attachQueue(name, unix.IFF_MULTI_QUEUE)
	return []*os.File{f}, err
}

// alone fails where a tap has more queues open than ours: the kernel lets any number
// of programs share one that may have several, and spreads what comes over them.
func alone(name string, ours int) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if t, ok := l.(*netlink.Tuntap); ok && t.Queues+t.DisabledQueues > ours {
		return unix.EBUSY
	}
	return nil
}

// attachTap opens a tap interface by name, which makes it if there is none, with
// so many queues. It returns the name that the kernel gave it.
func attachTap(name string, queues int) ([]*os.File, string, error) {
	flags := uint16(0)
	if queues > 1 {
		flags = unix.IFF_MULTI_QUEUE
	}
	var files []*os.File
	for range queues {
		f, given, err := attachQueue(name, flags)
		if err != nil {
			closeAll(files)
			return nil, "", err
		}
		files, name = append(files, f), given
	}
	return files, name, nil
}

// attachQueue opens one queue of a tap.
func attachQueue(name string, flags uint16) (*os.File, string, error) {
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", &noTun{err}
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR | flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		return nil, "", err
	}
	return os.NewFile(uintptr(fd), request.Name()), request.Name(), nil
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
