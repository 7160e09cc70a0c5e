package deploy

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pith"
	"pith/machine"
)

// topology is a web service of two replicas and a store in two networks.
func topology() pith.Topology {
	return pith.Topology{
		Name: "shop",
		Networks: []pith.Network{
			{Name: "front", Kind: pith.NetworkBridge, Subnet: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/29")}},
			{Name: "back", Kind: pith.NetworkBridge, Subnet: []netip.Prefix{netip.MustParsePrefix("10.0.1.0/24")},
				Gateway: []netip.Addr{netip.MustParseAddr("10.0.1.1")}},
		},
		Services: []pith.Service{
			{Name: "store", Kind: pith.Unikernel, CPUs: 1, Replicas: 1,
				Links: []pith.ServiceLink{{Network: "back", Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.1.9/24")}}}},
			{Name: "web", Kind: pith.Unikernel, CPUs: 1, Replicas: 2,
				Links: []pith.ServiceLink{{Network: "front", Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/29")}}},
				Ports: []pith.Port{{Protocol: machine.TCP, Host: netip.MustParseAddrPort("127.0.0.1:0"), Guest: 80}}},
		},
	}
}

// resolve makes of a topology what is wanted; all images are one file.
func resolve(t *testing.T, topology pith.Topology) *Wanted { return resolveAfter(t, nil, topology) }

func resolveAfter(t *testing.T, before *Wanted, topology pith.Topology) *Wanted {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, []byte("an image"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := Resolver{Images: map[string]*pith.Image{}, Files: t.TempDir(), Before: before}
	for i := range topology.Services {
		r.Order = append(r.Order, &topology.Services[i])
		r.Images[topology.Services[i].Name] = &pith.Image{Path: path}
	}
	w, err := r.Resolve(topology)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestResolve(t *testing.T) {
	w := resolve(t, topology())
	var names []string
	for _, i := range w.Instances {
		names = append(names, i.Name()+" "+i.Address.String())
	}
	if got := strings.Join(names, ", "); got != "shop-store-1 10.0.1.9, shop-web-1 10.0.0.5, shop-web-2 10.0.0.6" {
		t.Errorf("instances: %s", got)
	}
	if g := w.Networks[0].Gateway; fmt.Sprint(g) != "[10.0.0.4]" {
		t.Errorf("the host has %v in front: .5 and .6 are taken", g)
	}
	if g := w.Networks[1].Gateway; fmt.Sprint(g) != "[10.0.1.1]" {
		t.Errorf("the host has %v in back, want the file's", g)
	}
	if h := w.Instances[1].Health; h == nil || h.Kind != pith.ProbeTCP || h.Port != 80 {
		t.Errorf("a service with a port has health check %v", h)
	}
	if w.Instances[1].Spec.Links[0].MAC == w.Instances[2].Spec.Links[0].MAC {
		t.Error("replicas have the same card")
	}
}

func TestPlan(t *testing.T) {
	always := func(Instance) bool { return true }
	lines := func(from, to *Wanted, runs func(Instance) bool) string {
		var all []string
		for _, c := range Plan(from, to, runs) {
			all = append(all, string(c.Action)+" "+c.Name)
		}
		return strings.Join(all, ", ")
	}
	first := resolve(t, topology())
	for _, c := range []struct {
		change func(*pith.Topology)
		want   string
	}{
		{func(*pith.Topology) {}, ""},
		{func(x *pith.Topology) { x.Services[0].Env = []string{"A=1"} }, "replace shop-store-1"},
		{func(x *pith.Topology) { x.Services[0].Restart.When = pith.RestartAlways }, "update shop-store-1"},
		{func(x *pith.Topology) { x.Services[1].Replicas = 1 }, "delete shop-web-2"},
		{func(x *pith.Topology) { x.Networks[1].MTU = 1400 }, "update back"},
		{func(x *pith.Topology) { x.Networks, x.Services = x.Networks[1:], x.Services[:1] }, "delete shop-web-1, delete shop-web-2, delete front"},
	} {
		changed := topology()
		c.change(&changed)
		if got := lines(first, resolveAfter(t, first, changed), always); got != c.want {
			t.Errorf("changes %q, want %q", got, c.want)
		}
	}
	if got := lines(nil, first, always); got != "create front, create back, create shop-store-1, create shop-web-1, create shop-web-2" {
		t.Errorf("from nothing: %q", got)
	}
	if got := lines(first, first, func(i Instance) bool { return i.Service == "web" }); got != "start shop-store-1" {
		t.Errorf("one has ended: %q", got)
	}
}

// TestRevision: what a machine is given decides its revision, where the image lies
// does not.
func TestRevision(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	revision := func(text string) string {
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		x := topology()
		x.Services[0].Configs = []pith.Given{{Source: config, Target: "/config"}}
		return resolve(t, x).Instances[0].Spec.Revision
	}
	if a, b := revision("a"), revision("b"); a == b || a != revision("a") {
		t.Errorf("revisions %s and %s", a, b)
	}
}

func TestLastFree(t *testing.T) {
	taken := map[netip.Addr]bool{netip.MustParseAddr("10.0.0.2"): true}
	for text, want := range map[string]string{
		"10.0.0.0/24": "10.0.0.254", "10.0.0.0/30": "10.0.0.1", "10.0.0.0/31": "invalid IP", "fd00::/120": "fd00::fe",
	} {
		if got := lastFree(netip.MustParsePrefix(text), taken); got.String() != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	x := topology()
	if err := Check(x); err != nil {
		t.Error(err)
	}
	x.Networks[0].VLAN = 7
	x.Networks[1].Kind = pith.NetworkUser
	x.Services[0].Replicas = 2
	err := Check(x)
	if pith.ExitCode(err) != 2 {
		t.Fatalf("exit code %d: %v", pith.ExitCode(err), err)
	}
	for _, words := range []string{"front: a VLAN is carried by another", "back is of driver user"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("no %q in:\n%v", words, err)
		}
	}
}

// TestFolderMounts: a folder of the host's goes to a machine of any kind, as it is.
func TestFolderMounts(t *testing.T) {
	x := topology()
	want := pith.Mount{Source: "/srv", Target: "/srv", ReadOnly: true}
	x.Services[0].Mounts = []pith.Mount{want}
	x.Services[0].Kind = pith.Process
	if err := Check(x); err != nil {
		t.Error(err)
	}
	if got := resolve(t, x).Instances[0].Spec.Mounts; len(got) != 1 || got[0] != want {
		t.Errorf("%+v", got)
	}
}

// TestVLANs: a VLAN's host address leaves room for the router's, which has its card in
// the network that carries it.
func TestVLANs(t *testing.T) {
	x := topology()
	x.Networks[0].Parent, x.Networks[0].VLAN = "trunk", 10
	x.Networks = append(x.Networks, pith.Network{Name: "trunk", Kind: pith.NetworkBridge})
	x.Services = append(x.Services, pith.Service{Name: "router", Kind: pith.Container, CPUs: 1, Replicas: 1, Forward: true,
		Links: []pith.ServiceLink{{Network: "trunk", Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.4/29")}}}})
	x.Services[1].Links[0].Addrs[0] = netip.MustParsePrefix("10.0.0.2/29")
	x.Services[2].Links[0].Addrs[0] = netip.MustParsePrefix("10.0.0.6/29")
	if err := Check(x); err != nil {
		t.Error(err)
	}
	w := resolve(t, x)
	if got := fmt.Sprint(w.Networks[0].Gateway); got != "[10.0.0.5]" {
		t.Errorf("the host is %s", got)
	}
	router := w.Instances[3]
	if network, ok := LabNetwork(router.Spec.Links[0]); !ok || network != "trunk" || !router.Spec.Forward || router.Address.String() != "10.0.0.6" {
		t.Errorf("the router is %+v", router)
	}
}
