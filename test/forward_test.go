package test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// forwardConfig is a router with a network on each of its cards.
const forwardConfig = `
interfaces:
  - {name: lan, port: eth0, addresses: [10.1.0.1/24, "fd01::1/64"]}
  - {name: wan, port: eth1, addresses: [10.2.0.1/24, "fd02::1/64"]}
metrics: ":9100"
rules: rules.nft
`

// forwardRules let port 7 through and send port 77 of the router to the server.
const forwardRules = `
table inet filter {
	chain forward {
		type filter hook forward priority filter; policy drop;
		icmp type echo-request drop
		ct state established,related accept
		iifname "lan" tcp dport 7 counter accept
		tcp dport 8 reject with tcp reset
		udp dport 33434 accept
	}
	chain input {
		type filter hook input priority filter; policy drop;
		icmp type echo-request drop
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
		iifname "lan" tcp dport 9100 accept
	}
}
table ip nat {
	chain prerouting {
		type nat hook prerouting priority dstnat
		iifname "lan" ip daddr 10.1.0.1 tcp dport 77 dnat to 10.2.0.2:7
	}
	chain postrouting {
		type nat hook postrouting priority srcnat
		oifname "wan" masquerade
	}
}
`

// TestFirewallBetweenTwoNetworks boots the firewall between a client and a server in
// namespaces of their own.
func TestFirewallBetweenTwoNetworks(t *testing.T) {
	client, server, machine := betweenNetworks(t)
	inNamespace(t, server, "greet")
	said := startForwarder(t, machine, forwardRules)
	ask := func(what string) string {
		out, _ := inside(client, what).CombinedOutput()
		return strings.TrimSpace(string(out))
	}
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if ask("dial 10.2.0.2:7") == "10.2.0.1" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("no way through the firewall: %s\n%s", ask("dial 10.2.0.2:7"), said())
		}
	}
	for what, want := range map[string]string{
		"dial [fd02::2]:7":     "fd01::2",  // by IPv6, as itself
		"dial 10.1.0.1:77":     "10.2.0.1", // translated both ways
		"dial 10.2.0.2:8":      "refused",
		"dial 10.2.0.2:9":      "timeout",
		"dial 10.1.0.1:80":     "timeout",
		"probe 8 10.2.0.2 64":  "nothing",
		"probe 8 10.1.0.1 64":  "nothing",
		"probe 17 10.2.0.2 1":  "type 11 code 0 from 10.1.0.1",
		"probe 17 10.2.0.2 64": "type 3 code 3 from 10.2.0.2",
		"dial 10.1.0.1:9100":   "connected",
	} {
		if got := ask(what); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	if t.Failed() {
		t.Log(said())
	}
}

// TestFirewallFailsClosed: with rules that don't load nothing passes, not even ARP's
// answer leads anywhere.
func TestFirewallFailsClosed(t *testing.T) {
	client, server, machine := betweenNetworks(t)
	inNamespace(t, server, "greet")
	said := startForwarder(t, machine, strings.Replace(forwardRules, "masquerade", "masquerate", 1))
	for end := time.Now().Add(patience); !strings.Contains(said(), "forwarding"); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the firewall does not start\n%s", said())
		}
	}
	if out, _ := inside(client, "dial 10.2.0.2:7").CombinedOutput(); !strings.Contains(string(out), "timeout") {
		t.Errorf("without rules: %s", out)
	}
	if !strings.Contains(said(), "rules.nft:25:") {
		t.Errorf("the mistake has no place:\n%s", said())
	}
}

// firewallImage builds the firewall once.
var firewallImage = sync.OnceValues(func() (string, error) {
	file := filepath.Join(filepath.Dir(guest), "firewall.img")
	out, err := exec.Command(command, "build", "-o", file, "../service/firewall/cmd/firewall").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return file, err
})

// startForwarder boots the firewall in a namespace; said is what it printed.
func startForwarder(t *testing.T, machine, rules string) (said func() string) {
	t.Helper()
	image, err := firewallImage()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"firewall.yaml": forwardConfig, "rules.nft": rules} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", machine, command, "run", "--rm", "-m", "128", "--net", "tap:tap0", "--net", "tap:tap1",
		"--file", dir+"/firewall.yaml:/etc/firewall.yaml", "--file", dir+"/rules.nft:/etc/rules.nft",
		image, "--", "-config", "/etc/firewall.yaml")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		log.Close()
	})
	return func() string {
		text, _ := os.ReadFile(log.Name())
		return string(text)
	}
}

// betweenNetworks makes namespaces for a client (10.1.0.2), a server (10.2.0.2) and a
// machine with tap0 and tap1 between them, and removes them at the end.
func betweenNetworks(t *testing.T) (client, server, machine string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces take root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("iproute2's ip is not installed")
	}
	names := make([]string, 3)
	for i, role := range []string{"client", "server", "machine"} {
		names[i] = fmt.Sprintf("pith-%s-%d", role, os.Getpid())
		runIP(t, "netns", "add", names[i])
		t.Cleanup(func() { exec.Command("ip", "netns", "del", names[i]).Run() })
		runIP(t, "-n", names[i], "link", "set", "lo", "up")
	}
	m := names[2]
	for i, n := range names[:2] {
		tap, bridge, veth, k := fmt.Sprint("tap", i), fmt.Sprint("br", i), fmt.Sprint("veth", i), i+1
		for _, line := range []string{
			m + " tuntap add " + tap + " mode tap", m + " link add " + bridge + " type bridge", m + " link set " + tap + " master " + bridge,
			m + " link add " + veth + " type veth peer name eth0 netns " + n, m + " link set " + veth + " master " + bridge,
			m + " link set " + tap + " up", m + " link set " + bridge + " up", m + " link set " + veth + " up",
			fmt.Sprintf("%s addr add 10.%d.0.2/24 dev eth0", n, k), fmt.Sprintf("%s addr add fd0%d::2/64 dev eth0 nodad", n, k), n + " link set eth0 up",
			fmt.Sprintf("%s route add default via 10.%d.0.1", n, k), fmt.Sprintf("%s -6 route add default via fd0%d::1", n, k),
		} {
			runIP(t, append([]string{"-n"}, strings.Fields(line)...)...)
		}
	}
	return names[0], names[1], m
}

func runIP(t *testing.T, args ...string) {
	t.Helper()
	if len(args) > 2 && args[2] == "-6" {
		args[0], args[1], args[2] = "-6", "-n", args[1]
	}
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// inside makes the test binary do something in a namespace.
func inside(ns, what string) *exec.Cmd {
	cmd := exec.Command("ip", "netns", "exec", ns, os.Args[0])
	cmd.Env = append(os.Environ(), clientVariable+"="+what)
	return cmd
}

// inNamespace runs inside until the test ends.
func inNamespace(t *testing.T, ns, what string) {
	t.Helper()
	cmd := inside(ns, what)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
}

// dial connects, and prints what the other side says first, or how it failed.
func dial(addr string) int {
	c, err := net.DialTimeout("tcp", addr, 4*time.Second)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	line, err := bufio.NewReader(c).ReadString('\n')
	if line == "" && err != io.EOF {
		line = "connected"
	}
	fmt.Println(line)
	return 0
}

// probe sends an ICMP echo request (kind 8) or a UDP datagram (17) with a TTL, and prints
// the first ICMP message that comes back.
func probe(args string) int {
	words := strings.Fields(args)
	ttl, _ := strconv.Atoi(words[2])
	in, err := net.ListenPacket("ip4:icmp", "0.0.0.0")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	network, addr, message := "ip4:icmp", words[1], []byte{8, 0, 0, 0, 0, 7, 0, 1}
	binary.BigEndian.PutUint16(message[2:], ^uint16(0x0800+7+1))
	if words[0] == "17" {
		network, addr, message = "udp4", words[1]+":33434", []byte("probe")
	}
	c, err := net.Dial(network, addr)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err == nil {
		raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_TTL, ttl) })
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	b := make([]byte, 1500)
	for range 3 {
		c.Write(message)
		in.SetReadDeadline(time.Now().Add(time.Second))
		if n, from, err := in.ReadFrom(b); err == nil && n > 8 && !bytes.Equal(b[:n], message) {
			fmt.Printf("type %d code %d from %s\n", b[0], b[1], from)
			return 0
		}
	}
	fmt.Println("nothing")
	return 0
}
