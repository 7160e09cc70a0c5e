package machine

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"pith"
	"pith/abi"
)

func TestBlock(t *testing.T) {
	s := validSpec("web")
	s.Args, s.CPUs, s.Trace = []string{"-v", ""}, 4, true
	now := time.Unix(1_700_000_000, 123)
	b, err := Block(Launch{Spec: s, Cards: []Card{
		{Link: pith.Link{
			MAC:     "52:54:00:00:00:01",
			Addrs:   []netip.Prefix{netip.MustParsePrefix("10.0.2.15/24"), netip.MustParsePrefix("fec0::15/64")},
			Gateway: []netip.Addr{netip.MustParseAddr("10.0.2.2")},
			DNS:     []netip.Addr{netip.MustParseAddr("10.0.2.3")},
		}},
		{Link: pith.Link{MAC: "52:54:00:00:00:02"}},
	}}, now)
	if err != nil {
		t.Fatal(err)
	}
	if string(b[:len(abi.Magic)]) != abi.Magic {
		t.Fatalf("the block begins with %q", b[:8])
	}
	got := map[uint32][]string{}
	rest := b[len(abi.Magic):]
	for {
		typ, payload, next, ok := abi.Next(rest)
		if !ok {
			break
		}
		got[typ] = append(got[typ], string(payload))
		rest = next
	}
	if len(rest) != 8 {
		t.Errorf("%d bytes are left at the end, want the end record's 8", len(rest))
	}
	equal := func(typ uint32, want ...string) {
		t.Helper()
		if len(got[typ]) != len(want) {
			t.Fatalf("record type %d: %q, want %q", typ, got[typ], want)
		}
		for i := range want {
			if got[typ][i] != want[i] {
				t.Errorf("record type %d: %q, want %q", typ, got[typ], want)
			}
		}
	}
	equal(abi.RecordArg, "prog", "-v", "")
	equal(abi.RecordEnv, "A=image", "B=image")
	equal(abi.RecordFlag, "trace")
	equal(abi.RecordCPUs, "\x04\x00\x00\x00")
	equal(abi.RecordNet,
		"mac=52:54:00:00:00:01 addr=10.0.2.15/24 addr=fec0::15/64 gw=10.0.2.2 dns=10.0.2.3",
		"mac=52:54:00:00:00:02 dhcp slaac")
	if ns := binary.LittleEndian.Uint64([]byte(got[abi.RecordTime][0])); ns != uint64(now.UnixNano()) {
		t.Errorf("the clock says %d, want %d", ns, now.UnixNano())
	}
}

func TestMountWords(t *testing.T) {
	if got := mountWords(Disk{Serial: "pith-0"}, "/a b"); got != "serial=pith-0 type=ext4 at=/a b" {
		t.Error(got)
	}
	if got := mountWords(Disk{Serial: "pith-1", ReadOnly: true}, "/c"); got != "serial=pith-1 type=ext4 ro at=/c" {
		t.Error(got)
	}
	if got := mountWords(Disk{Serial: "pith-2", Folder: true, ReadOnly: true}, "/src"); got != "serial=pith-2 type=9p ro at=/src" {
		t.Error(got)
	}
}
