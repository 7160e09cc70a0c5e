package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pith/network"
)

// deployment is one that a test has brought up.
type deployment struct {
	*testing.T
	name  string
	state string
}

func (d deployment) pith(args ...string) (string, error) {
	c := exec.Command(command, args...)
	c.Env = append(os.Environ(), "PITH_STATE="+d.state)
	out, err := c.CombinedOutput()
	return string(out), err
}

// must is pith that works.
func (d deployment) must(args ...string) string {
	d.Helper()
	out, err := d.pith(args...)
	if err != nil {
		d.Fatalf("pith %q: %v\n%s\n%s", args, err, out, d.keeperLog())
	}
	return out
}

func (d deployment) keeperLog() string {
	text, _ := os.ReadFile(filepath.Join(d.state, "_deployments", d.name, "keeper.log"))
	return string(text)
}

// pids are the processes of the instances, by their names.
func (d deployment) pids() map[string]int {
	d.Helper()
	c := exec.Command(command, "ps", "-o", "json")
	c.Env = append(os.Environ(), "PITH_STATE="+d.state)
	out, err := c.Output()
	if err != nil {
		d.Fatal(err)
	}
	var list []struct {
		Name string
		PID  int
	}
	if err := json.Unmarshal(out, &list); err != nil {
		d.Fatal(err)
	}
	pids := map[string]int{}
	for _, m := range list {
		pids[m.Name] = m.PID
	}
	return pids
}

// hostTraces is what a deployment could leave on the host: interfaces, namespaces,
// rules, and processes that know its state.
func (d deployment) hostTraces() string {
	var b bytes.Buffer
	for _, line := range []string{"ip -o -br link", "ip netns list", "ip rule", "ip route", "nft list ruleset"} {
		words := strings.Fields(line)
		if _, err := exec.LookPath(words[0]); err != nil {
			continue
		}
		out, _ := exec.Command(words[0], words[1:]...).CombinedOutput()
		for l := range strings.Lines(string(out)) {
			if words[1] != "netns" || strings.Contains(l, d.name) { // other tests make theirs
				b.WriteString(l)
			}
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range processes {
		text, _ := os.ReadFile(p)
		if bytes.Contains(text, []byte(d.state)) || bytes.Contains(text, []byte(d.name)) {
			fmt.Fprintf(&b, "process %s: %q\n", p, text)
		}
	}
	return b.String()
}

// client is a host of its own in one of the deployment's networks.
type client struct{ *network.Lab }

// newClient joins a client to a network; routes lead over gateway.
func (d deployment) newClient(net, address, gateway string) client {
	d.Helper()
	name := d.name + "-" + net
	lab, err := network.MakeLab(name, nil)
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { lab.Remove() })
	theirs := network.FindLab(d.name)
	if theirs == nil {
		d.Fatal("the deployment has no networks")
	}
	bridge, err := theirs.Bridge(net)
	if err != nil {
		d.Fatal(err)
	}
	at, in := "pith-"+d.name, "pith-"+name
	for _, line := range []string{
		at + " link add " + net + " type veth peer name eth0 netns " + in,
		at + " link set " + net + " master " + bridge + " up",
		in + " link set eth0 up", in + " addr add " + address + " dev eth0", in + " route add default via " + gateway,
	} {
		runIP(d.T, append([]string{"-n"}, strings.Fields(line)...)...)
	}
	return client{lab}
}

// fetch resolves a name at a DNS server and fetches the page from there.
func (c client) fetch(ctx context.Context, server, name string) (string, error) {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return c.Dial(ctx, network, server)
	}}
	addrs, err := resolver.LookupHost(ctx, name)
	if err != nil {
		return "", err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return c.Dial(ctx, network, net.JoinHostPort(addrs[0], "80"))
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+name+"/", nil)
	if err != nil {
		return "", err
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	return fmt.Sprintf("%s from %v: %s", answer.Status, addrs, page), err
}

// fetchAtLast fetches until it works: a service that was killed is on its way.
func (d deployment) fetchAtLast(c client) {
	d.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(d.Context(), 10*time.Second)
		page, err := c.fetch(ctx, "10.0.0.100:53", "web.dmz.test.")
		cancel()
		if err == nil && strings.HasPrefix(page, "200 OK from [10.0.0.5]: ") && strings.Contains(page, "<html") {
			return
		}
		if time.Now().After(end) {
			d.Fatalf("the page doesn't come: %v\n%s\n%s", err, page, d.keeperLog())
		}
	}
}

// answersPing sends echo requests for a while and tells whether any was answered.
func (d deployment) answersPing(c client, address string) bool {
	d.Helper()
	conn, err := c.Dial(d.Context(), "ip4:icmp", address)
	if err != nil {
		d.Fatal(err)
	}
	defer conn.Close()
	echo := []byte{8, 0, 0, 0, 0x70, 0x69, 0, 1} // RFC 792: type, code, checksum, identifier, number
	sum := ^uint16(0x0800 + 0x7069 + 1)
	echo[2], echo[3] = byte(sum>>8), byte(sum)
	for range 3 {
		if _, err := conn.Write(echo); err != nil {
			return false // ICMP says that there is no way
		}
		conn.SetReadDeadline(time.Now().Add(time.Second))
		reply := make([]byte, 1500)
		for {
			n, err := conn.Read(reply)
			if err != nil {
				break
			}
			if head := int(reply[0]&15) * 4; n > head && reply[head] == 0 {
				return true
			}
		}
	}
	return false
}

// scan lists the first ports of a machine that a TCP connection reaches.
func (d deployment) scan(c client, address string) []int {
	const ports, atOnce = 128, 32
	var found [ports + 1]bool
	var all sync.WaitGroup
	room := make(chan struct{}, atOnce)
	for port := 1; port <= ports; port++ {
		room <- struct{}{}
		all.Go(func() {
			found[port] = d.reaches(c, fmt.Sprint(address, ":", port))
			<-room
		})
	}
	all.Wait()
	var open []int
	for port, is := range found {
		if is {
			open = append(open, port)
		}
	}
	return open
}

// reaches tells whether a TCP connection is accepted, or even refused: then
// something there has answered.
func (d deployment) reaches(c client, address string) bool {
	ctx, cancel := context.WithTimeout(d.Context(), 2*time.Second)
	defer cancel()
	conn, err := c.Dial(ctx, "tcp", address)
	if err == nil {
		conn.Close()
		return true
	}
	return strings.Contains(err.Error(), "refused")
}

// checkConfined checks that a host in the demilitarised zone can't reach one outside.
func (d deployment) checkConfined(outside client) {
	d.Helper()
	err := outside.Do(func() error {
		l, err := net.Listen("tcp", "192.168.100.10:8080")
		if err == nil {
			d.Cleanup(func() { l.Close() })
		}
		return err
	})
	if err != nil {
		d.Fatal(err)
	}
	inside := d.newClient("zone", "10.0.0.77/24", "10.0.0.254")
	if !d.reaches(client{network.FindLab(d.name)}, "192.168.100.10:8080") {
		d.Error("the host outside can't be reached from its own network")
	}
	if !d.reaches(inside, "10.0.0.5:80") {
		d.Error("the host inside doesn't reach its own network")
	}
	if d.reaches(inside, "192.168.100.10:8080") {
		d.Error("the demilitarised zone reaches a host outside")
	}
	if err := inside.Remove(); err != nil {
		d.Error(err)
	}
}

// TestDMZ is the proof of concept, whole: examples/dmz in its three networks, seen
// by a client in the external one.
func TestDMZ(t *testing.T) {
	if testing.Short() {
		t.Skip("boots four machines")
	}
	if os.Geteuid() != 0 {
		t.Skip("network namespaces take root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("iproute2's ip is not installed")
	}
	d := deployment{t, fmt.Sprintf("dmz-%d", os.Getpid()), filepath.Join(t.TempDir(), "state")}
	before := d.hostTraces()
	t.Cleanup(func() { d.pith("down", d.name) })
	up := []string{"up", "--name", d.name, "--timeout", patience.String(), "../examples/dmz"}
	d.must(up...)

	outside := d.newClient("external", "192.168.100.10/24", "192.168.100.254")
	d.fetchAtLast(outside)
	for _, address := range []string{"192.168.100.254", "192.168.101.2", "10.0.0.254", "10.0.0.5", "10.0.0.100"} {
		if d.answersPing(outside, address) {
			t.Errorf("%s answers a ping", address)
		}
	}
	if !d.answersPing(outside, "192.168.100.253") { // the deployment's own end of the network
		t.Error("no ping is answered at all")
	}
	for address, want := range map[string]string{"192.168.100.254": "[]", "192.168.101.2": "[]", "10.0.0.5": "[80]", "10.0.0.100": "[53]"} {
		if open := fmt.Sprint(d.scan(outside, address)); open != want {
			t.Errorf("%s has open ports %s, want %s", address, open, want)
		}
	}
	for _, address := range []string{"192.168.100.254:9100", "192.168.101.2:9100"} {
		if d.reaches(outside, address) {
			t.Errorf("%s can be reached from outside", address)
		}
	}
	d.checkConfined(outside)

	pids := d.pids()
	if out := d.must(up...); !strings.Contains(out, "nothing to do") {
		t.Errorf("the second time:\n%s", out)
	}
	if now := d.pids(); fmt.Sprint(now) != fmt.Sprint(pids) || len(pids) != 4 {
		t.Errorf("machines %v became %v", pids, now)
	}

	for _, service := range []string{"web", "firewall"} {
		name, pids := d.name+"-"+service+"-1", d.pids()
		if err := syscall.Kill(pids[name], syscall.SIGKILL); err != nil {
			t.Fatalf("kill %s (%d): %v", name, pids[name], err)
		}
		d.fetchAtLast(outside)
		if now := d.pids()[name]; now == pids[name] || now == 0 {
			t.Errorf("%s was killed and has process %d still", name, now)
		}
	}

	d.must("down", d.name)
	outside.Remove()
	if after := d.hostTraces(); after != before {
		t.Errorf("left on the host:\n%s\nbefore:\n%s", after, before)
	}
	if left, err := os.ReadDir(d.state); err != nil || len(left) > 0 {
		t.Errorf("left in the state's folder: %v, %v", left, err)
	}
}
