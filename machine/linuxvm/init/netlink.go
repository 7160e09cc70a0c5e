//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"syscall"
)

// create is for requests that make something new.
const create = syscall.NLM_F_CREATE | syscall.NLM_F_REPLACE

// configure gives a link its address, brings it up, and routes everything else
// through gateway, if there is one.
func configure(link, addr, gateway string) {
	prefix, err := netip.ParsePrefix(addr)
	die("address of "+link, err)
	index, err := linkIndex(link)
	die("link "+link, err)
	ip := prefix.Addr().AsSlice()
	die("address of "+link, request(syscall.RTM_NEWADDR, create, addressMessage(index, prefix.Bits(), ip)))
	die("link "+link, request(syscall.RTM_NEWLINK, 0, linkMessage(index, syscall.IFF_UP)))
	if gateway != "" {
		addRoute("", gateway)
	}
}

// rename gives a link that is down another name.
func rename(link, to string) {
	index, err := linkIndex(link)
	die("link "+link, err)
	m := attribute(linkMessage(index, 0), syscall.IFLA_IFNAME, append([]byte(to), 0))
	die("name of "+link, request(syscall.RTM_NEWLINK, 0, m))
}

// silence brings a link up on which the kernel neither speaks nor answers: it has no
// address, IPv6 is off and so is ARP.
func silence(link string) {
	err := os.WriteFile("/proc/sys/net/ipv6/conf/"+link+"/disable_ipv6", []byte("1"), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without IPv6 has no such file
		die("IPv6 of "+link, err)
	}
	index, err := linkIndex(link)
	die("link "+link, err)
	die("link "+link, request(syscall.RTM_NEWLINK, 0, linkMessage(index, syscall.IFF_UP|syscall.IFF_NOARP)))
}

// addRoute sends what is for a destination through a gateway; "" is everything
// that no other route takes.
func addRoute(to, gateway string) {
	gw, err := netip.ParseAddr(gateway)
	die("gateway", err)
	var destination netip.Prefix
	if to != "" {
		destination, err = netip.ParsePrefix(to)
		die("route to "+to, err)
	}
	die("route", request(syscall.RTM_NEWROUTE, create, routeMessage(destination, gw.AsSlice())))
}

// linkIndex reads a link's index where sysfs shows it.
func linkIndex(link string) (uint32, error) {
	fd, err := syscall.Open("/sys/class/net/"+link+"/ifindex", syscall.O_RDONLY, 0)
	if err != nil {
		return 0, err
	}
	defer syscall.Close(fd)
	text := make([]byte, 16)
	n, err := syscall.Read(fd, text)
	if err != nil {
		return 0, err
	}
	index := uint32(0)
	for _, c := range text[:n] {
		if c >= '0' && c <= '9' {
			index = index*10 + uint32(c-'0')
		}
	}
	return index, nil
}

// noDetection is IFA_F_NODAD: an IPv6 address is usable at once.
const noDetection = 0x02

// addressMessage is an ifaddrmsg with the address twice: an IPv4 link wants it
// as its own and as the prefix.
func addressMessage(index uint32, bits int, ip []byte) []byte {
	m := []byte{family(ip), byte(bits), noDetection, syscall.RT_SCOPE_UNIVERSE}
	m = binary.NativeEndian.AppendUint32(m, index)
	m = attribute(m, syscall.IFA_LOCAL, ip)
	return attribute(m, syscall.IFA_ADDRESS, ip)
}

// linkMessage is an ifinfomsg that sets flags and leaves the others alone.
func linkMessage(index, flags uint32) []byte {
	m := []byte{syscall.AF_UNSPEC, 0, 0, 0}
	m = binary.NativeEndian.AppendUint32(m, index)
	m = binary.NativeEndian.AppendUint32(m, flags)
	return binary.NativeEndian.AppendUint32(m, flags)
}

// routeMessage is a rtmsg for a route; one to nowhere in particular is the
// default route.
func routeMessage(to netip.Prefix, gateway []byte) []byte {
	m := []byte{family(gateway), byte(max(to.Bits(), 0)), 0, 0, syscall.RT_TABLE_MAIN, syscall.RTPROT_BOOT, syscall.RT_SCOPE_UNIVERSE, syscall.RTN_UNICAST}
	m = binary.NativeEndian.AppendUint32(m, 0)
	if to.IsValid() {
		m = attribute(m, syscall.RTA_DST, to.Addr().AsSlice())
	}
	return attribute(m, syscall.RTA_GATEWAY, gateway)
}

func family(ip []byte) byte {
	if len(ip) == 4 {
		return syscall.AF_INET
	}
	return syscall.AF_INET6
}

// attribute appends a rtattr: length, type, value, padding.
func attribute(m []byte, typ uint16, value []byte) []byte {
	m = binary.NativeEndian.AppendUint16(m, uint16(4+len(value)))
	m = binary.NativeEndian.AppendUint16(m, typ)
	m = append(m, value...)
	for len(m)%4 != 0 {
		m = append(m, 0)
	}
	return m
}

// request sends one rtnetlink message and waits for what the kernel says to it
// (rtnetlink(7), netlink(7)).
func request(typ, flags uint16, body []byte) error {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	m := binary.NativeEndian.AppendUint32(nil, uint32(syscall.NLMSG_HDRLEN+len(body)))
	m = binary.NativeEndian.AppendUint16(m, typ)
	m = binary.NativeEndian.AppendUint16(m, syscall.NLM_F_REQUEST|syscall.NLM_F_ACK|flags)
	m = append(m, make([]byte, 8)...) // sequence number, sender
	m = append(m, body...)
	if err := syscall.Sendto(fd, m, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	if n < 20 {
		return errors.New("rtnetlink: short answer")
	}
	if code := int32(binary.NativeEndian.Uint32(answer[16:])); code != 0 {
		return syscall.Errno(-code)
	}
	return nil
}
