package inet

import (
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"pith/kernel/link"
)

// groupRequest is struct ip_mreqn or ipv6_mreq for interface 2, and the options that take it.
func groupRequest(group netip.Addr) (level, join, leave int, value []byte) {
	if group.Is4() {
		a := group.As4()
		return syscall.IPPROTO_IP, syscall.IP_ADD_MEMBERSHIP, syscall.IP_DROP_MEMBERSHIP,
			append(a[:], 0, 0, 0, 0, 2, 0, 0, 0)
	}
	a := group.As16()
	return syscall.IPPROTO_IPV6, ipv6JoinGroup, ipv6LeaveGroup, append(a[:], 2, 0, 0, 0)
}

func (s *sock) join(group netip.Addr) {
	s.t.Helper()
	level, name, _, value := groupRequest(group)
	if errno := s.ep.SetOption(level, name, value); errno != 0 {
		s.t.Fatalf("join %v: %v", group, errno)
	}
}

func (s *sock) leave(group netip.Addr) {
	s.t.Helper()
	level, _, name, value := groupRequest(group)
	if errno := s.ep.SetOption(level, name, value); errno != 0 {
		s.t.Fatalf("leave %v: %v", group, errno)
	}
}

// forget takes back what the reporter would report later.
func (l *reporter) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.due = nil
	l.nic.s.timers.disarm(&l.timer)
}

// reports is what a frame says of a group: the message's type, or 0. The headers must be those
// that routers look at.
func reports(t *testing.T, b []byte, group netip.Addr) byte {
	ip := b[ethernetLen:]
	switch get16(b[12:]) {
	case etherIPv4:
		if ip[9] != protoIGMP || v4(get32(ip[28:])) != fromNetip(group) {
			return 0
		}
		if ip[0] != 0x46 || ip[8] != 1 || get32(ip[20:]) != 0x94040000 || get16(ip[2:]) != 32 ||
			!partial(0).bytes(ip[:24]).valid() || !partial(0).bytes(ip[24:32]).valid() {
			t.Errorf("a bad IGMP packet: %x", ip)
		}
		return ip[24]
	case etherIPv6:
		if ip[6] != protoHopByHop || v6(ip[56:]) != fromNetip(group) {
			return 0
		}
		src, dst := v6(ip[8:]), v6(ip[24:])
		if ip[7] != 1 || get64(ip[40:]) != 0x3a00050200000100 || !src.isLinkLocal() ||
			!pseudoHeader(src, dst, protoICMPv6, mldLen).bytes(ip[48:72]).valid() {
			t.Errorf("a bad MLD packet: %x", ip)
		}
		return ip[48]
	}
	return 0
}

func igmpQueryFor(group address, tenths, kind byte) []byte {
	m := make([]byte, igmpLen)
	m[0], m[1] = kind, tenths
	put32(m[4:], uint32(group.lo))
	put16(m[2:], partial(0).bytes(m).checksum())
	return ethernet(etherIPv4, ipv4Packet(protoIGMP, testIP, v4(0xe0000001), m))
}

func mldQueryFor(group address, milliseconds uint16, hops byte) []byte {
	src := address{0xfe80 << 48, 1}
	m := make([]byte, mldLen)
	m[0] = mldQuery
	put16(m[4:], milliseconds)
	group.put(m[8:])
	put16(m[2:], pseudoHeader(src, allNodes, protoICMPv6, mldLen).bytes(m).checksum())
	ip := make([]byte, ipv6Len+8)
	put32(ip, 6<<28)
	put16(ip[4:], 8+mldLen)
	ip[6], ip[7] = protoHopByHop, hops
	src.put(ip[8:])
	allNodes.put(ip[24:])
	copy(ip[40:], []byte{protoICMPv6, 0, 5, 2, 0, 0, 1, 0})
	return ethernet(etherIPv6, append(ip, m...))
}

// TestReporter: a group is reported when it is joined, when a query asks for all or for it, and
// never by a query that didn't come from the link or asks for another.
func TestReporter(t *testing.T) {
	anyV6 := address{}
	for _, c := range []struct {
		group        netip.Addr
		report, done byte
		all, one     []byte   // queries
		foreign      [][]byte // to which nothing is said
	}{
		{netip.MustParseAddr("239.0.0.1"), igmpReport, igmpLeave,
			igmpQueryFor(anyV4, 1, igmpQuery), igmpQueryFor(v4(0xef000001), 1, igmpQuery),
			[][]byte{igmpQueryFor(v4(0xef000002), 1, igmpQuery), igmpQueryFor(anyV4, 1, igmpReport), mldQueryFor(anyV6, 0, 1)}},
		{netip.MustParseAddr("ff15::1"), mldReport, mldDone,
			mldQueryFor(anyV6, 0, 1), mldQueryFor(address{0xff15 << 48, 1}, 100, 1),
			[][]byte{mldQueryFor(address{0xff15 << 48, 2}, 0, 1), mldQueryFor(anyV6, 0, 2), igmpQueryFor(anyV4, 1, igmpQuery)}},
	} {
		s, d := newPuppet(t, static("10.9.0.2/24", "fd00::2/64"))
		l := &s.snapshot.Load().nics[1].reporter
		is := func(kind byte) func([]byte) bool {
			return func(b []byte) bool { return reports(t, b, c.group) == kind }
		}
		u := bound(t, s, netip.MustParseAddrPort("[::]:7"))
		u.join(c.group)
		d.next("report at the join", is(c.report))
		l.mu.Lock()
		if !l.due[fromNetip(c.group)] {
			t.Errorf("no second report of %v is to come", c.group)
		}
		l.mu.Unlock()
		for _, query := range [][]byte{c.all, c.one} {
			l.forget()
			d.inject(query)
			d.next("report for a query", is(c.report))
		}
		l.forget()
		for _, query := range c.foreign {
			d.inject(query)
		}
		d.none("report", is(c.report))
		u.leave(c.group)
		d.next("word at the leave", is(c.done))
		d.inject(c.all)
		d.none("report after the leave", is(c.report))
	}
}

// TestReporterSilent: groups that never leave the machine, or that every host is in, are not
// reported.
func TestReporterSilent(t *testing.T) {
	s, d := newPuppet(t, static("10.9.0.2/24", "fd00::2/64"))
	u := bound(t, s, netip.MustParseAddrPort("[::]:7"))
	for _, text := range []string{"224.0.0.1", "ff01::5", "ff02::1"} {
		group := netip.MustParseAddr(text)
		u.join(group)
		d.none("report of "+text, func(b []byte) bool { return reports(t, b, group) != 0 })
	}
}

// TestReporterLinux has a bridge of Linux watch who listens to what.
func TestReporterLinux(t *testing.T) {
	if _, err := exec.LookPath("bridge"); err != nil {
		t.Skip("needs bridge (iproute2)")
	}
	d, ns := namespace(t, link.Features{})
	for _, line := range []string{
		"link add br0 type bridge mcast_snooping 1 mcast_querier 1 mcast_query_interval 100 mcast_query_response_interval 50",
		"link set tap0 master br0",
		"addr add 10.8.0.3/24 dev br0",
		"link set br0 up",
	} {
		if out, err := exec.Command("ip", append([]string{"-n", ns}, strings.Fields(line)...)...).CombinedOutput(); err != nil {
			t.Skipf("no bridge that snoops: ip %s: %v: %s", line, err, out)
		}
	}
	s := newStack(t, Config{})
	if err := s.Attach("eth0", d, static("10.8.0.2/24", "fd08::2/64")); err != nil {
		t.Fatal(err)
	}
	knows := func(group string) bool {
		out, err := exec.Command("ip", "netns", "exec", ns, "bridge", "mdb", "show").CombinedOutput()
		if err != nil {
			t.Fatalf("bridge mdb show: %v: %s", err, out)
		}
		return strings.Contains(string(out), "port tap0 grp "+group+" ")
	}
	u := bound(t, s, netip.MustParseAddrPort("[::]:7"))
	groups := []string{"239.1.2.3", "ff15::1234"}
	for _, g := range groups {
		u.join(netip.MustParseAddr(g))
		eventually(t, "the bridge knows of "+g, func() bool { return knows(g) })
	}
	for _, g := range groups {
		u.leave(netip.MustParseAddr(g))
		eventually(t, "the bridge forgets "+g, func() bool { return !knows(g) })
	}
}
