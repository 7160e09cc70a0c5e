package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// clientVariable makes the test binary a client: it holds that many connections
// to an address open at the same time. Its value is "address count".
const clientVariable = "PITH_TEST_CLIENT"

// TestThousandsOfConnections holds thousands of connections open at once, over
// a tap device in a network namespace of its own, by IPv4 and by IPv6.
func TestThousandsOfConnections(t *testing.T) {
	const connections = "3000"
	ns := namespace(t)
	cmd := exec.Command("ip", "netns", "exec", ns, command, "run", "--rm", "-m", "256", "--cpus", "2",
		"--net", "tap:tap0", "--addr", "10.0.0.5/24", "--addr", "fd00:7::5/64", guest, "--", "serve")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			t.Logf("the machine said:\n%s", out.String())
		}
	}()
	for _, addr := range []string{"10.0.0.5:80", "[fd00:7::5]:80"} {
		client := exec.Command("ip", "netns", "exec", ns, os.Args[0])
		client.Env = append(os.Environ(), clientVariable+"="+addr+" "+connections)
		if said, err := client.CombinedOutput(); err != nil {
			t.Errorf("the client of %s: %v\n%s", addr, err, said)
		}
	}
}

// TestTwoNetworks: a machine with two cards takes the right one, also by a route
// through a gateway.
func TestTwoNetworks(t *testing.T) {
	ns := namespace(t)
	for _, args := range [][]string{
		{"tuntap", "add", "tap1", "mode", "tap"}, {"addr", "add", "10.9.0.1/24", "dev", "tap1"},
		{"addr", "add", "172.20.5.5/32", "dev", "lo"}, {"link", "set", "tap1", "up"},
	} {
		if out, err := exec.Command("ip", append([]string{"-n", ns}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	server := exec.Command("ip", "netns", "exec", ns, os.Args[0])
	server.Env = append(os.Environ(), clientVariable+"=greet")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { server.Process.Kill(); server.Wait() }()
	manifest := filepath.Join(t.TempDir(), "pith.yaml")
	if err := os.WriteFile(manifest, []byte(twoNetworks), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"flags":    {"--net", "tap:tap0,addr=10.0.0.5/24,addr=fd00:7::5/64", "--net", "tap:tap1,addr=10.9.0.5/24,route=172.20.0.0/16@10.9.0.1", guest},
		"manifest": {"-f", manifest, "./guest"},
	} {
		args = append([]string{"netns", "exec", ns, command, "run", "--rm"}, args...)
		args = append(args, "--", "routes", "10.0.0.1:7", "10.9.0.1:7", "172.20.5.5:7", "[fd00:7::1]:7")
		out, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput()
		for _, want := range []string{"10.0.0.1:7 from 10.0.0.5: 10.0.0.5", "10.9.0.1:7 from 10.9.0.5: 10.9.0.5", "172.20.5.5:7 from 10.9.0.5: 10.9.0.5", "[fd00:7::1]:7 from fd00:7::5: fd00:7::5"} {
			if err != nil || !strings.Contains(string(out), want) {
				t.Fatalf("by %s: %v, no %q in:\n%s", name, err, want, out)
			}
		}
	}
}

// twoNetworks is the manifest of the machine that TestTwoNetworks makes by flags.
const twoNetworks = `
networks:
  tap:tap0: {addresses: [10.0.0.5/24, "fd00:7::5/64"]}
  tap:tap1: {addresses: [10.9.0.5/24]}
routes: [172.20.0.0/16@10.9.0.1]
`

// greet tells each caller its address, until it is killed.
func greet() int {
	l, err := net.Listen("tcp", ":7")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return 1
		}
		fmt.Fprint(c, c.RemoteAddr().(*net.TCPAddr).IP)
		c.Close()
	}
}

// namespace makes a network namespace with a tap device at 10.0.0.1/24 and
// fd00:7::1/64, and removes it at the end.
func namespace(t *testing.T) string {
	t.Helper()
	return newNamespace(t, "pith-test", "tuntap add tap0 mode tap", "addr add 10.0.0.1/24 dev tap0",
		"addr add fd00:7::1/64 dev tap0 nodad", "link set tap0 up")
}

// newNamespace makes a network namespace in which lo is up and these lines of ip were done,
// and removes it at the end.
func newNamespace(t *testing.T, name string, lines ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a network namespace takes root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("iproute2's ip is not installed")
	}
	ns := fmt.Sprintf("%s-%d", name, os.Getpid())
	runIP(t, "netns", "add", ns)
	t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
	for _, line := range append([]string{"link set lo up"}, lines...) {
		runIP(t, append([]string{"-n", ns}, strings.Fields(line)...)...)
	}
	return ns
}

// beClient is the client's whole life; it returns an exit code.
func beClient(what string) int {
	if what == "greet" {
		return greet()
	}
	if addr, ok := strings.CutPrefix(what, "dial "); ok {
		return dial(addr)
	}
	if args, ok := strings.CutPrefix(what, "probe "); ok {
		return probe(args)
	}
	if addr, ok := strings.CutPrefix(what, "flows "); ok {
		return useFlows(addr)
	}
	if device, ok := strings.CutPrefix(what, "advertise "); ok {
		return advertise(device)
	}
	if args, ok := strings.CutPrefix(what, "outside "); ok {
		return beOutside(args)
	}
	addr, text, _ := strings.Cut(what, " ")
	n, err := strconv.Atoi(text)
	if err != nil {
		fmt.Println(err)
		return 2
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			fmt.Println("no answer:", err)
			return 1
		}
	}
	conns := make([]net.Conn, n)
	var failed atomic.Int64
	each := func(f func(i int) error) {
		var wg sync.WaitGroup
		for i := range conns {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if err := f(i); err != nil && failed.Add(1) < 4 {
					fmt.Println("connection", i, err)
				}
			}()
		}
		wg.Wait()
	}
	each(func(i int) (err error) { conns[i], err = net.DialTimeout("tcp", addr, patience); return err })
	each(func(i int) error { return ask(conns[i], i) })
	fmt.Println(failed.Load(), "of", n, "failed")
	return min(int(failed.Load()), 1)
}

// ask sends one request over an open connection and checks the answer.
func ask(c net.Conn, i int) error {
	if c == nil {
		return nil // counted already
	}
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: guest\r\n\r\n", i)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(r.Body)
	if want := fmt.Sprintf("hello from /%d\n", i); err == nil && string(body) != want {
		return fmt.Errorf("answer %q, want %q", body, want)
	}
	return err
}
