package bench

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pith/bench/lab"
)

func TestNanosManifest(t *testing.T) {
	n := &Nanos{Program: "/p/server", Args: []string{"-http", ":80"}, Env: []string{"A=b"}}
	got := n.manifest(lab.Place{Addr: netip.MustParsePrefix("10.0.0.7/24"), Gateway: netip.MustParseAddr("10.0.0.1")})
	for _, want := range []string{
		"server:(contents:(host:/p/server))", "arguments:[server -http :80]", "environment:(HOME:/ A:b)",
		"ipaddr:10.0.0.7", "netmask:255.255.255.0", "gateway:10.0.0.1",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Count(got, "(") != strings.Count(got, ")") {
		t.Errorf("brackets don't match in\n%s", got)
	}
}

func TestNanosIsMissing(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "server")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	err := (&Nanos{Dir: dir, Program: program}).Prepare(context.Background())
	if err == nil || !strings.Contains(err.Error(), "kernel.img") || !strings.Contains(err.Error(), "docs/benchmarks/peers.md") {
		t.Errorf("error %v", err)
	}
}
