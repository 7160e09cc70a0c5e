package linux

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

func sockaddr4(port uint16) *syscall.RawSockaddrInet4 {
	return &syscall.RawSockaddrInet4{Family: syscall.AF_INET, Port: port<<8 | port>>8, Addr: [4]byte{127, 0, 0, 1}}
}

// listener makes a listening TCP socket.
func listener(t testing.TB, flags uintptr) (fd uintptr, port uint16) {
	t.Helper()
	fd, errno := do(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_STREAM|flags, 0)
	ok(t, fd, errno)
	t.Cleanup(func() { fds.close(fd) })
	_, _, errno = entry(syscall.SYS_BIND, fd, uintptr(unsafe.Pointer(sockaddr4(0))), syscall.SizeofSockaddrInet4, 0, 0, 0)
	want(t, errno, 0)
	_, errno = do(syscall.SYS_LISTEN, fd, 16, 0)
	want(t, errno, 0)
	return fd, portOf(t, fd)
}

func connectTo(t testing.TB, port uint16, flags uintptr) (uintptr, Errno) {
	t.Helper()
	fd, errno := do(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_STREAM|flags, 0)
	ok(t, fd, errno)
	t.Cleanup(func() { fds.close(fd) })
	_, _, errno = entry(syscall.SYS_CONNECT, fd, uintptr(unsafe.Pointer(sockaddr4(port))), syscall.SizeofSockaddrInet4, 0, 0, 0)
	return fd, errno
}

func TestTCP(t *testing.T) {
	l, port := listener(t, syscall.SOCK_NONBLOCK)
	var rsa syscall.RawSockaddrAny
	size := uint32(syscall.SizeofSockaddrAny)
	if _, err := Accept4(int(l), &rsa, &size, 0); err != syscall.EAGAIN {
		t.Fatalf("accept without a connection: %v", err)
	}
	testPoller.take(l)
	client, errno := connectTo(t, port, 0) // blocks until it is connected
	want(t, errno, 0)
	if got := testPoller.take(l); got&uint32(readable) == 0 {
		t.Errorf("no edge at the listener: %#x", got)
	}
	server, err := Accept4(int(l), &rsa, &size, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
	if err != nil || rsa.Addr.Family != syscall.AF_INET || size != syscall.SizeofSockaddrInet4 {
		t.Fatalf("accept: %v %+v %d", err, rsa, size)
	}
	defer closeFD(t, uintptr(server))
	if got := testPoller.take(uintptr(server)); got&uint32(writable) == 0 {
		t.Errorf("no edge for what a new connection can do: %#x", got)
	}
	flags, _ := do(syscall.SYS_FCNTL, uintptr(server), syscall.F_GETFL, 0)
	if flags != syscall.O_RDWR|syscall.O_NONBLOCK {
		t.Errorf("flags of an accepted socket: %#o", flags)
	}
	p := make([]byte, 100)
	if _, err := Read(server, p); err != syscall.EAGAIN {
		t.Errorf("read: %v", err)
	}
	if n, err := Write(int(client), []byte("request")); n != 7 || err != nil {
		t.Errorf("write: %d %v", n, err)
	}
	if got := testPoller.take(uintptr(server)); got&uint32(readable) == 0 {
		t.Errorf("no edge for data: %#x", got)
	}
	var waiting int32
	_, _, errno = entry(syscall.SYS_IOCTL, uintptr(server), fionread, uintptr(unsafe.Pointer(&waiting)), 0, 0, 0)
	if want(t, errno, 0); waiting != 7 {
		t.Errorf("FIONREAD: %d", waiting)
	}
	if n, err := Read(server, p); string(p[:n]) != "request" || err != nil {
		t.Errorf("read: %q %v", p[:n], err)
	}
	_, errno = do(syscall.SYS_SHUTDOWN, client, syscall.SHUT_WR, 0)
	want(t, errno, 0)
	if n, err := Read(server, p); n != 0 || err != nil {
		t.Errorf("read after a half-close: %d %v", n, err)
	}
	_, errno = do(syscall.SYS_SHUTDOWN, client, 7, 0)
	want(t, errno, syscall.EINVAL)
}

func TestRefusedConnection(t *testing.T) {
	_, errno := connectTo(t, 1, 0)
	want(t, errno, syscall.ECONNREFUSED)
	fd, errno := connectTo(t, 1, syscall.SOCK_NONBLOCK)
	want(t, errno, syscall.EINPROGRESS)
	if got := testPoller.take(fd); got&uint32(writable) == 0 {
		t.Errorf("no edge: %#x", got)
	}
	if got := sockopt(t, fd, syscall.SOL_SOCKET, syscall.SO_ERROR); got != int32(syscall.ECONNREFUSED) {
		t.Errorf("SO_ERROR is %d", got)
	}
}

func sockopt(t testing.TB, fd uintptr, level, name uintptr) (v int32) {
	t.Helper()
	size := uint32(4)
	_, _, errno := entry(syscall.SYS_GETSOCKOPT, fd, level, name, uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&size)), 0)
	want(t, errno, 0)
	return v
}

func TestSocketOptions(t *testing.T) {
	l, _ := listener(t, 0)
	if sockopt(t, l, syscall.SOL_SOCKET, syscall.SO_TYPE) != syscall.SOCK_STREAM ||
		sockopt(t, l, syscall.SOL_SOCKET, soDomain) != syscall.AF_INET ||
		sockopt(t, l, syscall.SOL_SOCKET, soProtocol) != syscall.IPPROTO_TCP ||
		sockopt(t, l, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN) != 1 {
		t.Error("a socket does not know what it is")
	}
	one := int32(1)
	_, _, errno := entry(syscall.SYS_SETSOCKOPT, l, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, uintptr(unsafe.Pointer(&one)), 4, 0)
	want(t, errno, 0)
	if sockopt(t, l, syscall.IPPROTO_TCP, syscall.TCP_NODELAY) != 1 {
		t.Error("TCP_NODELAY does not reach the endpoint")
	}
	_, _, errno = entry(syscall.SYS_SETSOCKOPT, l, syscall.SOL_SOCKET, 1, uintptr(unsafe.Pointer(&one)), maxOption+1, 0)
	want(t, errno, syscall.EINVAL)
	_, errno = do(syscall.SYS_SETSOCKOPT, 0, syscall.SOL_SOCKET, 1)
	want(t, errno, syscall.ENOTSOCK)
}

func TestReceiveTimeout(t *testing.T) {
	fd := udp(t, 0)
	tv := syscall.Timeval{Usec: 20000}
	_, _, errno := entry(syscall.SYS_SETSOCKOPT, fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, uintptr(unsafe.Pointer(&tv)), 16, 0)
	want(t, errno, 0)
	start := time.Now()
	var from syscall.SockaddrInet4
	if _, err := RecvfromInet4(int(fd), make([]byte, 10), 0, &from); err != syscall.EAGAIN || time.Since(start) < 20*time.Millisecond {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestUDP(t *testing.T) {
	a, b := udp(t, syscall.SOCK_NONBLOCK), udp(t, syscall.SOCK_NONBLOCK)
	to := &syscall.SockaddrInet4{Port: int(portOf(t, b)), Addr: [4]byte{127, 0, 0, 1}}
	if err := SendtoInet4(int(a), []byte("0123456789"), 0, to); err != nil {
		t.Fatal(err)
	}
	var from syscall.SockaddrInet4
	p := make([]byte, 4)
	oob := make([]byte, 20)
	n, oobn, flags, err := RecvmsgInet4(int(b), p, oob, syscall.MSG_PEEK|syscall.MSG_TRUNC, &from)
	if n != 10 || oobn != 8 || flags&syscall.MSG_TRUNC == 0 || err != nil || string(p) != "0123" || from.Port != int(portOf(t, a)) {
		t.Errorf("recvmsg: %d %d %#x %v %q %+v", n, oobn, flags, err, p, from)
	}
	if n, err := RecvfromInet4(int(b), p, 0, &from); n != 4 || err != nil {
		t.Errorf("recvfrom: %d %v", n, err)
	}
	if _, err := RecvfromInet4(int(b), p, 0, &from); err != syscall.EAGAIN {
		t.Errorf("recvfrom without a datagram: %v", err)
	}
	if err := SendtoInet4(int(a), p, 0, &syscall.SockaddrInet4{Port: 70000}); err != syscall.EINVAL {
		t.Errorf("sendto port 70000: %v", err)
	}
	_, errno := do(syscall.SYS_SENDTO, a, pointer("x"), 1)
	want(t, errno, syscall.EDESTADDRREQ)
}

// TestSendmsgN: the short way of WriteMsgUDP says what sendmsg(2) says.
func TestSendmsgN(t *testing.T) {
	a, b := udp(t, syscall.SOCK_NONBLOCK), udp(t, syscall.SOCK_NONBLOCK)
	to := (*[sizeofSockaddr4]byte)(unsafe.Pointer(sockaddr4(portOf(t, b))))
	p := []byte("0123456789")
	send := func(name []byte) (int, error) {
		if name == nil {
			return SendmsgN(int(a), p, nil, nil, 0, 0)
		}
		return SendmsgN(int(a), p, nil, unsafe.Pointer(&name[0]), uint32(len(name)), 0)
	}
	if n, err := send(to[:]); n != len(p) || err != nil {
		t.Fatalf("%d %v", n, err)
	}
	var from syscall.SockaddrInet4
	got := make([]byte, 20)
	if n, err := RecvfromInet4(int(b), got, 0, &from); err != nil || string(got[:n]) != string(p) || from.Port != int(portOf(t, a)) {
		t.Errorf("%q %v from %+v", got[:max(n, 0)], err, from)
	}
	if _, err := send(nil); err != syscall.EDESTADDRREQ {
		t.Errorf("without an address: %v", err)
	}
	if _, err := send([]byte{syscall.AF_UNSPEC, 0}); err != syscall.EDESTADDRREQ {
		t.Errorf("to AF_UNSPEC: %v", err)
	}
	if _, err := send(to[:8]); err != syscall.EINVAL {
		t.Errorf("to an address cut short: %v", err)
	}
	if _, err := send(append([]byte{syscall.AF_INET6}, make([]byte, 27)...)); err != syscall.EAFNOSUPPORT {
		t.Errorf("to an address of IPv6: %v", err)
	}
	r, _ := newPipePair(t, 0)
	for _, fd := range []int{int(r), 1 << 20} {
		if Datagram(fd) {
			t.Errorf("descriptor %d is a datagram socket", fd)
		}
	}
	if _, err := SendmsgN(int(r), p, nil, nil, 0, 0); err != syscall.ENOTSOCK {
		t.Errorf("to a pipe: %v", err)
	}
	if !Datagram(int(a)) {
		t.Error("a datagram socket is none")
	}
}

func TestManyMessages(t *testing.T) {
	a, b := udp(t, syscall.SOCK_NONBLOCK), udp(t, syscall.SOCK_NONBLOCK)
	type mmsghdr struct {
		hdr syscall.Msghdr
		n   uint32
		_   [4]byte
	}
	to := sockaddr4(portOf(t, b))
	batch := func(p []byte, name unsafe.Pointer, nameLen uint32) *[3]mmsghdr {
		var m [3]mmsghdr
		for i := range m {
			iov := &syscall.Iovec{Base: &p[100*i], Len: 100}
			m[i].hdr = syscall.Msghdr{Name: (*byte)(name), Namelen: nameLen, Iov: iov, Iovlen: 1}
		}
		return &m
	}
	out := bytes.Repeat([]byte("abcdefghij"), 30)
	n, _, errno := entry(sysNumSendmmsg, a, uintptr(unsafe.Pointer(batch(out, unsafe.Pointer(to), syscall.SizeofSockaddrInet4))), 3, 0, 0, 0)
	if ok(t, n, errno) != 3 {
		t.Fatalf("sendmmsg sent %d", n)
	}
	p := make([]byte, 300)
	in := batch(p, nil, 0)
	n, _, errno = entry(syscall.SYS_RECVMMSG, b, uintptr(unsafe.Pointer(in)), 3, 0, 0, 0)
	if ok(t, n, errno) != 3 || !bytes.Equal(p, out) || in[2].n != 100 {
		t.Errorf("recvmmsg got %d, %q", n, p)
	}
	_, _, errno = entry(syscall.SYS_RECVMMSG, b, uintptr(unsafe.Pointer(in)), 3, 0, 0, 0)
	want(t, errno, syscall.EAGAIN)
}

func TestSocketErrors(t *testing.T) {
	for _, c := range []struct {
		family, typ, protocol uintptr
		errno                 Errno
	}{
		{99, syscall.SOCK_STREAM, 0, syscall.EAFNOSUPPORT},
		{syscall.AF_INET, 14, 0, syscall.EPROTONOSUPPORT},
		{syscall.AF_INET, syscall.SOCK_STREAM | 1<<20, 0, syscall.EINVAL},
		{syscall.AF_UNIX, 14, 0, syscall.ESOCKTNOSUPPORT},
		{syscall.AF_NETLINK, syscall.SOCK_RAW, 15, syscall.EPROTONOSUPPORT},
	} {
		_, errno := do(syscall.SYS_SOCKET, c.family, c.typ, c.protocol)
		if errno != c.errno {
			t.Errorf("socket(%d, %d, %d): %v, want %v", c.family, c.typ, c.protocol, errno, c.errno)
		}
	}
	_, errno := do(syscall.SYS_LISTEN, 1, 1, 0)
	want(t, errno, syscall.ENOTSOCK)
	saved := network.Swap(nil)
	_, errno = do(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_STREAM, 0)
	network.Store(saved)
	want(t, errno, syscall.ENETDOWN)
}

func TestSockaddr(t *testing.T) {
	var room [maxSockaddr]byte
	for _, c := range []struct {
		addr   string
		family int
		want   string // what comes back; the same if empty
	}{
		{"1.2.3.4:5678", syscall.AF_INET, ""},
		{"[2001:db8::1]:80", syscall.AF_INET6, ""},
		{"[fe80::1%2]:80", syscall.AF_INET6, ""},
		{"[fe80::1%eth0]:80", syscall.AF_INET6, "[fe80::1%2]:80"},
		{"[::ffff:1.2.3.4]:9", syscall.AF_INET6, ""},
		{"[::ffff:1.2.3.4]:9", syscall.AF_INET, "1.2.3.4:9"},
		{"1.2.3.4:9", syscall.AF_INET6, "[::ffff:1.2.3.4]:9"},
	} {
		n := encodeAddress(room[:], netip.MustParseAddrPort(c.addr), c.family)
		got, errno := decodeAddress(room[:n], c.family)
		if c.want == "" {
			c.want = c.addr
		}
		if errno != 0 || got.String() != c.want {
			t.Errorf("%s of family %d: %v, %v", c.addr, c.family, got, errno)
		}
	}
	if _, errno := decodeAddress([]byte{2, 0, 1}, syscall.AF_INET); errno != syscall.EINVAL {
		t.Errorf("short address: %v", errno)
	}
	if _, errno := decodeAddress(make([]byte, 16), syscall.AF_INET); errno != syscall.EAFNOSUPPORT {
		t.Errorf("address without family: %v", errno)
	}
}

// rib asks for a dump as syscall.NetlinkRIB does.
func rib(t *testing.T, request int, family byte) (all []syscall.NetlinkMessage) {
	t.Helper()
	fd, errno := do(syscall.SYS_SOCKET, syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	ok(t, fd, errno)
	defer closeFD(t, fd)
	sa := &syscall.RawSockaddrNetlink{Family: syscall.AF_NETLINK}
	_, _, errno = entry(syscall.SYS_BIND, fd, uintptr(unsafe.Pointer(sa)), syscall.SizeofSockaddrNetlink, 0, 0, 0)
	want(t, errno, 0)
	ask := make([]byte, 17)
	store32(ask, 17)
	store16(ask[4:], uint16(request))
	store16(ask[6:], syscall.NLM_F_DUMP|syscall.NLM_F_REQUEST)
	store32(ask[8:], 1)
	ask[16] = family
	n, _, errno := entry(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&ask[0])), 17, 0, uintptr(unsafe.Pointer(sa)), syscall.SizeofSockaddrNetlink)
	if ok(t, n, errno) != 17 {
		t.Fatalf("sent %d", n)
	}
	size := uint32(syscall.SizeofSockaddrNetlink)
	_, _, errno = entry(syscall.SYS_GETSOCKNAME, fd, uintptr(unsafe.Pointer(sa)), uintptr(unsafe.Pointer(&size)), 0, 0, 0)
	want(t, errno, 0)
	for {
		p := make([]byte, 4096)
		var rsa syscall.RawSockaddrAny
		size := uint32(syscall.SizeofSockaddrAny)
		n, err := Recvfrom(int(fd), p, 0, &rsa, &size)
		if err != nil || rsa.Addr.Family != syscall.AF_NETLINK {
			t.Fatal(err, rsa.Addr.Family)
		}
		messages, err := syscall.ParseNetlinkMessage(p[:n])
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if m.Header.Seq != 1 || m.Header.Pid != sa.Pid || sa.Pid == 0 {
				t.Fatalf("header %+v for port %d", m.Header, sa.Pid)
			}
			switch m.Header.Type {
			case syscall.NLMSG_DONE:
				return all
			case syscall.NLMSG_ERROR:
				t.Fatalf("error %v", Errno(-int32(load32(m.Data))))
			}
			all = append(all, m)
		}
	}
}

func attributes(t *testing.T, m syscall.NetlinkMessage) map[uint16][]byte {
	t.Helper()
	list, err := syscall.ParseNetlinkRouteAttr(&m)
	if err != nil {
		t.Fatal(err)
	}
	all := map[uint16][]byte{}
	for _, a := range list {
		all[a.Attr.Type] = a.Value
	}
	return all
}

func TestNetlink(t *testing.T) {
	links := rib(t, syscall.RTM_GETLINK, syscall.AF_UNSPEC)
	if len(links) != 2 {
		t.Fatalf("%d links", len(links))
	}
	eth := attributes(t, links[1])
	if string(eth[syscall.IFLA_IFNAME]) != "eth0\x00" || load32(eth[syscall.IFLA_MTU]) != 1500 ||
		!bytes.Equal(eth[syscall.IFLA_ADDRESS], []byte{0x52, 0x54, 0, 1, 2, 3}) {
		t.Errorf("eth0: %v", eth)
	}
	if stats := eth[iflaStats64]; len(stats) != 200 || load64(stats) != 1 || load64(stats[24:]) != 5 || load64(stats[56:]) != 6 {
		t.Errorf("counters of eth0: %v", stats)
	}
	flags := load32(links[0].Data[8:])
	if flags&(syscall.IFF_UP|syscall.IFF_LOOPBACK) != syscall.IFF_UP|syscall.IFF_LOOPBACK {
		t.Errorf("flags of lo: %#x", flags)
	}
	if got := rib(t, syscall.RTM_GETADDR, syscall.AF_UNSPEC); len(got) != 4 {
		t.Errorf("%d addresses", len(got))
	}
	addresses := rib(t, syscall.RTM_GETADDR, syscall.AF_INET)
	if len(addresses) != 2 {
		t.Fatalf("%d IPv4 addresses", len(addresses))
	}
	a := attributes(t, addresses[1])
	if addresses[1].Data[1] != 24 || !bytes.Equal(a[syscall.IFA_LOCAL], []byte{10, 0, 2, 15}) ||
		!bytes.Equal(a[syscall.IFA_BROADCAST], []byte{10, 0, 2, 255}) || string(a[syscall.IFA_LABEL]) != "eth0\x00" {
		t.Errorf("address of eth0: %v %v", addresses[1].Data[:8], a)
	}
	routes := rib(t, syscall.RTM_GETROUTE, syscall.AF_INET)
	if len(routes) != 2 || !bytes.Equal(attributes(t, routes[1])[syscall.RTA_GATEWAY], []byte{10, 0, 2, 2}) {
		t.Errorf("%d routes", len(routes))
	}
}

// TestNetlinkSplits checks that a dump that is larger than a reader's buffer
// comes in several datagrams, cut between messages.
func TestNetlinkSplits(t *testing.T) {
	d := dump{seq: 1, port: 2}
	for range 40 {
		d.links(testStack, 0)
	}
	parts := d.parts(true)
	n := 0
	for _, p := range parts {
		if len(p) > nlMaxPart {
			t.Errorf("a part of %d bytes", len(p))
		}
		messages, err := syscall.ParseNetlinkMessage(p)
		if err != nil {
			t.Fatal(err)
		}
		n += len(messages)
	}
	if n != 81 || len(parts) < 2 {
		t.Errorf("%d messages in %d parts", n, len(parts))
	}
}

func TestNetlinkRefusesChanges(t *testing.T) {
	n := &netlink{port: 5}
	ask := make([]byte, 32)
	store32(ask, 32)
	store16(ask[4:], syscall.RTM_NEWADDR)
	store16(ask[6:], syscall.NLM_F_REQUEST|syscall.NLM_F_ACK)
	m, err := syscall.ParseNetlinkMessage(n.reply(ask)[0])
	if err != nil || m[0].Header.Type != syscall.NLMSG_ERROR || int32(load32(m[0].Data)) != -int32(syscall.EPERM) {
		t.Errorf("%+v %v", m, err)
	}
}

func TestInterfaceRequests(t *testing.T) {
	fd := udp(t, 0)
	ask := func(request uintptr, name string, index uint32) ([ifreqSize]byte, Errno) {
		var r [ifreqSize]byte
		copy(r[:], name)
		store32(r[ifnameSize:], index)
		_, _, errno := entry(syscall.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(&r)), 0, 0, 0)
		return r, errno
	}
	r, errno := ask(siocgifindex, "eth0", 0)
	if want(t, errno, 0); load32(r[16:]) != 2 {
		t.Errorf("index %d", load32(r[16:]))
	}
	r, errno = ask(siocgifname, "", 2)
	if want(t, errno, 0); string(r[:5]) != "eth0\x00" {
		t.Errorf("name %q", r[:16])
	}
	r, errno = ask(siocgifnetmask, "eth0", 0)
	if want(t, errno, 0); !bytes.Equal(r[20:24], []byte{255, 255, 255, 0}) {
		t.Errorf("mask %v", r[16:])
	}
	_, errno = ask(siocgifmtu, "wlan0", 0)
	want(t, errno, syscall.ENODEV)
	_, errno = ask(0x8914, "eth0", 0) // SIOCSIFFLAGS
	want(t, errno, syscall.EPERM)
	var list [3 * ifreqSize]byte
	conf := struct {
		size int32
		_    int32
		at   *byte
	}{size: int32(len(list)), at: &list[0]}
	_, _, errno = entry(syscall.SYS_IOCTL, fd, siocgifconf, uintptr(unsafe.Pointer(&conf)), 0, 0, 0)
	if want(t, errno, 0); conf.size != 2*ifreqSize || string(list[ifreqSize:ifreqSize+5]) != "eth0\x00" {
		t.Errorf("%d bytes %q", conf.size, list[:])
	}
}

func unixSockaddr(name string) (*syscall.RawSockaddrUnix, uintptr) {
	sa := &syscall.RawSockaddrUnix{Family: syscall.AF_UNIX}
	for i := range len(name) {
		sa.Path[i] = int8(name[i])
	}
	size := uintptr(2 + len(name))
	if name != "" && name[0] != 0 {
		size++
	}
	return sa, size
}

func unixSocket(t testing.TB, typ uintptr) uintptr {
	t.Helper()
	fd, errno := do(syscall.SYS_SOCKET, syscall.AF_UNIX, typ, 0)
	ok(t, fd, errno)
	t.Cleanup(func() { fds.close(fd) })
	return fd
}

func TestUnixStream(t *testing.T) {
	for _, name := range []string{"/tmp/socket", "\x00abstract"} {
		l := unixSocket(t, syscall.SOCK_STREAM)
		sa, size := unixSockaddr(name)
		_, _, errno := entry(syscall.SYS_BIND, l, uintptr(unsafe.Pointer(sa)), size, 0, 0, 0)
		want(t, errno, 0)
		other := unixSocket(t, syscall.SOCK_STREAM)
		_, _, errno = entry(syscall.SYS_BIND, other, uintptr(unsafe.Pointer(sa)), size, 0, 0, 0)
		want(t, errno, syscall.EADDRINUSE)
		_, _, errno = entry(syscall.SYS_CONNECT, other, uintptr(unsafe.Pointer(sa)), size, 0, 0, 0)
		want(t, errno, syscall.ECONNREFUSED)
		_, errno = do(syscall.SYS_LISTEN, l, 5, 0)
		want(t, errno, 0)
		_, _, errno = entry(syscall.SYS_CONNECT, other, uintptr(unsafe.Pointer(sa)), size, 0, 0, 0)
		want(t, errno, 0)
		var rsa syscall.RawSockaddrAny
		rsaSize := uint32(syscall.SizeofSockaddrAny)
		server, err := Accept4(int(l), &rsa, &rsaSize, 0)
		if err != nil || rsaSize != 2 {
			t.Fatal(err, rsaSize)
		}
		_, _, errno = entry(syscall.SYS_GETPEERNAME, other, uintptr(unsafe.Pointer(&rsa)), uintptr(unsafe.Pointer(&rsaSize)), 0, 0, 0)
		want(t, errno, 0)
		rsaSize = syscall.SizeofSockaddrAny
		_, _, errno = entry(syscall.SYS_GETPEERNAME, other, uintptr(unsafe.Pointer(&rsa)), uintptr(unsafe.Pointer(&rsaSize)), 0, 0, 0)
		if want(t, errno, 0); uintptr(rsaSize) != size || rsa.Addr.Family != syscall.AF_UNIX {
			t.Errorf("peer's name of %d bytes", rsaSize)
		}
		unixConversation(t, int(other), server)
	}
	if mode := statOf(t, "/tmp/socket").Mode; mode&syscall.S_IFMT != syscall.S_IFSOCK {
		t.Errorf("mode %o", mode)
	}
	_, errno := openFile(t, "/tmp/socket", syscall.O_RDWR, 0)
	want(t, errno, syscall.ENXIO)
}

// unixConversation moves a lot of bytes, then ends.
func unixConversation(t *testing.T, client, server int) {
	t.Helper()
	data := bytes.Repeat([]byte("0123456789"), 100000)
	go func() {
		if n, err := Write(client, data); n != len(data) || err != nil {
			t.Errorf("write: %d %v", n, err)
		}
		fds.close(uintptr(client))
	}()
	var got []byte
	p := make([]byte, 7777)
	for {
		n, err := Read(server, p)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		got = append(got, p[:n]...)
	}
	if !bytes.Equal(got, data) {
		t.Errorf("%d bytes of %d arrived, or others", len(got), len(data))
	}
	if _, err := Write(server, p); err != syscall.EPIPE {
		t.Errorf("write to a closed peer: %v", err)
	}
	closeFD(t, uintptr(server))
}

func TestUnixDatagram(t *testing.T) {
	a, b := unixSocket(t, syscall.SOCK_DGRAM), unixSocket(t, syscall.SOCK_DGRAM)
	sa, size := unixSockaddr("\x00datagrams")
	_, _, errno := entry(syscall.SYS_BIND, b, uintptr(unsafe.Pointer(sa)), size, 0, 0, 0)
	want(t, errno, 0)
	auto := &syscall.RawSockaddrUnix{Family: syscall.AF_UNIX}
	_, _, errno = entry(syscall.SYS_BIND, a, uintptr(unsafe.Pointer(auto)), 2, 0, 0, 0)
	want(t, errno, 0)
	for i := range 3 {
		text := []byte(fmt.Sprintf("message %d", i))
		n, _, errno := entry(syscall.SYS_SENDTO, a, uintptr(unsafe.Pointer(&text[0])), uintptr(len(text)), 0, uintptr(unsafe.Pointer(sa)), size)
		if ok(t, n, errno) != 9 {
			t.Errorf("sent %d", n)
		}
	}
	p := make([]byte, 100)
	for i := range 3 {
		var rsa syscall.RawSockaddrAny
		rsaSize := uint32(syscall.SizeofSockaddrAny)
		n, err := Recvfrom(int(b), p, 0, &rsa, &rsaSize)
		if err != nil || string(p[:n]) != fmt.Sprintf("message %d", i) || rsaSize != 8 {
			t.Errorf("%q %v, from a name of %d bytes", p[:n], err, rsaSize)
		}
	}
	// A full queue turns writers away, and tells them when there is room.
	_, _, errno = entry(syscall.SYS_CONNECT, a, uintptr(unsafe.Pointer(sa)), size, 0, 0, 0)
	want(t, errno, 0)
	do(syscall.SYS_FCNTL, a, syscall.F_SETFL, syscall.O_NONBLOCK)
	big := make([]byte, 30000)
	sent := 0
	for {
		_, err := Write(int(a), big)
		if err == syscall.EAGAIN {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		sent++
	}
	testPoller.take(a)
	for range sent {
		Read(int(b), big)
	}
	if got := testPoller.take(a); got&uint32(writable) == 0 || sent == 0 {
		t.Errorf("no edge for the writer after %d messages: %#x", sent, got)
	}
}

func TestSocketpairAndRights(t *testing.T) {
	var pair [2]int32
	_, _, errno := entry(syscall.SYS_SOCKETPAIR, syscall.AF_UNIX, syscall.SOCK_STREAM, 0, uintptr(unsafe.Pointer(&pair)), 0, 0)
	want(t, errno, 0)
	defer closeFD(t, uintptr(pair[0]))
	defer closeFD(t, uintptr(pair[1]))
	writeFile(t, "/tmp/passed", "by descriptor")
	fd, _ := openFile(t, "/tmp/passed", syscall.O_RDONLY, 0)
	send := func(data string, oob []byte) {
		t.Helper()
		p := []byte(data)
		iov := syscall.Iovec{Base: &p[0], Len: uint64(len(p))}
		m := syscall.Msghdr{Iov: &iov, Iovlen: 1}
		if len(oob) > 0 {
			m.Control, m.Controllen = &oob[0], uint64(len(oob))
		}
		n, _, errno := entry(syscall.SYS_SENDMSG, uintptr(pair[0]), uintptr(unsafe.Pointer(&m)), 0, 0, 0, 0)
		if ok(t, n, errno) != uintptr(len(p)) {
			t.Errorf("sent %d", n)
		}
	}
	send("plain ", nil)
	send("with", syscall.UnixRights(int(fd)))
	closeFD(t, fd)
	var got []byte
	var passed []int
	for len(got) < 10 {
		p, oob := make([]byte, 100), make([]byte, 100)
		iov := syscall.Iovec{Base: &p[0], Len: 100}
		m := syscall.Msghdr{Iov: &iov, Iovlen: 1, Control: &oob[0], Controllen: 100}
		n, _, errno := entry(syscall.SYS_RECVMSG, uintptr(pair[1]), uintptr(unsafe.Pointer(&m)), msgCmsgCloexec, 0, 0, 0)
		ok(t, n, errno)
		got = append(got, p[:n]...)
		messages, err := syscall.ParseSocketControlMessage(oob[:m.Controllen])
		if err != nil {
			t.Fatal(err)
		}
		for i := range messages {
			list, err := syscall.ParseUnixRights(&messages[i])
			if err != nil {
				t.Fatal(err)
			}
			passed = append(passed, list...)
		}
	}
	if string(got) != "plain with" || len(passed) != 1 {
		t.Fatalf("%q and descriptors %v", got, passed)
	}
	p := make([]byte, 100)
	if n, err := Read(passed[0], p); string(p[:n]) != "by descriptor" || err != nil {
		t.Errorf("%q %v", p[:n], err)
	}
	closeFD(t, uintptr(passed[0]))
	if cred := peerCredentials(t, uintptr(pair[0])); int(cred.Pid) != os.Getpid() || cred.Uid != 0 {
		t.Errorf("%+v", cred)
	}
}

func TestPassCredentials(t *testing.T) {
	var pair [2]int32
	_, _, errno := entry(syscall.SYS_SOCKETPAIR, syscall.AF_UNIX, syscall.SOCK_DGRAM, 0, uintptr(unsafe.Pointer(&pair)), 0, 0)
	want(t, errno, 0)
	defer closeFD(t, uintptr(pair[0]))
	defer closeFD(t, uintptr(pair[1]))
	one := int32(1)
	_, _, errno = entry(syscall.SYS_SETSOCKOPT, uintptr(pair[1]), syscall.SOL_SOCKET, syscall.SO_PASSCRED, uintptr(unsafe.Pointer(&one)), 4, 0)
	want(t, errno, 0)
	for _, room := range []int{64, 32, 20} {
		Write(int(pair[0]), []byte("who"))
		p, oob := make([]byte, 10), make([]byte, room)
		iov := syscall.Iovec{Base: &p[0], Len: 10}
		m := syscall.Msghdr{Iov: &iov, Iovlen: 1, Control: &oob[0], Controllen: uint64(room)}
		n, _, errno := entry(syscall.SYS_RECVMSG, uintptr(pair[1]), uintptr(unsafe.Pointer(&m)), 0, 0, 0, 0)
		ok(t, n, errno)
		if room < 32 {
			if m.Controllen != 0 || m.Flags&syscall.MSG_CTRUNC == 0 {
				t.Errorf("%d bytes of control in room for %d, flags %#x", m.Controllen, room, m.Flags)
			}
			continue
		}
		messages, err := syscall.ParseSocketControlMessage(oob[:m.Controllen])
		if err != nil || len(messages) != 1 {
			t.Fatal(err, len(messages))
		}
		cred, err := syscall.ParseUnixCredentials(&messages[0])
		if err != nil || int(cred.Pid) != os.Getpid() {
			t.Errorf("%+v %v", cred, err)
		}
	}
}

func peerCredentials(t *testing.T, fd uintptr) (cred syscall.Ucred) {
	t.Helper()
	size := uint32(syscall.SizeofUcred)
	_, _, errno := entry(syscall.SYS_GETSOCKOPT, fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED, uintptr(unsafe.Pointer(&cred)), uintptr(unsafe.Pointer(&size)), 0)
	want(t, errno, 0)
	return cred
}

func TestWaitall(t *testing.T) {
	var pair [2]int32
	_, _, errno := entry(syscall.SYS_SOCKETPAIR, syscall.AF_UNIX, syscall.SOCK_STREAM, 0, uintptr(unsafe.Pointer(&pair)), 0, 0)
	want(t, errno, 0)
	defer closeFD(t, uintptr(pair[0]))
	defer closeFD(t, uintptr(pair[1]))
	go func() {
		for _, s := range []string{"one ", "two ", "three"} {
			Write(int(pair[0]), []byte(s))
			time.Sleep(time.Millisecond)
		}
	}()
	p := make([]byte, 13)
	n, _, errno := entry(syscall.SYS_RECVFROM, uintptr(pair[1]), uintptr(unsafe.Pointer(&p[0])), 13, msgWaitall, 0, 0)
	if ok(t, n, errno) != 13 || string(p) != "one two three" {
		t.Errorf("%d %q", n, p)
	}
}

// TestUnnamedSender checks that a sender without a name has no address, of
// length 0, from which package net makes a nil Addr.
func TestUnnamedSender(t *testing.T) {
	b := unixSocket(t, syscall.SOCK_DGRAM)
	sa, size := unixSockaddr("\x00unnamed")
	_, _, errno := entry(syscall.SYS_BIND, b, uintptr(unsafe.Pointer(sa)), size, 0, 0, 0)
	want(t, errno, 0)
	a := unixSocket(t, syscall.SOCK_DGRAM)
	_, _, errno = entry(syscall.SYS_CONNECT, a, uintptr(unsafe.Pointer(sa)), size, 0, 0, 0)
	want(t, errno, 0)
	if n, err := Write(int(a), nil); n != 0 || err != nil {
		t.Fatalf("an empty datagram: %d %v", n, err)
	}
	rsa, rsaSize := syscall.RawSockaddrAny{}, uint32(syscall.SizeofSockaddrAny)
	if n, err := Recvfrom(int(b), make([]byte, 10), 0, &rsa, &rsaSize); n != 0 || err != nil || rsaSize != 0 || rsa.Addr.Family != syscall.AF_UNSPEC {
		t.Errorf("%d %v from an address of %d bytes", n, err, rsaSize)
	}
}
