package inet

import (
	"bytes"
	"net/netip"
	"syscall"
	"testing"

	"pith/kernel/link/linktest"
)

func bound(t testing.TB, s *Stack, at netip.AddrPort) *sock {
	t.Helper()
	u := open(t, s, familyOf(at.Addr()), syscall.SOCK_DGRAM)
	if errno := u.ep.Bind(at); errno != 0 {
		t.Fatalf("bind %v: %v", at, errno)
	}
	return u
}

func TestUDPEcho(t *testing.T) {
	for _, c := range []struct {
		name   string
		server netip.Addr
		o      linktest.Options
	}{
		{"v4", addrB, linktest.Options{}},
		{"v6", addrB6, linktest.Options{}},
		{"v4 offload", addrB, linktest.Options{Features: full}},
		{"v6 offload", addrB6, linktest.Options{Features: full}},
		{"wide", addrB, linktest.Options{MTU: 9000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.o)
			server := bound(t, w.b, netip.AddrPortFrom(c.server, 7))
			client := open(t, w.a, familyOf(c.server), syscall.SOCK_DGRAM)
			buf := make([]byte, 70000)
			for _, n := range []int{0, 1, 2, 511, 1472, 1473, 5000, 20001, 65507 - 20*(1-flag(c.server.Is4()))} {
				want := bytes.Repeat([]byte{byte(n), 7, byte(n >> 8)}, n/3+1)[:n]
				if err := client.sendTo(want, netip.AddrPortFrom(c.server, 7)); err != nil {
					t.Fatalf("%d bytes: send: %v", n, err)
				}
				got, from, err := server.recvFrom(buf)
				if err != nil || !bytes.Equal(buf[:got], want) {
					t.Fatalf("%d bytes: got %d, %v", n, got, err)
				}
				if err := server.sendTo(buf[:got], from); err != nil {
					t.Fatal(err)
				}
				got, from, err = client.recvFrom(buf)
				if err != nil || !bytes.Equal(buf[:got], want) || from.Addr() != c.server || from.Port() != 7 {
					t.Fatalf("%d bytes: back %d from %v, %v", n, got, from, err)
				}
			}
		})
	}
}
