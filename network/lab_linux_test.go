package network

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"pith"
)

// interfaces are those of a namespace, "" for the test's own.
func interfaces(t *testing.T, ns string) string {
	t.Helper()
	args := []string{"-br", "addr"}
	if ns != "" {
		args = append([]string{"-n", ns}, args...)
	}
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %v: %v: %s", args, err, out)
	}
	return string(out)
}

// TestLab: networks are made, left alone the second time, changed when the file
// changes, and gone in the end, with nothing of them on the host.
func TestLab(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := os.Stat(tunDevice); err != nil {
		t.Skip("needs " + tunDevice)
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("iproute2's ip is not installed")
	}
	name := fmt.Sprintf("labtest-%d", os.Getpid())
	if FindLab(name) != nil {
		t.Fatal("a lab is there before it is made")
	}
	before := interfaces(t, "")
	front := pith.Network{
		Name: "a-network-with-a-long-name", Kind: pith.NetworkBridge, MTU: 1400,
		Subnet:  []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("fd00:5::/64")},
		Gateway: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00:5::1")},
	}
	back := pith.Network{Name: "back", Kind: pith.NetworkBridge}
	l, err := MakeLab(name, []pith.Network{front, back, {Name: "u", Kind: pith.NetworkUser}})
	if pith.ExitCode(err) == 2 {
		t.Skipf("network namespaces can't be made here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Remove()
	made := interfaces(t, "pith-"+name)
	if !strings.Contains(made, "10.0.0.1/24") || !strings.Contains(made, "fd00:5::1/64") || strings.Count(made, "\nbr") != 2 {
		t.Errorf("made:\n%s", made)
	}
	index := func() string {
		out, err := exec.Command("ip", "-n", "pith-"+name, "-o", "link").Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(out))[:2], " ") + fmt.Sprint(strings.Count(string(out), "mtu 1400"))
	}
	first := index()
	if l, err = MakeLab(name, []pith.Network{front, back}); err != nil || index() != first {
		t.Errorf("the second time: %v, %s became %s", err, first, index())
	}

	tap, err := l.Tap("back")
	if err != nil {
		t.Fatal(err)
	}
	if now := interfaces(t, "pith-"+name); !strings.Contains(now, "pith0") {
		t.Errorf("no tap:\n%s", now)
	}
	tap.Close()
	if now := interfaces(t, "pith-"+name); strings.Contains(now, "pith0") {
		t.Errorf("the tap outlives its file:\n%s", now)
	}
	if _, err := l.Tap("nowhere"); err == nil || !strings.Contains(err.Error(), "no network nowhere") {
		t.Errorf("a tap on no network: %v", err)
	}

	front.Gateway = []netip.Addr{netip.MustParseAddr("10.0.0.254")}
	if _, err := MakeLab(name, []pith.Network{front}); err != nil {
		t.Fatal(err)
	}
	now := interfaces(t, "pith-"+name)
	if strings.Contains(now, "10.0.0.1/24") || !strings.Contains(now, "10.0.0.254/24") || strings.Contains(now, "fd00:5::1") || strings.Count(now, "\nbr") != 1 {
		t.Errorf("changed:\n%s", now)
	}
	if interfaces(t, "") != before {
		t.Errorf("the host's interfaces changed:\n%s\nbefore:\n%s", interfaces(t, ""), before)
	}
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	if FindLab(name) != nil {
		t.Error("the lab is still there")
	}
	if _, err := os.Stat(l.Path()); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", l.Path(), err)
	}
	if err := l.Remove(); err != nil {
		t.Errorf("removing it twice: %v", err)
	}
}

// TestLabFails: a network that can't be made leaves no namespace.
func TestLabFails(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	name := fmt.Sprintf("labfail-%d", os.Getpid())
	_, err := MakeLab(name, []pith.Network{{Name: strings.Repeat("x", 300), Kind: pith.NetworkBridge}})
	if err == nil {
		t.Error("an alias of 300 bytes is taken")
	}
	if l := FindLab(name); l != nil {
		l.Remove()
		t.Error("a failure leaves a namespace")
	}
}
