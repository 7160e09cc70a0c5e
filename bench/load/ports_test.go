package load

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"pith/bench/lab/labtest"
)

// TestNoPorts: in a namespace with four local ports there can be four connections
// to one server; the load says so, and doesn't count the rest as lost.
func TestNoPorts(t *testing.T) {
	if _, err := os.Stat("/proc/self/ns/net"); err != nil {
		t.Skipf("there are no network namespaces here: %v", err)
	}
	if !labtest.Enter(t) {
		return
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "right") }))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	defer s.Close()
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("20000 20003"), 0); err != nil {
		t.Fatal(err)
	}
	w := Web{To: netip.MustParseAddrPort(l.Addr().String()), Path: "/", Body: []byte("right"), Conns: 2, Close: true}
	var held []net.Conn
	for range 4 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	if _, err := w.Rate(t.Context(), 50, time.Second); !errors.Is(err, ErrNoPorts) {
		t.Errorf("no port is left: error %v", err)
	}
	for _, conn := range held {
		conn.(*net.TCPConn).SetLinger(0) // its port is free at once
		conn.Close()
	}
	if o, err := w.Rate(t.Context(), 50, time.Second); err != nil || o.Answered != o.Due {
		t.Errorf("fifty connections, two at a time: %+v, error %v", o, err)
	}
	d := DNS{To: netip.MustParseAddrPort("127.0.0.1:53"), Questions: []Question{{}}, Clients: 8}
	if _, err := d.Rate(t.Context(), 50, time.Second); !errors.Is(err, ErrNoPorts) {
		t.Errorf("eight sockets with four ports: error %v", err)
	}
}
