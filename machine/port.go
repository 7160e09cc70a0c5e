package machine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"pith"
)

// Protocols of a published port.
const (
	TCP = "tcp"
	UDP = "udp"
)

const portSyntax = "write [ADDRESS:]HOST:GUEST[/udp], as in 8080:80"

// ParsePort reads a published port in Docker's notation:
//
//	8080:80                 host port, guest port, on 127.0.0.1
//	80                      the same on a free host port
//	5353:53/udp             UDP
//	0.0.0.0:8080:80         on every address of the host
//	[::1]:8080:80           IPv6
//
// A host port of 0 stands for a free one; FreePorts finds it.
func ParsePort(s string) (pith.Port, error) {
	rest, protocol, hasProtocol := strings.Cut(s, "/")
	if !hasProtocol {
		protocol = TCP
	}
	if protocol != TCP && protocol != UDP {
		return pith.Port{}, pith.Errorf("port %q: the protocol is tcp or udp, not %q", s, protocol)
	}
	address, host, guest, err := splitPort(rest)
	if err != nil {
		return pith.Port{}, pith.Errorf("port %q: %w", s, err)
	}
	if guest == 0 {
		return pith.Port{}, pith.Errorf("port %q: a guest's port is 1 to 65535", s)
	}
	return pith.Port{Protocol: protocol, Host: netip.AddrPortFrom(address, host), Guest: guest}, nil
}

func splitPort(s string) (address netip.Addr, host, guest uint16, err error) {
	address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	front, last := cutLast(s)
	if guest, err = parsePortNumber(last); err != nil {
		return address, 0, 0, err
	}
	if front == "" {
		return address, 0, guest, nil
	}
	front, last = cutLast(front)
	if host, err = parsePortNumber(last); err != nil {
		return address, 0, 0, err
	}
	if front == "" {
		return address, host, guest, nil
	}
	if unwrapped, ok := strings.CutPrefix(front, "["); ok {
		front = strings.TrimSuffix(unwrapped, "]")
	}
	if address, err = netip.ParseAddr(front); err != nil || address.Zone() != "" {
		return address, 0, 0, fmt.Errorf("%q is no IP address: %s", front, portSyntax)
	}
	return address, host, guest, nil
}

// cutLast splits s at its last colon; front is "" where there is none.
func cutLast(s string) (front, last string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}

func parsePortNumber(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || s[0] == '+' {
		return 0, fmt.Errorf("%q is no port number from 0 to 65535: %s", s, portSyntax)
	}
	return uint16(n), nil
}

// FormatPort writes a port as ParsePort reads it, with its address.
func FormatPort(p pith.Port) string {
	s := fmt.Sprintf("%s:%d", p.Host, p.Guest)
	if p.Protocol != TCP {
		s += "/" + p.Protocol
	}
	return s
}

// FreePorts gives each port with host port 0 a free one, and refuses those
// that another program on this host has, or that appear twice. It holds none
// of them, so a driver must still expect that one is taken meanwhile.
func FreePorts(ports []pith.Port) ([]pith.Port, error) {
	free := make([]pith.Port, 0, len(ports))
	var held []interface{ Close() error }
	defer func() {
		for _, h := range held {
			h.Close()
		}
	}()
	for _, p := range ports {
		holder, host, err := hold(p)
		if err != nil {
			return nil, pith.Errorf("%s/%s can't be published: %w", p.Host, p.Protocol, reason(err))
		}
		held = append(held, holder)
		p.Host = host
		free = append(free, p)
	}
	return free, nil
}

// hold takes the host's port until the closer is closed.
func hold(p pith.Port) (interface{ Close() error }, netip.AddrPort, error) {
	if p.Protocol == UDP {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(p.Host))
		if err != nil {
			return nil, p.Host, err
		}
		return conn, sameAddr(p.Host, conn.LocalAddr().(*net.UDPAddr).Port), nil
	}
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(p.Host))
	if err != nil {
		return nil, p.Host, err
	}
	return l, sameAddr(p.Host, l.Addr().(*net.TCPAddr).Port), nil
}

// reason says in a user's words why a port could not be taken.
func reason(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return errors.New("another program on this host uses it")
	case errors.Is(err, syscall.EACCES):
		return errors.New("this user may not use it; ports from 1024 on need no rights")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return errors.New("this host does not have that address")
	default:
		return err
	}
}

// sameAddr keeps the address as it was asked for: the listener's own would turn
// 0.0.0.0 into ::.
func sameAddr(asked netip.AddrPort, port int) netip.AddrPort {
	return netip.AddrPortFrom(asked.Addr(), uint16(port))
}

// URL is where a client finds a published port: its scheme is guessed from the
// guest's port number.
func URL(p pith.Port) string {
	host := p.Host
	if host.Addr().IsUnspecified() {
		loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if host.Addr().Is6() {
			loopback = netip.IPv6Loopback()
		}
		host = netip.AddrPortFrom(loopback, host.Port())
	}
	return fmt.Sprintf("%s://%s", scheme(p), host)
}

func scheme(p pith.Port) string {
	if p.Protocol == UDP {
		return UDP
	}
	switch p.Guest {
	case 443, 8443:
		return "https"
	case 7, 21, 22, 25, 53, 110, 143, 853, 3306, 5432, 6379, 11211, 27017:
		return TCP
	default:
		return "http"
	}
}
