package usernet

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// TestOutwards: a machine reaches a server of the host by many connections at once and by
// datagrams, and the host's name server; not its loopback.
func TestOutwards(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	n, s := guestOn(t)
	n.resolver = filepath.Join(t.TempDir(), "resolv.conf")
	l, err := net.Listen("tcp", outsideAddr+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go echoStreams(l)
	server := netip.MustParseAddrPort(l.Addr().String())
	eachAtOnce(t, "connections", func(i int) error {
		c, err := dialFrom(s, server)
		if err != nil {
			return err
		}
		return swap(c, bytes.Repeat([]byte{byte(i)}, 5000+i))
	})
	packets, err := net.ListenPacket("udp", server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	go echoPackets(packets)
	c, err := gonet.DialUDP(s, nil, full(server), ipv4.ProtocolNumber)
	if err != nil {
		t.Fatal(err)
	}
	if err := askPacket(c, "datagram"); err != nil {
		t.Error(err)
	}
	refusals(t, s)
	names(t, n, s)
}

// refusals are what must not lead anywhere.
func refusals(t *testing.T, s *stack.Stack) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	for what, addr := range map[string]netip.Addr{
		"the host's loopback by its gateway":     gateway,
		"the host's loopback by its name server": nameserver,
		"a closed port":                          netip.MustParseAddr(outsideAddr),
	} {
		c, err := dialFrom(s, netip.AddrPortFrom(addr, port))
		if err == nil {
			c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// names asks the host's name server, which changes.
func names(t *testing.T, n *Network, s *stack.Stack) {
	t.Helper()
	for _, host := range []string{"127.0.0.1", "127.0.0.2"} {
		serveNames(t, host)
		if err := os.WriteFile(n.resolver, []byte("# the host's\nnameserver "+host+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, overTCP := range []bool{false, true} {
			if got, err := askName(s, overTCP); err != nil || got != host {
				t.Errorf("the name server of %s (TCP %v) says %q, %v", host, overTCP, got, err)
			}
		}
	}
}

// serveNames answers each question with the server's address.
func serveNames(t *testing.T, host string) {
	t.Helper()
	answer := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		header := dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}
		m.Answer = []dns.RR{&dns.TXT{Hdr: header, Txt: []string{host}}}
		w.WriteMsg(m)
	})
	for _, network := range []string{"udp", "tcp"} {
		started := make(chan error, 2)
		server := &dns.Server{Addr: host + ":53", Net: network, Handler: answer, NotifyStartedFunc: func() { started <- nil }}
		go func() { started <- server.ListenAndServe() }()
		if err := <-started; err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Shutdown() })
	}
}

func askName(s *stack.Stack, overTCP bool) (string, error) {
	to := netip.AddrPortFrom(nameserver, 53)
	var c net.Conn
	var err error
	if overTCP {
		c, err = dialFrom(s, to)
	} else {
		c, err = gonet.DialUDP(s, nil, full(to), ipv4.ProtocolNumber)
	}
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	client := dns.Client{Timeout: patience}
	answer, _, err := client.ExchangeWithConn(new(dns.Msg).SetQuestion("name.test.", dns.TypeTXT), &dns.Conn{Conn: c})
	if err != nil || len(answer.Answer) != 1 {
		return "", fmt.Errorf("%v, %w", answer, err)
	}
	return answer.Answer[0].(*dns.TXT).Txt[0], nil
}

func TestHostResolver(t *testing.T) {
	const none = "invalid AddrPort"
	for text, want := range map[string]string{
		"":                                       none,
		"search example.org\n":                   none,
		"nameserver nonsense\n":                  none,
		"#nameserver 1.1.1.1\n":                  none,
		"nameserver 127.0.0.53\n":                "127.0.0.53:53",
		"\tnameserver\t192.0.2.1 # x\n":          "192.0.2.1:53",
		"nameserver x\nnameserver ::1\n":         "[::1]:53",
		"nameserver fe80::1%eth0\n":              "[fe80::1%eth0]:53",
		"nameserver 9.9.9.9\nnameserver 1.1.1.1": "9.9.9.9:53",
	} {
		file := filepath.Join(t.TempDir(), "resolv.conf")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := hostResolver(file).String(); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	if hostResolver(filepath.Join(t.TempDir(), "none")).IsValid() {
		t.Error("a missing file names a server")
	}
}
