package firewall_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pith/service/firewall/nft"
	"pith/service/packet"
	"pith/service/router"
)

// TestVerdictsAreTheKernels generates rule sets and packets, and lets the kernel of this
// host and the router decide about them: what comes out must be the same, packet
// by packet, translated addresses and refusals included.
func TestVerdictsAreTheKernels(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a network namespace takes root")
	}
	for _, tool := range []string{"nft", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed (Debian: nftables, iproute2)", tool)
		}
	}
	sets, packets := 120, 150
	if testing.Short() {
		sets = 10
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		compared, passed := 0, 0
		for seed := range sets {
			c, p, err := compare(uint64(seed)+1, packets)
			for range 2 {
				if err == nil {
					break
				}
				// What the kernel does by chance, or by the time that it has taken, it
				// doesn't do again; where the two differ, they do so each time.
				t.Logf("seed %d, tried again: %v", seed+1, err)
				c, p, err = compare(uint64(seed)+1, packets)
			}
			if err != nil {
				t.Errorf("seed %d: %v", seed+1, err)
				if c == 0 {
					return
				}
			}
			compared, passed = compared+c, passed+p
		}
		t.Logf("%d packets compared, %d of them passed", compared, passed)
		if compared > 0 && (passed < compared/20 || passed > compared*19/20) {
			t.Errorf("the rule sets are too one-sided to say anything")
		}
	}()
	<-done
}

const (
	inPort = iota
	outPort
)

var (
	routerMAC = [2]packet.MAC{{2, 0, 0, 0, 1, 1}, {2, 0, 0, 0, 2, 1}}
	hostMAC   = [2]packet.MAC{{2, 0, 0, 0, 1, 9}, {2, 0, 0, 0, 2, 9}}
	portNames = [2]string{"in0", "out0"}
)

// hosts are the addresses behind a port.
func hosts(port int) (list []netip.Addr) {
	for i := range 4 {
		list = append(list,
			netip.AddrFrom4([4]byte{10, 0, byte(port + 1), byte(10 + i)}),
			netip.AddrFrom16([16]byte{0: 0xfd, 3: byte(port + 1), 15: byte(0x10 + i)}))
	}
	return list
}

// both are the two routers that are compared.
type both struct {
	taps  [2]int
	ports [2]*packet.Memory
	ours  *router.Router
	now   int64
}

// compare runs one rule set.
func compare(seed uint64, n int) (compared, passed int, err error) {
	g := newGenerator(seed)
	b, err := newBoth()
	if err != nil {
		return 0, 0, err
	}
	defer b.close()
	rules := g.ruleset()
	for out, err := nftLoad(rules); err != nil; out, err = nftLoad(rules) {
		if !bytes.Contains(out, []byte("conflicting protocols")) {
			return 0, 0, fmt.Errorf("nft: %w\n%s\n%s", err, out, number(rules))
		}
		rules = g.ruleset()
	}
	set, err := nft.Load("generated.nft", []byte(rules), nft.Options{})
	if err != nil {
		return 0, 0, fmt.Errorf("ours: %w\n%s", err, number(rules))
	}
	if err := b.ours.Apply(b.ours.Config(), set); err != nil {
		return 0, 0, err
	}
	for i := range n {
		port, frame := g.packet()
		theirs := b.kernel(port, frame)
		ours := b.router(port, frame)
		compared++
		if len(theirs) > 0 {
			passed++
		}
		if onlyPort(theirs, ours) {
			return compared, passed, nil // from here on the two know the flow by other ports
		}
		if a, b := summary(theirs), summary(ours); a != b {
			return compared, passed, fmt.Errorf("packet %d into %s: %s\nkernel: %s\nours:   %s\n%s", i, portNames[port], describe(frame), a, b, number(rules))
		}
		g.seen(port, frame, theirs)
	}
	return compared, passed, nil
}

func number(text string) string {
	var b strings.Builder
	for i, l := range strings.Split(text, "\n") {
		fmt.Fprintf(&b, "%3d %s\n", i+1, l)
	}
	return b.String()
}

func nftLoad(rules string) ([]byte, error) {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader("flush ruleset\n" + rules)
	return cmd.CombinedOutput()
}

// newBoth makes a network namespace of this thread's own with two taps, and a router
// with two ports, both with the same addresses and neighbours.
func newBoth() (*both, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("a network namespace: %w", err)
	}
	b := &both{now: 1e9}
	var commands []string
	for i := range b.taps {
		fd, err := tap(portNames[i])
		if err != nil {
			return nil, err
		}
		b.taps[i] = fd
		name, net := portNames[i], i+1
		commands = append(commands,
			fmt.Sprintf("link set %s address %s", name, mac(routerMAC[i])),
			fmt.Sprintf("link set %s up", name),
			fmt.Sprintf("addr add 10.0.%d.1/24 dev %s", net, name),
			fmt.Sprintf("addr add fd00:%x::1/64 dev %s nodad", net, name))
		for _, h := range hosts(i) {
			commands = append(commands, fmt.Sprintf("neigh replace %s lladdr %s dev %s nud permanent", h, mac(hostMAC[i]), name))
		}
	}
	for name, value := range map[string]string{
		"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1", "ipv6/conf/default/accept_dad": "0", "ipv6/conf/default/router_solicitations": "0",
		"ipv4/conf/all/rp_filter": "0", "ipv4/conf/default/rp_filter": "0", "ipv4/icmp_ratelimit": "0", "ipv6/icmp/ratelimit": "0", "ipv4/icmp_msgs_per_sec": "1000000", "ipv4/icmp_msgs_burst": "1000000",
		"ipv4/conf/all/send_redirects": "0", "ipv4/conf/default/send_redirects": "0", "ipv6/conf/default/mldv1_unsolicited_report_interval": "1",
	} {
		if err := sysctl(name, value); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("ip: %w\n%s", err, out)
	}
	for _, name := range portNames {
		if err := sysctl("ipv4/conf/"+name+"/rp_filter", "0"); err != nil {
			return nil, err
		}
	}
	// The router doesn't check sequence numbers, as this setting makes the kernel.
	if out, err := nftLoad("table inet t {\n chain c {\n type filter hook forward priority 0\n ct state new accept\n }\n}\n"); err != nil {
		return nil, fmt.Errorf("nft: %w\n%s", err, out)
	}
	if err := sysctl("netfilter/nf_conntrack_tcp_be_liberal", "1"); err != nil {
		return nil, err
	}
	return b, b.addRouter()
}

func sysctl(name, value string) error {
	return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o644)
}

func mac(m packet.MAC) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

func tap(name string) (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		return -1, err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	return fd, unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
}

func (b *both) close() {
	for i := range b.taps {
		unix.Close(b.taps[i])
		b.ports[i].Close()
	}
}

func (b *both) addRouter() error {
	c := &router.Config{}
	var ports []packet.Port
	for i := range b.ports {
		b.ports[i] = &packet.Memory{Label: portNames[i], MAC: routerMAC[i]}
		ports = append(ports, b.ports[i])
		c.Interfaces = append(c.Interfaces, router.InterfaceConfig{Name: portNames[i], Port: portNames[i], Addresses: []netip.Prefix{
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i + 1), 1}), 24),
			netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 3: byte(i + 1), 15: 1}), 64),
		}})
	}
	b.ours = router.New(router.Options{Ports: ports, Clock: func() int64 { return b.now }})
	if err := b.ours.Apply(c, &nft.Ruleset{}); err != nil {
		return err
	}
	go b.ours.Run()
	for !b.ports[0].Ready() || !b.ports[1].Ready() {
		time.Sleep(time.Millisecond)
	}
	for i, p := range b.ports {
		for _, h := range hosts(i) {
			if h.Is4() {
				p.Deliver(packet.NewARP(packet.ARPPacket{Op: packet.ARPRequest, SenderMAC: hostMAC[i], SenderIP: h,
					TargetIP: netip.AddrFrom4([4]byte{10, 0, byte(i + 1), 1})}, routerMAC[i], 0).Bytes())
				continue
			}
			own := netip.AddrFrom16([16]byte{0: 0xfd, 3: byte(i + 1), 15: 1})
			s := packet.NewNeighbor(packet.Neighbor{Type: packet.NeighborSol, Target: own, Link: hostMAC[i]}, h, own)
			s.SetEthernet(routerMAC[i], hostMAC[i], 0)
			p.Deliver(s.Frame.Bytes())
		}
		p.Sent()
	}
	return nil
}

// result is a frame and the port that it came out of.
type result struct {
	port  int
	frame []byte
}

// kernel lets the kernel handle a frame: a tap does it within write.
func (b *both) kernel(port int, frame []byte) (list []result) {
	b.drain()
	if _, err := unix.Write(b.taps[port], frame); err != nil {
		return []result{{port, []byte("write: " + err.Error())}}
	}
	return b.drain()
}

func (b *both) drain() (list []result) {
	buf := make([]byte, 4096)
	for i, fd := range b.taps {
		for {
			n, err := unix.Read(fd, buf)
			if err != nil || n <= 0 {
				break
			}
			if f := bytes.Clone(buf[:n]); !noise(f) {
				list = append(list, result{i, f})
			}
		}
	}
	return list
}

// noise is what an IPv6 host says by itself, and redirects, which no setting of the
// kernel's keeps it from sending now and then.
func noise(f []byte) bool {
	redirect := len(f) > 54 && f[12] == 0x86 && f[13] == 0xdd && f[20] == packet.ICMPv6 && f[54] == packet.Redirect6
	return f[0] == 0x33 || f[0] == 1 || f[0] == 0xff || redirect
}

func (b *both) router(port int, frame []byte) (list []result) {
	b.now += 1e7
	b.ports[port].Deliver(frame)
	for i, p := range b.ports {
		for _, f := range p.Sent() {
			if !noise(f) {
				list = append(list, result{i, f})
			}
		}
	}
	return list
}

// summary is what must be equal: of a packet that was forwarded everything, of one that
// a router made what matters of it.
func summary(list []result) string {
	var s []string
	for _, r := range list {
		s = append(s, portNames[r.port]+": "+describe(r.frame))
	}
	if len(s) == 0 {
		return "nothing"
	}
	return strings.Join(s, "; ")
}

// onlyPort tells whether both have sent the same packet from different source ports: where
// a port is taken, which other one a connection gets is chance.
func onlyPort(a, b []result) bool {
	if len(a) != 1 || len(b) != 1 || a[0].port != b[0].port {
		return false
	}
	p, q := parse(a[0].frame), parse(b[0].frame)
	if p.SrcPort == q.SrcPort || p.IsError() || q.IsError() {
		return false
	}
	q.SetSrcPort(p.SrcPort)
	return describe(a[0].frame) == describe(q.Frame.Bytes())
}

func parse(frame []byte) *packet.Packet {
	f := packet.NewFrame(len(frame))
	copy(f.Bytes(), frame)
	p := &packet.Packet{}
	p.Parse(f)
	return p
}

func describe(frame []byte) string {
	f := packet.NewFrame(len(frame))
	copy(f.Bytes(), frame)
	var p packet.Packet
	if r := p.Parse(f); r != packet.OK {
		return fmt.Sprintf("result %d of %x", r, frame)
	}
	s := fmt.Sprintf("%s > %s proto %d ports %d %d flags %02x type %d code %d", p.Src, p.Dst, p.Protocol, p.SrcPort, p.DstPort, p.Flags, p.Type, p.Code)
	made := p.Flags&packet.RST != 0 && p.Length <= 60 || p.Src.Is4() && p.Src.As4()[3] == 1 && p.Protocol == packet.ICMP
	if p.IsError() {
		var in packet.Packet
		if p.Inner(&in) {
			s += fmt.Sprintf(" about %s > %s ports %d %d", in.Src, in.Dst, in.SrcPort, in.DstPort)
		}
		made = true
	}
	if !made {
		s += fmt.Sprintf(" ttl %d bytes %x", p.TTL, p.Bytes())
	}
	if !p.ChecksumOK() {
		s += " WRONG CHECKSUM"
	}
	return s
}

// generator makes rule sets and packets of a seed.
type generator struct {
	*rand.Rand
	nat   bool
	out   []result // what came out, to be answered
	sent  []result // what was sent, to be quoted and repeated
	count uint32
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 5))}
}

func one[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

// ruleset is a random one.
func (g *generator) ruleset() string {
	g.nat = g.chance(40)
	var b strings.Builder
	family := one(g, "inet", "inet", "inet", "ip", "ip6")
	if g.chance(30) {
		b.WriteString("define servers = { 10.0.2.10, 10.0.2.11 }\n")
		b.WriteString("table ip vars {\n\tchain c {\n\t\ttype filter hook forward priority 5\n\t\tip daddr $servers tcp dport 80 accept\n\t}\n}\n")
	}
	fmt.Fprintf(&b, "table %s f {\n", family)
	b.WriteString("\tset ports { type inet_service; flags interval; elements = { 22, 80-90, 443 } }\n")
	if family != "ip6" {
		b.WriteString("\tset nets { type ipv4_addr; flags interval; auto-merge; elements = { 10.0.1.10/31, 10.0.2.12, 10.0.2.11-10.0.2.12 } }\n")
	}
	b.WriteString("\tmap verdicts { type inet_service : verdict; elements = { 80 : accept, 53 : jump extra, 22 : drop } }\n")
	fmt.Fprintf(&b, "\tchain extra {\n%s\t}\n", g.rules(family, 3, false, true))
	fmt.Fprintf(&b, "\tchain more {\n%s\t\tjump extra\n%s\t}\n", g.rules(family, 2, false, true), g.rules(family, 2, false, true))
	for i, n := 0, 1+g.IntN(2); i < n; i++ {
		fmt.Fprintf(&b, "\tchain forward%d {\n\t\ttype filter hook forward priority %s; policy %s;\n", i, one(g, "filter", "-10", "mangle", "filter + 5", "security"), one(g, "accept", "accept", "drop"))
		if g.chance(50) {
			b.WriteString("\t\tct state established,related accept\n")
		}
		b.WriteString(g.rules(family, 2+g.IntN(6), true, true))
		b.WriteString("\t}\n")
	}
	if g.chance(50) {
		fmt.Fprintf(&b, "\tchain before {\n\t\ttype filter hook prerouting priority %s; policy accept;\n%s\t}\n", one(g, "raw", "mangle", "filter", "-250"), g.rules(family, 3, false, false))
	}
	if g.chance(30) {
		fmt.Fprintf(&b, "\tchain after {\n\t\ttype filter hook postrouting priority %s; policy accept;\n%s\t}\n", one(g, "mangle", "filter", "150"), g.rules(family, 3, false, false))
	}
	if g.chance(50) {
		fmt.Fprintf(&b, "\tchain in {\n\t\ttype filter hook input priority 0; policy %s;\n%s\t}\n", one(g, "accept", "drop"), g.rules(family, 3, true, true))
	}
	b.WriteString("}\n")
	if g.nat {
		b.WriteString(g.natTable())
		b.WriteString(g.natTable6())
	}
	if g.chance(15) {
		fmt.Fprintf(&b, "table inet raw {\n\tchain c {\n\t\ttype filter hook prerouting priority raw\n\t\t%s notrack\n\t}\n}\n",
			one(g, "udp dport 53", "tcp dport 22", "ip saddr 10.0.1.11", "ip6 daddr fd00:2::10", "icmp type echo-request"))
	}
	return b.String()
}

func (g *generator) natTable() string {
	var b strings.Builder
	b.WriteString("table ip n {\n\tmap servers { type inet_service : ipv4_addr; elements = { 85 : 10.0.2.13, 443 : 10.0.2.11 } }\n\tchain pre {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n")
	for range g.IntN(3) {
		b.WriteString("\t\t" + one(g,
			"iifname \"in0\" tcp dport 8080 dnat to 10.0.2.10:80",
			"udp dport 5353 dnat to 10.0.2.11:53",
			"ip daddr 10.0.1.1 tcp dport 443 dnat to 10.0.2.12",
			"ip daddr 10.0.1.1 dnat to tcp dport map { 80 : 10.0.2.10, 22 : 10.0.2.11 }",
			"dnat to tcp dport map @servers",
			"iifname \"in0\" udp dport 53 redirect to :5300",
			"tcp dport { 22, 80 } redirect to :2222",
			"ip daddr 10.0.2.13 dnat to 10.0.2.10") + "\n")
	}
	b.WriteString("\t}\n\tchain post {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n")
	for range 1 + g.IntN(2) {
		b.WriteString("\t\t" + one(g,
			"oifname \"out0\" masquerade",
			"ip saddr 10.0.1.10 snat to 10.0.2.1",
			"ip saddr 10.0.1.0/28 oif \"out0\" snat to 10.0.2.1",
			"snat to ip saddr map { 10.0.1.10 : 10.0.2.1, 10.0.1.12/31 : 10.0.2.1 }",
			"ip saddr 10.0.1.11 tcp dport 80 return") + "\n")
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

// natTable6 is of IPv6, in a table of its own or of both families.
func (g *generator) natTable6() string {
	family, ip6 := "ip6", ""
	if g.chance(50) {
		family, ip6 = "inet", " ip6"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "table %s n6 {\n\tchain pre {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n", family)
	for range g.IntN(3) {
		b.WriteString("\t\t" + one(g,
			"iifname \"in0\" tcp dport 8080 dnat"+ip6+" to [fd00:2::10]:80",
			"udp dport 5353 dnat"+ip6+" to fd00:2::11",
			"ip6 daddr fd00:2::13 dnat"+ip6+" to fd00:2::10") + "\n")
	}
	b.WriteString("\t}\n\tchain post {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n")
	for range 1 + g.IntN(2) {
		b.WriteString("\t\t" + one(g,
			"ip6 saddr fd00:1::/64 oifname \"out0\" masquerade",
			"ip6 saddr fd00:1::10 snat"+ip6+" to fd00:2::1",
			"ip6 saddr fd00:1::/64 icmpv6 type echo-request snat"+ip6+" to fd00:2::1",
			"ip6 daddr fd00:2::12 return") + "\n")
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

func (g *generator) rules(family string, n int, jumps, reject bool) string {
	var b strings.Builder
	for range n {
		b.WriteString("\t\t" + g.rule(family, jumps, reject) + "\n")
	}
	return b.String()
}

func (g *generator) rule(family string, jumps, reject bool) string {
	var parts []string
	for range 1 + g.IntN(2) {
		parts = append(parts, g.match(family))
	}
	if strings.Contains(strings.Join(parts, " "), "vmap") {
		return parts[0]
	}
	if g.chance(30) {
		parts = append(parts, "counter")
	}
	if g.chance(10) {
		parts = append(parts, `log prefix "x: "`)
	}
	if g.chance(15) {
		parts = append(parts, g.limit())
	}
	verdicts := []string{"accept", "accept", "drop", "drop", "return", "continue", "meta mark set 7", "ct mark set 3", "counter"}
	if reject {
		verdicts = append(verdicts, "reject", "meta l4proto tcp reject with tcp reset")
		if family == "inet" {
			verdicts = append(verdicts, "reject with icmpx type admin-prohibited", "reject with icmpx type host-unreachable")
		}
	}
	if jumps {
		verdicts = append(verdicts, "jump extra", "goto extra", "jump more", "tcp dport vmap @verdicts", "udp dport vmap { 53 : accept, 1000-2000 : drop }")
	}
	return strings.Join(append(parts, one(g, verdicts...)), " ")
}

// limit is one whose bucket doesn't fill up again while the packets are compared.
func (g *generator) limit() string {
	return "limit rate " + one(g, "2/day", "over 3/day", "4/hour", "1/week burst 2 packets", "over 2/day burst 8 packets")
}

func (g *generator) match(family string) string {
	list := []string{
		"ct state new", "ct state established", "ct state related", "ct state invalid", "ct state { new, established }", "ct state != new",
		"ct state invalid,related", "ct direction reply", "ct direction original", "ct status dnat", "ct status snat",
		`iifname "in0"`, `oifname "out0"`, `iifname "in*"`, `iifname != "out0"`, `iif "in0"`, `iifname { "in0", "other" }`,
		"tcp dport 80", "tcp dport { 22, 80, 443 }", "tcp dport @ports", "tcp dport != 80-443", "tcp sport > 1023", "tcp sport <= 1024", "udp dport domain",
		"udp sport 1024-65535", "tcp flags syn", "tcp flags & (syn|ack) == syn", "tcp flags syn / syn,ack", "tcp flags == ack", "tcp flags fin,rst",
		"tcp flags != syn", "tcp flags { syn, syn | ack }", "tcp flags & rst != 0",
		"meta l4proto tcp", "meta l4proto { tcp, udp }", "meta l4proto != icmp", "meta length > 60", "meta length 40-100", "meta mark 7", "meta mark != 7", "th dport 53", "th sport 1000-2000",
		"meta mark & 0x3 == 3", "udp length > 20", "ct mark 3", "ct mark != 3", "ct mark 0-2", "ct mark & 0x1 == 1",
	}
	v4 := []string{"ip saddr 10.0.1.10", "ip saddr 10.0.1.0/24", "ip daddr 10.0.2.10-10.0.2.11", "ip daddr != 10.0.2.12", "ip saddr { 10.0.1.10, 10.0.1.12/31 }",
		"ip protocol tcp", "ip protocol { icmp, udp }", "ip ttl < 32", "ip ttl 63", "ip dscp cs1", "ip dscp != cs0", "ip dscp { af11, ef, 20 }",
		"icmp type echo-request", "icmp type { echo-reply, destination-unreachable, time-exceeded }", "icmp code 0", "ip saddr @nets", "ip daddr != @nets", "ip length > 100", "ip hdrlength 5"}
	v6 := []string{"ip6 saddr fd00:1::/64", "ip6 daddr fd00:2::10", "ip6 daddr != fd00:2::10-fd00:2::12", "ip6 nexthdr tcp", "ip6 nexthdr != udp", "ip6 hoplimit > 32",
		"icmpv6 type echo-request", "icmpv6 type { echo-reply, packet-too-big }", "ip6 saddr { fd00:1::10, fd00:2::/64 }", "ip6 dscp cs1", "ip6 length < 50"}
	switch family {
	case "ip":
		list = append(list, v4...)
	case "ip6":
		list = append(list, v6...)
	default:
		list = append(append(append(list, v4...), v6...), "meta nfproto ipv4", "meta nfproto ipv6")
	}
	return one(g, list...)
}

// packet is the next packet, and the port that it goes into.
func (g *generator) packet() (port int, frame []byte) {
	defer func() { g.sent = append(g.sent, result{port, frame}) }()
	switch n := g.IntN(100); {
	case n < 35 && len(g.out) > 0:
		return g.answer(g.out[g.IntN(len(g.out))])
	case n < 45 && len(g.sent) > 0:
		r := g.sent[g.IntN(len(g.sent))]
		return r.port, bytes.Clone(r.frame)
	case n < 55 && len(g.out) > 0:
		return g.quote(g.out[g.IntN(len(g.out))])
	}
	return g.fresh()
}

func (g *generator) host(port int, v6 bool) netip.Addr {
	for {
		if h := one(g, hosts(port)...); h.Is6() == v6 {
			return h
		}
	}
}

func (g *generator) fresh() (int, []byte) {
	port := g.IntN(3) / 2 // more often from the inside
	v6 := g.chance(35)
	h := packet.IPHeader{Src: g.host(port, v6), Dst: g.host(1-port, v6), TTL: one[uint8](g, 64, 64, 20, 33, 128, 2, 1), TOS: one[uint8](g, 0, 0, 32, 40, 80, 184)}
	if g.chance(15) && !v6 {
		h.Dst = netip.AddrFrom4([4]byte{10, 0, byte(port + 1), 1})
	}
	h.Protocol = one[uint8](g, packet.TCP, packet.TCP, packet.TCP, packet.UDP, packet.UDP, packet.ICMP, 50)
	if h.Protocol == packet.ICMP && v6 {
		h.Protocol = packet.ICMPv6
	}
	flags := one[uint8](g, packet.SYN, packet.SYN, packet.SYN, packet.ACK, packet.SYN|packet.ACK, packet.FIN|packet.ACK, packet.RST, packet.ACK|packet.PSH, packet.FIN, 0, packet.SYN|packet.FIN)
	typ := one[uint8](g, 8, 8, 0, 13)
	if h.Dst.Is4() && h.Dst.As4()[3] == 1 {
		typ = 8
	}
	// No two hosts have the same source port: which other one a masqueraded
	// connection gets is chance.
	return g.build(port, h, g.port()+uint16(h.Src.As16()[15]), g.dport(), flags, typ)
}

func (g *generator) port() uint16 { return one[uint16](g, 1024, 1500, 40000, 40100, 53) }

func (g *generator) dport() uint16 { return one[uint16](g, 80, 80, 443, 22, 53, 8080, 5353, 1500, 85) }

// build makes a packet; for ICMP typ is IPv4's.
func (g *generator) build(port int, h packet.IPHeader, sport, dport uint16, flags, typ uint8) (int, []byte) {
	data := 4 + g.IntN(60)
	g.count++
	size := map[uint8]int{packet.TCP: 20, packet.UDP: 8, packet.ICMP: 8, packet.ICMPv6: 8}[h.Protocol]
	p, b := packet.NewIP(h, size+data)
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	switch h.Protocol {
	case packet.TCP:
		binary.BigEndian.PutUint32(b[4:], 1000+g.count)
		if flags&packet.ACK != 0 {
			binary.BigEndian.PutUint32(b[8:], 2000)
		}
		b[12], b[13], b[14] = 5<<4, flags, 0xff
	case packet.UDP:
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	case packet.ICMP, packet.ICMPv6:
		b[0], b[1] = typ, 0
		if h.Protocol == packet.ICMPv6 {
			b[0] = map[uint8]uint8{8: 128, 0: 129, 13: 128}[typ]
		}
		b[2], b[3] = 0, 0
		binary.BigEndian.PutUint16(b[4:], sport)
	}
	p.SumTransport()
	if g.chance(3) && len(b) > 18 {
		b[len(b)-1] ^= 1 // a wrong checksum
	}
	p.SetEthernet(routerMAC[port], hostMAC[port], 0)
	return port, p.Frame.Bytes()
}

// answer makes the packet that answers one that came out.
func (g *generator) answer(r result) (int, []byte) {
	f := packet.NewFrame(len(r.frame))
	copy(f.Bytes(), r.frame)
	var p packet.Packet
	p.Parse(f)
	h := packet.IPHeader{Src: p.Dst, Dst: p.Src, Protocol: p.Protocol, TTL: 64}
	flags := one[uint8](g, packet.SYN|packet.ACK, packet.SYN|packet.ACK, packet.ACK, packet.ACK, packet.FIN|packet.ACK, packet.RST, packet.RST|packet.ACK)
	typ := uint8(0)
	if p.Type == packet.EchoReply || p.Type == packet.EchoReply6 {
		typ = 8
	}
	return g.build(r.port, h, p.DstPort, p.SrcPort, flags, typ)
}

// quote makes an ICMP error about a packet that came out.
func (g *generator) quote(r result) (int, []byte) {
	f := packet.NewFrame(len(r.frame))
	copy(f.Bytes(), r.frame)
	var p packet.Packet
	p.Parse(f)
	src := p.Dst
	if g.chance(40) {
		src = g.host(r.port, p.Version == 6)
	}
	typ, code := one[uint8](g, packet.Unreachable, packet.TimeExceeded), uint8(1)
	if p.Version == 6 {
		typ, code = one[uint8](g, packet.Unreachable6, packet.TooBig6, packet.TimeExceeded6), 0
	}
	e := packet.NewError(&p, src, typ, code, 0)
	if e == nil {
		return g.fresh()
	}
	e.SetEthernet(routerMAC[r.port], hostMAC[r.port], 0)
	return r.port, e.Frame.Bytes()
}

// seen notes what came out, for answers.
func (g *generator) seen(_ int, _ []byte, out []result) {
	for _, r := range out {
		f := packet.NewFrame(len(r.frame))
		copy(f.Bytes(), r.frame)
		var p packet.Packet
		if p.Parse(f) == packet.OK && !p.IsError() && p.L4 != 0 {
			g.out = append(g.out, r)
		}
	}
}
