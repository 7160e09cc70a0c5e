package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pith/machine"
	"pith/network"
)

// fetch resolves a name at a DNS server and fetches a page from there.
func (c client) fetch(ctx context.Context, server, name, path string) (string, error) {
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
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+name+path, nil)
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
	for end := time.Now().Add(3 * patience); ; time.Sleep(200 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(d.Context(), 10*time.Second)
		page, err := c.fetch(ctx, "10.0.0.100:53", "web.dmz.test.", "/")
		cancel()
		if err == nil && strings.HasPrefix(page, "200 OK from [10.0.0.5]: ") && strings.Contains(page, "<html") {
			return
		}
		if time.Now().After(end) {
			d.Fatalf("the page doesn't come: %v\n%s\n%s", err, page, d.keeperLog())
		}
	}
}

// checkLarge fetches what takes several full frames, which a kernel that sends merges.
func (d deployment) checkLarge(c client) {
	d.Helper()
	ctx, cancel := context.WithTimeout(d.Context(), patience)
	defer cancel()
	page, err := c.fetch(ctx, "10.0.0.100:53", "web.dmz.test.", "/openapi.json")
	if _, text, _ := strings.Cut(page, ": "); err != nil || len(text) < 8000 || !json.Valid([]byte(text)) {
		d.Errorf("a large answer: %v, %.100s", err, page)
	}
}

// checkSilent checks that no address answers a ping, by a host that does.
func (d deployment) checkSilent(c client, host string, addresses ...string) {
	d.Helper()
	var all sync.WaitGroup
	for _, address := range addresses {
		all.Go(func() {
			if d.answersPing(c, address) {
				d.Errorf("%s answers a ping", address)
			}
		})
	}
	all.Wait()
	if !d.answersPing(c, host) {
		d.Error("no ping is answered at all")
	}
}

// answersPing sends echo requests for a while and tells whether any was answered.
func (d deployment) answersPing(c client, address string) bool {
	conn, err := c.Dial(d.Context(), "ip4:icmp", address)
	if err != nil {
		d.Error(err)
		return false
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

// checkPorts scans each address for its open ports.
func (d deployment) checkPorts(c client, want map[string]string) {
	d.Helper()
	var all sync.WaitGroup
	for address, ports := range want {
		all.Go(func() {
			if open := fmt.Sprint(d.scan(c, address)); open != ports {
				d.Errorf("%s has open ports %s, want %s", address, open, ports)
			}
		})
	}
	all.Wait()
}

// scan lists the first ports of a machine that a TCP connection reaches.
func (d deployment) scan(c client, address string) []int {
	const ports, atOnce = 128, 64
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

// checkRights checks that programs on the host's own kernel have no right at all, but
// routers the one for packet sockets, and that this kernel knows no address of theirs.
func (d deployment) checkRights() {
	d.Helper()
	const none, netRaw = "0000000000000000", "0000000000002000"
	pids := d.pids()
	for service, want := range map[string]string{"firewall": netRaw, "router": netRaw, "web": none, "dns": none} {
		folder := fmt.Sprintf("/proc/%d/", pids[d.name+"-"+service+"-1"])
		status, err := os.ReadFile(folder + "status")
		if err != nil {
			d.Error(err)
			continue
		}
		for _, set := range []string{"CapPrm", "CapEff", "CapBnd"} {
			if !strings.Contains(string(status), set+":\t"+want+"\n") {
				d.Errorf("%s has other rights than %s %s:\n%s", service, set, want, status)
			}
		}
		known, err := os.ReadFile(folder + "net/fib_trie")
		if has := strings.Contains(string(known), "192.168.10") || strings.Contains(string(known), "10.0.0."); err != nil || has != (want == none) {
			d.Errorf("the kernel of %s knows these addresses (%v):\n%s", service, err, known)
		}
	}
}

// checkRevived kills a service's process and waits until another does its work.
func (d deployment) checkRevived(c client, service string) {
	d.Helper()
	name := d.name + "-" + service + "-1"
	before := d.pids()[name]
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		d.Fatalf("kill %s (%d): %v", name, before, err)
	}
	for end := time.Now().Add(3 * patience); ; time.Sleep(100 * time.Millisecond) {
		if now := d.pids()[name]; now != before && now != 0 {
			break
		}
		if time.Now().After(end) {
			d.Fatalf("%s was killed and doesn't come back\n%s", name, d.keeperLog())
		}
	}
	d.fetchAtLast(c)
}

// TestDMZ is the proof of concept, whole, as each kind of machine: examples/dmz in its
// three networks, seen by a client in the external one.
func TestDMZ(t *testing.T) {
	for _, c := range []struct {
		kind   string
		killed []string // services whose end is tried: each takes a virtual machine's start
	}{
		{machine.KindUnikernel, []string{"web", "firewall"}},
		{machine.KindProcess, []string{"web", "dns", "router", "firewall"}},
		{machine.KindContainer, []string{"web", "dns", "router", "firewall"}},
		{machine.KindLinuxVM, []string{"firewall"}},
	} {
		t.Run(c.kind, func(t *testing.T) { checkDMZ(newDeployment(t, "dmz", c.kind), c.kind, c.killed) })
	}
}

func checkDMZ(d deployment, kind string, killed []string) {
	before := d.hostTraces()
	d.up(kind, "../examples/dmz")
	outside := d.newClient("external", "192.168.100.10/24", "192.168.100.254")
	d.fetchAtLast(outside)
	d.checkLarge(outside)
	d.checkSilent(outside, "192.168.100.253", // the deployment's own end of the network
		"192.168.100.254", "192.168.101.2", "10.0.0.254", "10.0.0.5", "10.0.0.100")
	d.checkPorts(outside, map[string]string{"192.168.100.254": "[]", "192.168.101.2": "[]", "10.0.0.5": "[80]", "10.0.0.100": "[53]"})
	for _, address := range []string{"192.168.100.254:9100", "192.168.101.2:9100"} {
		if d.reaches(outside, address) {
			d.Errorf("%s can be reached from outside", address)
		}
	}
	d.checkConfined(outside)
	if kind == machine.KindProcess || kind == machine.KindContainer {
		d.checkRights()
	}

	pids := d.pids()
	if out := d.up(kind, "../examples/dmz"); !strings.Contains(out, "nothing to do") {
		d.Errorf("the second time:\n%s", out)
	}
	if now := d.pids(); fmt.Sprint(now) != fmt.Sprint(pids) || len(pids) != 4 {
		d.Errorf("machines %v became %v", pids, now)
	}
	for _, service := range killed {
		d.checkRevived(outside, service)
	}

	d.must("down", d.name)
	outside.Remove()
	if after := d.hostTraces(); after != before {
		d.Errorf("left on the host:\n%s\nbefore:\n%s", after, before)
	}
	if left, err := os.ReadDir(d.state); err != nil || len(left) > 0 {
		d.Errorf("left in the state's folder: %v, %v", left, err)
	}
}

// TestMixedDMZ: machines of all kinds that start quickly stand beside one another, so
// that frames go between cards, taps and packet sockets with what each leaves undone.
func TestMixedDMZ(t *testing.T) {
	d := newDeployment(t, "mixed", machine.KindContainer)
	source, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "dmz")
	if err := os.CopyFS(folder, os.DirFS("../examples/dmz")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "pith.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	mixed := strings.ReplaceAll(string(text), "../..", source)
	for service, kind := range map[string]string{
		"firewall": machine.KindUnikernel, "router": machine.KindContainer, "web": machine.KindUnikernel, "dns": machine.KindProcess,
	} {
		build := "/cmd/" + service + "\n"
		mixed = strings.Replace(mixed, build, build+"    machine: "+kind+"\n", 1)
	}
	if err := os.WriteFile(filepath.Join(folder, "pith.yaml"), []byte(mixed), 0o644); err != nil {
		t.Fatal(err)
	}
	d.must("up", "--name", d.name, "--timeout", (3 * patience).String(), folder)
	outside := d.newClient("external", "192.168.100.10/24", "192.168.100.254")
	d.fetchAtLast(outside)
	d.checkLarge(outside)
	d.must("down", d.name)
}
