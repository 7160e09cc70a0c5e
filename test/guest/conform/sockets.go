package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func socket(domain, typ int) int {
	return must(unix.Socket(domain, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0))
}

func sockname(sa unix.Sockaddr, err error) string {
	if err != nil {
		return number(err)
	}
	switch a := sa.(type) {
	case *unix.SockaddrUnix:
		return fmt.Sprintf("unix %q", a.Name)
	case *unix.SockaddrInet4:
		return fmt.Sprint(a.Addr, a.Port != 0)
	case *unix.SockaddrInet6:
		return fmt.Sprint(a.Addr, a.Port != 0)
	}
	return fmt.Sprintf("%T", sa)
}

func got(n int, err error, p []byte) string {
	if err != nil {
		return number(err)
	}
	return fmt.Sprintf("%q", p[:n])
}

func unixSockets() {
	b := make([]byte, 100)
	l := socket(unix.AF_UNIX, unix.SOCK_STREAM)
	say("name of none", sockname(unix.Getsockname(l)))
	say("bind", unix.Bind(l, &unix.SockaddrUnix{Name: "s"}), shape("s"), sockname(unix.Getsockname(l)), unix.Bind(l, &unix.SockaddrUnix{Name: "t"}))
	c := socket(unix.AF_UNIX, unix.SOCK_STREAM)
	say("connect before listen", unix.Connect(c, &unix.SockaddrUnix{Name: "s"}))
	say("bind in use", unix.Bind(c, &unix.SockaddrUnix{Name: "s"}), unix.Bind(c, &unix.SockaddrUnix{Name: "none/s"}), unix.Bind(c, &unix.SockaddrUnix{Name: strings.Repeat("x", 108)}))
	_, _, err := unix.Accept4(l, unix.SOCK_NONBLOCK)
	say("accept before listen", err)
	say("listen", unix.Listen(l, 5))
	_, _, err = unix.Accept4(l, unix.SOCK_NONBLOCK)
	say("accept nothing", err)
	_, err = unix.Write(c, []byte("x"))
	say("write unconnected", err)
	_, err = unix.Read(c, b)
	say("read unconnected", err)
	file("plain", "")
	say("connect", unix.Connect(c, &unix.SockaddrUnix{Name: "plain"}), unix.Connect(c, &unix.SockaddrUnix{Name: "none"}), unix.Connect(c, &unix.SockaddrUnix{Name: "s"}), unix.Connect(c, &unix.SockaddrUnix{Name: "s"}))
	a, sa, err := unix.Accept4(l, unix.SOCK_NONBLOCK)
	say("accept", err, sockname(sa, nil))
	say("peers", sockname(unix.Getpeername(c)), sockname(unix.Getpeername(a)), sockname(unix.Getsockname(a)), sockname(unix.Getpeername(l)))
	cred, err := unix.GetsockoptUcred(a, unix.SOL_SOCKET, unix.SO_PEERCRED)
	say("credentials", err, cred.Uid, cred.Gid, cred.Pid == int32(os.Getpid()))
	n, err := unix.Write(c, []byte("hello"))
	say("write", n, err)
	n, _, err = unix.Recvfrom(a, b, unix.MSG_PEEK)
	say("peek", got(n, err, b))
	n, err = unix.Read(a, b[:3])
	say("read part", got(n, err, b))
	n, err = unix.Read(a, b)
	say("read rest", got(n, err, b))
	_, err = unix.Read(a, b)
	say("read empty", err)
	say("shutdown", unix.Shutdown(c, unix.SHUT_WR), unix.Shutdown(c, 9), unix.Shutdown(l, unix.SHUT_RD))
	n, err = unix.Read(a, b)
	say("end", n, err)
	_, err = unix.Write(c, []byte("x"))
	say("write after shutdown", err)
	n, err = unix.Write(a, []byte("back"))
	say("other way", n, err)
	unix.Close(a)
	n, err = unix.Read(c, b)
	say("read after close", got(n, err, b))
	n, err = unix.Read(c, b)
	say("then", n, err)
	say("connect after", unix.Connect(socket(unix.AF_UNIX, unix.SOCK_STREAM), &unix.SockaddrUnix{Name: "s"}))

	p := must(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0))
	say("pair", sockname(unix.Getsockname(p[0])), sockname(unix.Getpeername(p[0])))
	f := open("passed", unix.O_RDWR|unix.O_CREAT)
	unix.Write(f, []byte("contents"))
	say("send rights", unix.Sendmsg(p[0], []byte("m"), unix.UnixRights(f, p[1]), nil, 0))
	oob := make([]byte, unix.CmsgSpace(8))
	n, oobn, flags, _, err := unix.Recvmsg(p[1], b, oob, unix.MSG_CMSG_CLOEXEC)
	say("receive", n, oobn, fmt.Sprintf("%#x", flags), err)
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	fds, err := unix.ParseUnixRights(&messages[0])
	say("rights", len(fds), err)
	n, err = unix.Pread(fds[0], b, 0)
	say("passed file", got(n, err, b))
	cl, _ := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0)
	say("passed cloexec", cl)
	unix.Sendmsg(p[0], []byte("m"), unix.UnixRights(f, f, f), nil, 0)
	n, oobn, flags, _, err = unix.Recvmsg(p[1], b, oob[:unix.CmsgSpace(4)], 0)
	say("receive truncated", n, oobn, fmt.Sprintf("%#x", flags), err)
	unix.Sendmsg(p[0], []byte("m"), unix.UnixRights(f), nil, 0)
	n, err = unix.Read(p[1], b)
	say("rights dropped", n, err)
	say("bad rights", unix.Sendmsg(p[0], []byte("m"), unix.UnixRights(999), nil, 0))
	unix.SetsockoptInt(p[1], unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	unix.Write(p[0], []byte("c"))
	oob = make([]byte, 100)
	n, oobn, _, _, err = unix.Recvmsg(p[1], b, oob, 0)
	messages, _ = unix.ParseSocketControlMessage(oob[:oobn])
	if len(messages) == 1 {
		u, err := unix.ParseUnixCredentials(&messages[0])
		say("sent credentials", err, u != nil && u.Uid == 0 && u.Pid == int32(os.Getpid()))
	} else {
		say("sent credentials", oobn, err)
	}

	d := must(unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0))
	unix.Write(d[0], []byte("one"))
	unix.Write(d[0], nil)
	unix.Write(d[0], []byte("three"))
	for range 3 {
		n, _, err := unix.Recvfrom(d[1], b[:4], unix.MSG_TRUNC)
		say("datagram", n, err)
	}
	_, err = unix.Write(d[0], make([]byte, 1<<20))
	say("too large", err)
	unix.Close(d[1])
	_, err = unix.Write(d[0], []byte("x"))
	say("datagram to closed", err)
	q := must(unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK, 0))
	unix.Write(q[0], []byte("abcdef"))
	unix.Write(q[0], []byte("gh"))
	n, _, flags, _, err = unix.Recvmsg(q[1], b[:3], nil, 0)
	say("seqpacket", got(n, err, b), fmt.Sprintf("%#x", flags))
	n, err = unix.Read(q[1], b)
	say("seqpacket next", got(n, err, b))
	unix.Close(q[0])
	n, err = unix.Read(q[1], b)
	say("seqpacket end", n, err)

	u := socket(unix.AF_UNIX, unix.SOCK_DGRAM)
	say("abstract", unix.Bind(u, &unix.SockaddrUnix{Name: "@conform"}), sockname(unix.Getsockname(u)))
	v := socket(unix.AF_UNIX, unix.SOCK_DGRAM)
	say("abstract in use", unix.Bind(v, &unix.SockaddrUnix{Name: "@conform"}))
	say("sendto", unix.Sendto(v, []byte("to"), 0, &unix.SockaddrUnix{Name: "@conform"}), unix.Sendto(v, []byte("to"), 0, &unix.SockaddrUnix{Name: "@nobody"}), unix.Sendto(v, []byte("to"), 0, &unix.SockaddrUnix{Name: "s"}))
	n, sa, err = unix.Recvfrom(u, b, 0)
	say("from unnamed", got(n, err, b), sa == nil)
	auto := socket(unix.AF_UNIX, unix.SOCK_DGRAM)
	unix.Bind(auto, &unix.SockaddrUnix{})
	name, err := unix.Getsockname(auto)
	say("autobind", err, len(sockname(name, nil)))
	say("connect datagram", unix.Connect(v, &unix.SockaddrUnix{Name: "@conform"}), sockname(unix.Getpeername(v)))
	_, err = unix.Write(v, []byte("x"))
	say("write connected", err)
	unix.Close(u)
	_, err = unix.Write(v, []byte("x"))
	say("write to gone", err)
	say("wrong type", unix.Connect(v, &unix.SockaddrUnix{Name: "s"}))
	for _, o := range []int{unix.SO_TYPE, unix.SO_DOMAIN, unix.SO_PROTOCOL, unix.SO_ERROR, unix.SO_ACCEPTCONN, unix.SO_KEEPALIVE, unix.SO_REUSEADDR, unix.SO_BROADCAST, unix.SO_PASSCRED, unix.SO_LINGER} {
		value, err := unix.GetsockoptInt(v, unix.SOL_SOCKET, o)
		say(fmt.Sprint("option ", o), value, err)
	}
	_, err = unix.GetsockoptInt(v, unix.SOL_SOCKET, 9999)
	say("option unknown", err)
	_, err = unix.Socket(99, unix.SOCK_STREAM, 0)
	say("family unknown", err)
	_, err = unix.Socket(unix.AF_UNIX, 99, 0)
	say("type unknown", err)
	_, err = unix.Getsockname(0)
	say("not a socket", err)
	var st unix.Stat_t
	unix.Fstat(v, &st)
	say("stat", fmt.Sprintf("%o", st.Mode), st.Nlink)
	_, err = unix.Seek(v, 0, 0)
	say("seek", err)
	lis, err := net.Listen("unix", "go.sock")
	say("go listen", err)
	go func() { c, _ := lis.Accept(); io.Copy(c, c); c.Close() }()
	conn, err := net.Dial("unix", "go.sock")
	conn.Write([]byte("echo"))
	conn.(*net.UnixConn).CloseWrite()
	all, err := io.ReadAll(conn)
	say("go echo", string(all), err)
	lis.Close()
	say("go socket file", shape("go.sock"))
	_, err = net.Dial("unix", "go.sock")
	say("go dial gone", err)
}

func loop4(port int) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}
}

func portOf(fd int) int {
	switch a := must(unix.Getsockname(fd)).(type) {
	case *unix.SockaddrInet4:
		return a.Port
	case *unix.SockaddrInet6:
		return a.Port
	}
	return 0
}

func ready(fd int, events int16) string {
	p := []unix.PollFd{{Fd: int32(fd), Events: events}}
	unix.Poll(p, 300)
	return fmt.Sprintf("%#x", p[0].Revents)
}

func inetSockets() {
	b := make([]byte, 100)
	s := socket(unix.AF_INET, unix.SOCK_STREAM)
	_, err := unix.Write(s, []byte("x"))
	say("write unconnected", err)
	_, err = unix.Read(s, b)
	say("read unconnected", err)
	say("poll unconnected", ready(s, unix.POLLIN|unix.POLLOUT))
	say("peer", sockname(unix.Getpeername(s)), sockname(unix.Getsockname(s)))
	say("shutdown unconnected", unix.Shutdown(socket(unix.AF_INET, unix.SOCK_STREAM), unix.SHUT_RDWR))
	_, _, err = unix.Accept(s)
	say("accept unlistening", err)
	l := socket(unix.AF_INET, unix.SOCK_STREAM)
	say("bind", unix.Bind(l, loop4(0)), unix.Bind(l, loop4(0)), unix.Bind(s, &unix.SockaddrInet4{Addr: [4]byte{1, 2, 3, 4}}), unix.Bind(s, &unix.SockaddrInet6{}))
	say("listen", unix.Listen(l, 4))
	port := portOf(l)
	say("in use", unix.Bind(s, loop4(port)))
	err = unix.Connect(s, loop4(port))
	say("connect", err, ready(s, unix.POLLOUT))
	time.Sleep(20 * time.Millisecond)
	e, _ := unix.GetsockoptInt(s, unix.SOL_SOCKET, unix.SO_ERROR)
	say("error", e)
	say("connect again", unix.Connect(s, loop4(port)))
	a, sa, err := unix.Accept4(l, unix.SOCK_NONBLOCK)
	say("accept", err, sockname(sa, nil))
	n, err := unix.Write(s, []byte("data"))
	say("write", n, err, ready(a, unix.POLLIN))
	n, err = unix.Read(a, b)
	say("read", got(n, err, b))
	_, err = unix.Read(a, b)
	say("read empty", err)
	say("shutdown", unix.Shutdown(s, unix.SHUT_WR))
	_, err = unix.Write(s, []byte("x"))
	say("write after shutdown", err)
	say("poll end", ready(a, unix.POLLIN|unix.POLLRDHUP))
	n, err = unix.Read(a, b)
	say("end", n, err)
	unix.Close(a)
	ready(s, unix.POLLIN)
	n, err = unix.Read(s, b)
	say("other end", n, err)
	c := socket(unix.AF_INET, unix.SOCK_STREAM)
	unix.Connect(c, loop4(port))
	ready(c, unix.POLLOUT)
	a, _, _ = unix.Accept4(l, unix.SOCK_NONBLOCK)
	unix.Write(c, []byte("unread"))
	ready(a, unix.POLLIN)
	unix.Close(a) // with unread data: a reset
	time.Sleep(20 * time.Millisecond)
	say("poll reset", ready(c, unix.POLLIN))
	_, err = unix.Read(c, b)
	say("read reset", err)
	_, err = unix.Write(c, []byte("x"))
	say("write reset", err)
	unix.Close(l)
	r := socket(unix.AF_INET, unix.SOCK_STREAM)
	err = unix.Connect(r, loop4(port))
	say("connect refused", err, ready(r, unix.POLLOUT))
	e, _ = unix.GetsockoptInt(r, unix.SOL_SOCKET, unix.SO_ERROR)
	say("refused", unix.ErrnoName(unix.Errno(e)))
	for _, o := range [][3]int{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}, {unix.SOL_SOCKET, unix.SO_REUSEPORT, 1}, {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.SOL_SOCKET, unix.SO_BROADCAST, 1}, {unix.IPPROTO_TCP, unix.TCP_NODELAY, 1}, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 33},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 44}, {unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 5}, {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 700},
		{unix.IPPROTO_TCP, unix.TCP_CORK, 1}, {unix.IPPROTO_IP, unix.IP_TTL, 12}, {unix.IPPROTO_IP, unix.IP_TOS, 16},
		{unix.IPPROTO_TCP, 9999, 1}, {unix.SOL_SOCKET, 9999, 1},
	} {
		o := o
		fd := socket(unix.AF_INET, unix.SOCK_STREAM)
		before, err := unix.GetsockoptInt(fd, o[0], o[1])
		set := unix.SetsockoptInt(fd, o[0], o[1], o[2])
		after, err2 := unix.GetsockoptInt(fd, o[0], o[1])
		say(fmt.Sprint("option ", o), before, err, set, after, err2)
		unix.Close(fd)
	}
	fd := socket(unix.AF_INET, unix.SOCK_STREAM)
	for _, o := range []int{unix.SO_TYPE, unix.SO_DOMAIN, unix.SO_PROTOCOL, unix.SO_ERROR, unix.SO_ACCEPTCONN} {
		v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, o)
		say(fmt.Sprint("get ", o), v, err)
	}
	say("linger", unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 3}))
	tv := unix.Timeval{Usec: 40000}
	say("time-out", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
	tv2, err := unix.GetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO)
	say("time-out get", *tv2, err)

	u := socket(unix.AF_INET, unix.SOCK_DGRAM)
	say("udp bind", unix.Bind(u, loop4(0)))
	say("udp send", unix.Sendto(u, []byte("self"), 0, loop4(portOf(u))))
	ready(u, unix.POLLIN)
	n, sa, err = unix.Recvfrom(u, b, 0)
	say("udp receive", got(n, err, b), sockname(sa, nil))
	_, _, err = unix.Recvfrom(u, b, 0)
	say("udp empty", err)
	unix.Sendto(u, []byte("longer"), 0, loop4(portOf(u)))
	ready(u, unix.POLLIN)
	n, _, flags, _, err := unix.Recvmsg(u, b[:3], nil, 0)
	say("udp cut", got(n, err, b), fmt.Sprintf("%#x", flags))
	_, err = unix.Write(u, []byte("x"))
	say("udp write unconnected", err)
	say("udp too large", unix.Sendto(u, make([]byte, 66000), 0, loop4(9)))
	say("udp port 0", unix.Sendto(u, []byte("x"), 0, loop4(0)))
	say("udp shutdown", unix.Shutdown(u, unix.SHUT_RD))
	k := socket(unix.AF_INET, unix.SOCK_DGRAM)
	unused := socket(unix.AF_INET, unix.SOCK_DGRAM)
	unix.Bind(unused, loop4(0))
	gone := portOf(unused)
	unix.Close(unused)
	say("udp connect", unix.Connect(k, loop4(gone)), sockname(unix.Getpeername(k)))
	_, err = unix.Write(k, []byte("x"))
	time.Sleep(20 * time.Millisecond)
	say("udp refused", err, ready(k, unix.POLLIN))
	_, err = unix.Read(k, b)
	say("udp refused read", err)
	_, err = unix.Read(k, b)
	say("udp then", err)
	say("udp disconnect", unix.Connect(k, &unix.SockaddrInet4{}))
	w := must(unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))
	unix.Bind(w, loop4(0))
	unix.SetsockoptTimeval(w, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
	begin := time.Now()
	within(func() { _, err = unix.Read(w, b) })
	say("time-out passes", err, time.Since(begin) > 20*time.Millisecond)
	six := socket(unix.AF_INET6, unix.SOCK_DGRAM)
	only, err := unix.GetsockoptInt(six, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
	say("v6only", only, err)
	say("six bind", unix.Bind(six, &unix.SockaddrInet6{}), unix.Sendto(six, []byte("v4"), 0, &unix.SockaddrInet6{Addr: [16]byte{10: 255, 11: 255, 12: 127, 15: 1}, Port: portOf(six)}))
	ready(six, unix.POLLIN)
	n, sa, err = unix.Recvfrom(six, b, 0)
	say("mapped", got(n, err, b), sockname(sa, nil))
	say("six to four", unix.Sendto(u, []byte("x"), 0, &unix.SockaddrInet6{Addr: [16]byte{15: 1}, Port: 9}))
	raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	say("raw", err)
	unix.Close(raw)
	_, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_UDP)
	say("wrong protocol", err)
	_, err = unix.Socket(unix.AF_INET, unix.SOCK_SEQPACKET, 0)
	say("no such type", err)
}

// goNet is what package net does by descriptors.
func goNet() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	say("listen", err)
	lf, err := l.(*net.TCPListener).File()
	say("listener file", err)
	l2, err := net.FileListener(lf)
	say("file listener", err)
	go func() {
		for {
			c, err := l2.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	say("dial", err)
	cf, err := c.(*net.TCPConn).File()
	say("conn file", err)
	c2, err := net.FileConn(cf)
	say("file conn", err)
	c.Close()
	cf.Close()
	c2.Write([]byte("by the copy"))
	c2.(*net.TCPConn).CloseWrite()
	all, err := io.ReadAll(c2)
	say("echo", string(all), err)
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	say("packet", err)
	pf, err := p.(*net.UDPConn).File()
	say("packet file", err)
	p2, err := net.FilePacketConn(pf)
	say("file packet", err)
	p2.WriteTo([]byte("hi"), p.LocalAddr())
	b := make([]byte, 10)
	n, _, err := p.ReadFrom(b)
	say("packet read", string(b[:n]), err)
	raw, err := c2.(*net.TCPConn).SyscallConn()
	raw.Control(func(fd uintptr) {
		v, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TYPE)
		say("control", v, err)
	})
	r, w, _ := os.Pipe()
	unix.SetNonblock(int(r.Fd()), true)
	nb := os.NewFile(r.Fd(), "pipe")
	say("new file deadline", nb.SetReadDeadline(time.Now().Add(-time.Second)))
	w.Close()
	f, _ := os.Create("f")
	say("regular file deadline", f.SetDeadline(time.Now()) != nil)
	in, _ := os.Open("/dev/zero")
	say("copy", must(io.CopyN(f, in, 100000)))
	f.Seek(0, 0)
	pr, pw := io.Pipe()
	go func() { pw.Write([]byte("x")); pw.Close() }()
	io.Copy(f, pr)
	say("size", shape("f"))
	t, _ := net.Dial("tcp", l.Addr().String())
	f.Seek(0, 0)
	sent, err := io.Copy(t, f) // sendfile
	t.(*net.TCPConn).CloseWrite()
	back, err2 := io.Copy(io.Discard, t)
	say("sendfile", sent, err, back, err2)
	_, err = net.Dial("tcp", "127.0.0.1:1")
	say("refused", err)
	_, err = net.Listen("tcp", l.Addr().String())
	say("in use", err)
	l.Close()
	_, err = l.Accept()
	say("closed", err != nil)
	_, err = net.LookupHost("localhost")
	say("localhost", err)
	_, err = net.LookupPort("tcp", "https")
	say("port name", err)
}
