package bench

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pith/bench/lab"
)

// TestForeignIsMissing: who has not built another's unikernel learns what is
// missing, and where it says what to do.
func TestForeignIsMissing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "loader.elf"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		target Target
		want   string
	}{
		{&Eggos{}, "-eggos names no folder with loader.elf, server.elf"},
		{&Eggos{Dir: dir}, "server.elf: no such file"},
		{&Unikraft{}, "-unikraft names no folder with kernel"},
		{&Unikraft{Dir: dir}, "kernel: no such file"},
		{&Nanos{}, "-nanos names no folder"},
		{&Nanos{Dir: dir}, "kernel.img: no such file"},
	} {
		err := test.target.Prepare(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "docs/benchmarks/peers.md") {
			t.Errorf("%s: error %v, want %q", test.target.Name(), err, test.want)
		}
	}
}

// TestForeignLine: what all of them have on QEMU's command line.
func TestForeignLine(t *testing.T) {
	line := strings.Join(foreignLine("pc", "tcg", foreignCPU("", "tcg", "lean"), Shape{CPUs: 2, Memory: 64 << 20}), " ")
	for _, want := range []string{"-M pc", "-accel tcg", "-cpu lean", "-m 64M", "-nodefaults"} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in %s", want, line)
		}
	}
	if got := foreignCPU("", "kvm", "lean"); got != "host" {
		t.Errorf("-cpu %s with kvm", got)
	}
	if got := foreignCPU("mine", "kvm", "lean"); got != "mine" {
		t.Errorf("-cpu %s, asked for mine", got)
	}
	place := lab.Place{Link: "tap7", Addr: netip.MustParsePrefix("10.0.0.7/24")}
	if got := foreignWire(place); !strings.Contains(got, "ifname=tap7,") {
		t.Errorf("-netdev %s", got)
	}
	if got := qemuWord("a,b"); got != "a,,b" {
		t.Errorf("path %s", got)
	}
}

func TestUnikraftWords(t *testing.T) {
	u := &Unikraft{Args: []string{"-http", ":80"}}
	got := u.words(lab.Place{Addr: netip.MustParsePrefix("10.0.0.7/24"), Gateway: netip.MustParseAddr("10.0.0.1")})
	if got != "netdev.ip=10.0.0.7/24:10.0.0.1 -- /server -http :80" {
		t.Errorf("%s", got)
	}
}
