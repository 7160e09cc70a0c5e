package inet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pith/kernel/link"
	"pith/kernel/socket"
)

// These tests talk to Linux's own stack. The Linux side is this same test binary, started in
// the namespace with PITH_INET_ROLE set.

func TestMain(m *testing.M) {
	switch os.Getenv("PITH_INET_ROLE") {
	case "load":
		exit(loadRole(os.Getenv("PITH_INET_ADDR")))
	case "serve":
		exit(serveRole())
	}
	os.Exit(m.Run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// content is n reproducible bytes.
func content(n int) []byte {
	b := make([]byte, n)
	rand.New(rand.NewSource(int64(n))).Read(b)
	return b
}

// handler serves what the client checks: small answers, large bodies both ways.
func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
	mux.HandleFunc("GET /bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("n"))
		w.Write(content(n))
	})
	mux.HandleFunc("POST /hash", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		io.Copy(h, r.Body)
		fmt.Fprintf(w, "%x", h.Sum(nil))
	})
	return mux
}

// load is a client's whole programme against a handler.
func load(transport *http.Transport, base string, big int) error {
	client := &http.Client{Transport: transport, Timeout: 60 * time.Second}
	get := func(path string) ([]byte, error) {
		r, err := client.Get(base + path)
		if err != nil {
			return nil, err
		}
		defer r.Body.Close()
		return io.ReadAll(r.Body)
	}
	var wg sync.WaitGroup
	errs := make(chan error, 64)
	for i := range 32 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range 20 {
				b, err := get("/hello")
				if err == nil && string(b) != "hello" {
					err = fmt.Errorf("got %q", b)
				}
				if err != nil {
					errs <- fmt.Errorf("client %d, request %d: %w", i, j, err)
					return
				}
			}
		}()
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		want := content(big)
		b, err := get("/bytes/" + strconv.Itoa(big))
		if err != nil || string(b) != string(want) {
			errs <- fmt.Errorf("download of %d bytes: got %d, %w", big, len(b), errors.Join(err))
		}
		sum := sha256.Sum256(want)
		r, err := client.Post(base+"/hash", "application/octet-stream", strings.NewReader(string(want)))
		if err != nil {
			errs <- fmt.Errorf("upload: %w", err)
			return
		}
		defer r.Body.Close()
		if got, _ := io.ReadAll(r.Body); string(got) != hex.EncodeToString(sum[:]) {
			errs <- fmt.Errorf("upload: the bytes differ")
		}
	}()
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

func bigSize() int {
	n, err := strconv.Atoi(os.Getenv("PITH_INET_BIG"))
	if err != nil {
		return 4 << 20
	}
	return n
}

func loadRole(base string) error {
	for _, keep := range []bool{true, false} {
		t := &http.Transport{MaxIdleConnsPerHost: 64, DisableKeepAlives: !keep}
		if err := load(t, base, bigSize()); err != nil {
			return fmt.Errorf("keep-alive %v: %w", keep, err)
		}
	}
	return nil
}

// serveRole serves TCP and UDP on port 8000 until its standard input ends.
func serveRole() error {
	l, err := net.Listen("tcp", ":8000")
	if err != nil {
		return err
	}
	go http.Serve(l, handler())
	u, err := net.ListenPacket("udp", ":8000")
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 70000)
		for {
			n, from, err := u.ReadFrom(buf)
			if err != nil {
				return
			}
			u.WriteTo(buf[:n], from)
		}
	}()
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	return nil
}

// role starts this binary in the namespace.
func role(t *testing.T, ns, name string, env ...string) *exec.Cmd {
	c := exec.Command("ip", "netns", "exec", ns, os.Args[0], "-test.run=^$")
	c.Env = append(append(os.Environ(), "PITH_INET_ROLE="+name), env...)
	c.Stderr = os.Stderr
	return c
}

func inNamespace(t *testing.T, ns, line string) string {
	t.Helper()
	f := strings.Fields("ip netns exec " + ns + " " + line)
	out, err := exec.Command(f[0], f[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// conn makes a net.Conn of a socket; deadlines only end it.
type conn struct {
	*sock
}

func (c conn) Close() error                       { c.ep.Close(); post(c.in); post(c.out); return nil }
func (c conn) LocalAddr() net.Addr                { return net.TCPAddrFromAddrPort(c.ep.LocalAddr()) }
func (c conn) RemoteAddr() net.Addr               { a, _ := c.ep.RemoteAddr(); return net.TCPAddrFromAddrPort(a) }
func (c conn) SetDeadline(t time.Time) error      { return nil }
func (c conn) SetReadDeadline(t time.Time) error  { return nil }
func (c conn) SetWriteDeadline(t time.Time) error { return nil }

type listenerConn struct{ *sock }

func (l listenerConn) Accept() (net.Conn, error) {
	for {
		s, err := l.accept()
		if err == context.DeadlineExceeded {
			continue
		}
		if err != nil {
			return nil, err
		}
		return conn{s}, nil
	}
}
func (l listenerConn) Close() error   { l.ep.Close(); return nil }
func (l listenerConn) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.ep.LocalAddr()) }

func dialer(t testing.TB, s *Stack) func(context.Context, string, string) (net.Conn, error) {
	return func(_ context.Context, _, addr string) (net.Conn, error) {
		to, err := netip.ParseAddrPort(addr)
		if err != nil {
			return nil, err
		}
		ep, errno := s.Socket(familyOf(to.Addr()), syscall.SOCK_STREAM, 0)
		if errno != 0 {
			return nil, errno
		}
		c := wrap(t, ep)
		if err := c.connect(to); err != nil {
			return nil, err
		}
		return conn{c}, nil
	}
}

var interopCases = []struct {
	name     string
	features link.Features
	weather  weather
	big      int
}{
	{name: "plain", big: 8 << 20},
	{name: "offload", features: full, big: 16 << 20},
	{name: "loss", weather: weather{loss: 0.02}, big: 1 << 20},
	{name: "delay", features: full, weather: weather{delay: 5 * time.Millisecond}, big: 4 << 20},
	{name: "reordering", weather: weather{reorder: 0.05}, big: 2 << 20},
	{name: "bad", weather: weather{loss: 0.01, duplicate: 0.01, reorder: 0.05, corrupt: 0.005, delay: time.Millisecond}, big: 1 << 20},
}

// interopWorld is a stack, and a namespace in which Linux is its neighbour.
func interopWorld(t *testing.T, features link.Features, w weather) (*Stack, string) {
	d, ns := namespace(t, features)
	d.weather = w
	s := newStack(t, Config{})
	attach(t, s, d, "10.8.0.2/24", "fd08::2/64")
	return s, ns
}

func TestLinuxClient(t *testing.T) {
	for _, c := range interopCases {
		t.Run(c.name, func(t *testing.T) {
			s, ns := interopWorld(t, c.features, c.weather)
			for _, base := range []string{"10.8.0.2", "[fd08::2]"} {
				at := netip.MustParseAddrPort(base + ":80")
				l := listen(t, s, at, 128)
				go http.Serve(listenerConn{l}, handler())
				began := time.Now()
				cmd := role(t, ns, "load", "PITH_INET_ADDR=http://"+base, "PITH_INET_BIG="+strconv.Itoa(c.big))
				if err := cmd.Run(); err != nil {
					t.Fatalf("%s: %v", base, err)
				}
				t.Logf("%s: %v; %s", base, time.Since(began).Round(time.Millisecond), s.summary())
				l.ep.Close()
			}
		})
	}
}

func (s *Stack) summary() string {
	v := &s.stats
	return fmt.Sprintf("retransmits %d, time-outs %d, spurious %d, probes %d, pure ACKs %d, bad sums %d",
		v.Retransmits.Load(), v.Timeouts.Load(), v.SpuriousRepairs.Load(), v.Probes.Load(), v.PureAcks.Load(), v.BadChecksum.Load())
}

func TestLinuxServer(t *testing.T) {
	for _, c := range interopCases {
		t.Run(c.name, func(t *testing.T) {
			s, ns := interopWorld(t, c.features, c.weather)
			startServer(t, ns)
			for _, base := range []string{"10.8.0.1:8000", "[fd08::1]:8000"} {
				for _, keep := range []bool{true, false} {
					began := time.Now()
					transport := &http.Transport{MaxIdleConnsPerHost: 64, DisableKeepAlives: !keep, DialContext: dialer(t, s)}
					if err := load(transport, "http://"+base, c.big); err != nil {
						t.Fatalf("%s, keep-alive %v: %v", base, keep, err)
					}
					transport.CloseIdleConnections()
					t.Logf("%s: %v; %s", base, time.Since(began).Round(time.Millisecond), s.summary())
				}
			}
		})
	}
}

func startServer(t *testing.T, ns string) {
	t.Helper()
	cmd := role(t, ns, "serve")
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	if _, err := io.ReadFull(out, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
}

func TestLinuxPing(t *testing.T) {
	ping := "ping"
	if _, err := exec.LookPath(ping); err != nil {
		if _, err := exec.LookPath("busybox"); err != nil {
			t.Skip("needs ping or busybox")
		}
		ping = "busybox ping"
	}
	_, ns := interopWorld(t, link.Features{}, weather{})
	for _, line := range []string{
		"-c 2 -W 2 10.8.0.2", "-c 2 -W 2 -s 4000 10.8.0.2", "-c 2 -W 2 fd08::2", "-c 2 -W 2 -s 4000 fd08::2",
	} {
		if out := inNamespace(t, ns, ping+" "+line); !strings.Contains(out, " 0% packet loss") {
			t.Errorf("%s:\n%s", line, out)
		}
	}
}

func TestLinuxUDP(t *testing.T) {
	s, ns := interopWorld(t, full, weather{})
	startServer(t, ns)
	for _, base := range []string{"10.8.0.1:8000", "[fd08::1]:8000"} {
		to := netip.MustParseAddrPort(base)
		u := open(t, s, familyOf(to.Addr()), syscall.SOCK_DGRAM)
		buf := make([]byte, 70000)
		for _, n := range []int{0, 1, 1400, 1473, 9000, 60000} {
			want := content(n)
			if err := u.sendTo(want, to); err != nil {
				t.Fatal(err)
			}
			got, from, err := u.recvFrom(buf)
			if err != nil || from != to || string(buf[:got]) != string(want) {
				t.Fatalf("%d bytes: got %d from %v, %v", n, got, from, err)
			}
		}
	}
	// A closed port on Linux's side refuses.
	u := open(t, s, syscall.AF_INET, syscall.SOCK_DGRAM)
	if errno := u.ep.Connect(netip.MustParseAddrPort("10.8.0.1:9")); errno != 0 {
		t.Fatal(errno)
	}
	if err := u.sendTo([]byte("x"), netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := u.recvFrom(make([]byte, 10)); err != syscall.ECONNREFUSED {
		t.Fatalf("closed port: %v", err)
	}
	c := open(t, s, syscall.AF_INET, syscall.SOCK_STREAM)
	if err := c.connect(netip.MustParseAddrPort("10.8.0.1:9")); err != syscall.ECONNREFUSED {
		t.Fatalf("closed port: %v", err)
	}
}

// TestLinuxDHCP asks busybox's server for a lease, over its raw sockets.
func TestLinuxDHCP(t *testing.T) {
	if out, err := exec.Command("busybox", "udhcpd", "--help").CombinedOutput(); err != nil && !strings.Contains(string(out), "Usage") {
		t.Skip("needs busybox with udhcpd")
	}
	d, ns := namespace(t, full)
	dir := t.TempDir()
	conf := fmt.Sprintf("start 10.8.0.50\nend 10.8.0.50\ninterface tap0\nlease_file %s/leases\npidfile %s/pid\n"+
		"option subnet 255.255.255.0\noption router 10.8.0.1\noption dns 10.8.0.1\noption lease 600\n", dir, dir)
	os.WriteFile(dir+"/leases", nil, 0o600)
	if err := os.WriteFile(dir+"/conf", []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.Command("ip", "netns", "exec", ns, "busybox", "udhcpd", "-f", dir+"/conf")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	s := newStack(t, Config{Hostname: "pith"})
	if err := s.Attach("eth0", d, socket.InterfaceConfig{DHCP: true, SLAAC: true}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lease is there", func() bool { return s.snapshot.Load().isLocal(v4(0x0a080032)) })
	if fmt.Sprint(s.Nameservers()) != "[10.8.0.1]" {
		t.Error(s.Nameservers())
	}
	startServer(t, ns)
	dial(t, s, netip.MustParseAddrPort("10.8.0.1:8000")).ep.Close()
}
