package linux

import (
	"net/netip"
	"syscall"
)

// eachFile calls f for each open file once, in the order of its first descriptor.
func eachFile(f func(*file)) {
	seen := map[*file]bool{}
	fds.each(0, maxDescriptors, func(fd uintptr) {
		if file, errno := open(fd); errno == 0 && !seen[file] {
			seen[file] = true
			f(file)
		}
	})
}

// States of TCP in /proc/net/tcp, those of TCP_INFO (Linux, tcp_states.h).
const (
	tcpEstablished = 1
	tcpClosed      = 7
	tcpListening   = 10
)

// state returns what a socket is in: of datagrams, connected or not.
func (i *inet) state() byte {
	var info [1]byte
	n, errno := 0, syscall.EINVAL
	if i.typ == syscall.SOCK_STREAM {
		n, errno = i.endpoint.Option(syscall.IPPROTO_TCP, syscall.TCP_INFO, info[:])
	}
	_, peerless := i.endpoint.RemoteAddr()
	switch {
	case i.listening.Load():
		return tcpListening
	case n > 0 && errno == 0 && info[0] != 0:
		return info[0]
	case peerless == 0:
		return tcpEstablished
	}
	return tcpClosed
}

// shown reports whether a socket has a line in the tables: not before it has
// an address.
func (i *inet) shown() bool { return i.endpoint.LocalAddr().Port() != 0 }

// procInet makes /proc/net/tcp, tcp6, udp and udp6 (proc(5)): the sockets that
// the program holds.
func procInet(family, typ int) []byte {
	var p prose
	p.add("  sl  local_address                         rem_address                           st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n")
	n := uint64(0)
	eachFile(func(f *file) {
		i, ok := f.object.(*inet)
		if !ok || i.family != family || i.typ != typ || !i.shown() {
			return
		}
		remote, _ := i.endpoint.RemoteAddr()
		queued := uint32(0)
		if state := i.state(); state != tcpListening {
			queued = uint32(i.endpoint.Buffered())
		}
		p.padded(n, 4).add(": ").socketAddress(i.endpoint.LocalAddr(), family).add(" ").socketAddress(remote, family)
		p.add(" ").hexUpper(i.state()).add(" 00000000:")
		p.hexUpper(byte(queued>>24), byte(queued>>16), byte(queued>>8), byte(queued))
		p.add(" 00:00000000 00000000     0        0 ").number(i.inode).add(" 1 0000000000000000 0\n")
		n++
	})
	return p
}

func procTCP() []byte  { return procInet(syscall.AF_INET, syscall.SOCK_STREAM) }
func procTCP6() []byte { return procInet(syscall.AF_INET6, syscall.SOCK_STREAM) }
func procUDP() []byte  { return procInet(syscall.AF_INET, syscall.SOCK_DGRAM) }
func procUDP6() []byte { return procInet(syscall.AF_INET6, syscall.SOCK_DGRAM) }

// socketAddress adds an address as the tables have it: words of the machine's
// byte order in hexadecimal, and the port.
func (p *prose) socketAddress(a netip.AddrPort, family int) *prose {
	if family == syscall.AF_INET {
		four := [4]byte{}
		if a.Addr().Unmap().Is4() {
			four = a.Addr().Unmap().As4()
		}
		p.reversed(four)
	} else {
		sixteen := [16]byte{}
		if a.Addr().IsValid() {
			sixteen = a.Addr().As16()
		}
		for at := 0; at < len(sixteen); at += 4 {
			p.reversed([4]byte(sixteen[at:]))
		}
	}
	return p.add(":").hexUpper(byte(a.Port()>>8), byte(a.Port()))
}

// padded adds a number with spaces before it.
func (p *prose) padded(n uint64, width int) *prose {
	for rest := n; rest >= 10; rest /= 10 {
		width--
	}
	for ; width > 1; width-- {
		p.add(" ")
	}
	return p.number(n)
}

// procUnix is /proc/net/unix.
func procUnix() []byte {
	var p prose
	p.add("Num       RefCount Protocol Flags    Type St Inode Path\n")
	eachFile(func(f *file) {
		u, ok := f.object.(*unix)
		if !ok {
			return
		}
		u.mu.Lock()
		name, listening, connected := u.name, u.listening, u.peer != nil
		u.mu.Unlock()
		flags, state := "00000000", "01"
		if listening {
			flags = "00010000"
		}
		if connected {
			state = "03"
		}
		p.add("0000000000000000: 00000002 00000000 ").add(flags).add(" ").hexUpper(0, byte(u.typ)).add(" ").add(state).add(" ")
		p.padded(u.inode, 5)
		if name != "" {
			if name[0] == 0 {
				name = "@" + name[1:]
			}
			p.add(" ").add(name)
		}
		p.add("\n")
	})
	return p
}

// socketCount is how many sockets of each kind the program holds.
type socketCount struct {
	all, tcp, tcp6, udp, udp6, raw, raw6, established uint64
}

func countSockets() (n socketCount) {
	eachFile(func(f *file) {
		if _, ok := f.object.(sock); ok {
			n.all++
		}
		i, ok := f.object.(*inet)
		if !ok {
			return
		}
		six := i.family == syscall.AF_INET6
		counter := &n.raw
		switch {
		case i.typ == syscall.SOCK_STREAM && six:
			counter = &n.tcp6
		case i.typ == syscall.SOCK_STREAM:
			counter = &n.tcp
		case i.typ == syscall.SOCK_DGRAM && six:
			counter = &n.udp6
		case i.typ == syscall.SOCK_DGRAM:
			counter = &n.udp
		case six:
			counter = &n.raw6
		}
		*counter++
		if i.typ == syscall.SOCK_STREAM && i.state() == tcpEstablished {
			n.established++
		}
	})
	return n
}

// procSockstat is /proc/net/sockstat; memory is in pages, which no stack tells of.
func procSockstat() []byte {
	var p prose
	n := countSockets()
	p.add("sockets: used ").number(n.all).add("\nTCP: inuse ").number(n.tcp).add(" orphan 0 tw 0 alloc ").number(n.tcp + n.tcp6)
	p.add(" mem 0\nUDP: inuse ").number(n.udp).add(" mem 0\nRAW: inuse ").number(n.raw).add("\n")
	return p
}

func procSockstat6() []byte {
	var p prose
	n := countSockets()
	p.add("TCP6: inuse ").number(n.tcp6).add("\nUDP6: inuse ").number(n.udp6).add("\nRAW6: inuse ").number(n.raw6).add("\n")
	return p
}

// counting is a network stack that counts what it does, by the groups and names of
// /proc/net/snmp and netstat.
type counting interface {
	Counters(add func(group, name string, value uint64))
}

// procSnmp is /proc/net/snmp: for each group a line of names and one of values.
func procSnmp() []byte {
	var p prose
	fixed := map[string][]counter{
		"Tcp": {{"RtoAlgorithm", 4}, {"CurrEstab", countSockets().established}},
	}
	for _, group := range []string{"Ip", "Tcp", "Udp"} {
		p.counters(group, append(fixed[group], stackCounters(group)...))
	}
	return p
}

// procNetstat is /proc/net/netstat, in the same form.
func procNetstat() []byte {
	var p prose
	p.counters("TcpExt", stackCounters("TcpExt"))
	p.counters("IpExt", stackCounters("IpExt"))
	return p
}

type counter struct {
	name  string
	value uint64
}

// stackCounters is a group of the stack's counters.
func stackCounters(group string) (list []counter) {
	s, ok := stack().(counting)
	if !ok {
		return nil
	}
	s.Counters(func(of, name string, value uint64) {
		if of == group {
			list = append(list, counter{name, value})
		}
	})
	return list
}

// counters adds a group, unless nothing is known of it.
func (p *prose) counters(group string, list []counter) {
	if len(list) == 0 {
		return
	}
	p.add(group).add(":")
	for _, c := range list {
		p.add(" ").add(c.name)
	}
	p.add("\n" + group + ":")
	for _, c := range list {
		p.add(" ").number(c.value)
	}
	p.add("\n")
}
