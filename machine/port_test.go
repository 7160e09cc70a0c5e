package machine

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"pith"
)

func TestParsePort(t *testing.T) {
	for s, want := range map[string]string{
		"8080:80":            "tcp 127.0.0.1:8080 80",
		"8080:80/tcp":        "tcp 127.0.0.1:8080 80",
		"5353:53/udp":        "udp 127.0.0.1:5353 53",
		"80":                 "tcp 127.0.0.1:0 80",
		"0:80":               "tcp 127.0.0.1:0 80",
		"0.0.0.0:8080:80":    "tcp 0.0.0.0:8080 80",
		"[::1]:8080:80":      "tcp [::1]:8080 80",
		"[::]:65535:1/udp":   "udp [::]:65535 1",
		"192.168.1.2:1:2":    "tcp 192.168.1.2:1 2",
		"127.0.0.1:08080:80": "tcp 127.0.0.1:8080 80",
	} {
		p, err := ParsePort(s)
		if err != nil {
			t.Errorf("ParsePort(%q): %v", s, err)
			continue
		}
		host, guest, _ := strings.Cut(strings.TrimPrefix(want, p.Protocol+" "), " ")
		if p.Host.String() != host || FormatPort(p) == "" || guest != itoa(p.Guest) || !strings.HasPrefix(want, p.Protocol+" ") {
			t.Errorf("ParsePort(%q) = %+v, want %s", s, p, want)
		}
	}
	for _, s := range []string{
		"", ":", "80:", "a:b", "80:0", "65536:80", "80:65536", "-1:80", "+80:80", "8080:80/sctp", "8080:80/",
		"host:80:80", "1.2.3:80:80", "1.2.3.4:80", "1.2.3.4::80", "fe80::1%eth0:80:80", "8080:80:tcp", "0x50:80", "80/udp/tcp",
	} {
		if p, err := ParsePort(s); err == nil {
			t.Errorf("ParsePort(%q) = %+v, want an error", s, p)
		} else if pith.ExitCode(err) != 2 {
			t.Errorf("ParsePort(%q): %v is no user's mistake", s, err)
		}
	}
}

func itoa(n uint16) string {
	return netip.AddrPortFrom(netip.IPv4Unspecified(), n).String()[len("0.0.0.0:"):]
}

func FuzzParsePort(f *testing.F) {
	for _, s := range []string{"8080:80", "[::1]:1:2/udp", "0.0.0.0:1:2", "::::", "1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePort(s)
		if err != nil {
			return
		}
		again, err := ParsePort(FormatPort(p))
		if err != nil || again != p {
			t.Errorf("%q is read as %+v, written as %s, and read again as %+v, %v", s, p, FormatPort(p), again, err)
		}
	})
}

func TestFreePorts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	used := pith.Port{Protocol: TCP, Host: taken.Addr().(*net.TCPAddr).AddrPort(), Guest: 80}
	if _, err := FreePorts([]pith.Port{used}); pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), "another program") {
		t.Errorf("a port in use: %v", err)
	}
	// The same number is free for the other protocol.
	used.Protocol = UDP
	if _, err := FreePorts([]pith.Port{used}); err != nil {
		t.Errorf("the port for UDP: %v", err)
	}

	any, err := ParsePort("80")
	if err != nil {
		t.Fatal(err)
	}
	free, err := FreePorts([]pith.Port{any, any})
	if err != nil {
		t.Fatal(err)
	}
	if free[0].Host.Port() == 0 || free[0].Host == free[1].Host || free[0].Host.Addr() != any.Host.Addr() {
		t.Errorf("free ports = %v", free)
	}
	if _, err := FreePorts([]pith.Port{free[0], free[0]}); err == nil {
		t.Error("the same port twice is taken")
	}
}

func TestURL(t *testing.T) {
	for s, want := range map[string]string{
		"8080:80":          "http://127.0.0.1:8080",
		"0.0.0.0:8443:443": "https://127.0.0.1:8443",
		"5353:53/udp":      "udp://127.0.0.1:5353",
		"6379:6379":        "tcp://127.0.0.1:6379",
		"[::]:8080:8080":   "http://[::1]:8080",
	} {
		p, err := ParsePort(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := URL(p); got != want {
			t.Errorf("URL(%s) = %s, want %s", s, got, want)
		}
	}
}
