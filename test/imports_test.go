package test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// floors are the kernel's packages from the ground up: each may import only
// those before it. Packages of the same floor stand in one line.
var floors = []string{
	"abi", "ext4", "kernel/cpu", "kernel/diag", "kernel/mm", "kernel/apic", "kernel/acpi", "kernel/clock", "kernel/sched",
	"kernel/poll", "kernel/trap", "kernel/rt", "kernel/boot",
	"kernel/socket", "kernel/link", "kernel/virtio", "kernel/virtio/mmio", "kernel/virtio/pci", "kernel/virtio/net",
	"kernel/virtio/blk", "kernel/virtio/rng", "kernel/virtio/console", "kernel/console", "kernel/fs", "kernel/volume",
	"kernel/virtio/p9", "kernel/ninep", "kernel/linux", "kernel/inet",
	"kernel/netstack/log", "kernel/netstack/dhcp", "kernel/netstack", "kernel/profile", "kernel/agent", "kernel",
}

// never says what must not be imported, and why.
var never = []struct{ from, what, why string }{
	{"kernel", "os", "the kernel stands below package os"},
	{"kernel", "fmt", "it brings package os"},
	{"kernel", "net", "it brings package os"},
	{"ext4", "os", "the kernel stands below package os"},
	{"ext4", "fmt", "it brings package os"},
	{"kernel/linux", "pith/kernel/inet", "a stack is known by its interface only"},
	{"kernel/inet", "pith/kernel/virtio", "a card is known by its interface only"},
	{"image", "pith/kernel", "the outside knows the inside by package abi only"},
	{"image", "pith/machine", "siblings do not know one another"},
	{"cache", "pith/image", "those that keep something there know the cache, not it them"},
	{"cache", "pith/machine", "those that keep something there know the cache, not it them"},
	{"machine/qemu", "pith/kernel", "the outside knows the inside by package abi only"},
	{"machine/qemu", "pith/image", "siblings do not know one another"},
	{"deploy", "pith/image", "what it needs of the builder it is given"},
	{"deploy", "pith/network", "what it needs of networks it is given"},
	{"deploy", "pith/machine/qemu", "what it needs of drivers it is given"},
	{"bench/load", "pith/kernel", "the outside knows the inside by package abi only"},
}

type listed struct {
	ImportPath    string
	Imports, Deps []string
}

func list(t *testing.T) map[string]listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Deps", "pith/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]listed{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

func TestArrowsPointDown(t *testing.T) {
	all := list(t)
	height := map[string]int{}
	for i, name := range floors {
		height["pith/"+name] = i
	}
	for name := range height {
		p, ok := all[name]
		if !ok {
			t.Errorf("%s is not there", name)
		}
		for _, imported := range p.Imports {
			if !strings.HasPrefix(imported, "pith/") {
				continue
			}
			h, known := height[imported]
			if !known {
				t.Errorf("%s imports %s, which is no floor of the kernel", name, imported)
			} else if h >= height[name] {
				t.Errorf("%s imports %s, which stands above it", name, imported)
			}
		}
	}
}

func TestWhatMustNotBeImported(t *testing.T) {
	all := list(t)
	for _, rule := range never {
		for _, d := range all["pith/"+rule.from].Deps {
			if d == rule.what {
				t.Errorf("%s imports %s: %s", rule.from, rule.what, rule.why)
			}
		}
	}
}

// forwards tells whether a folder of services is of those that forward packets:
// the firewall is a router with rules, and both share what reads packets.
func forwards(name string) bool {
	return slices.Contains([]string{"packet", "conntrack", "router", "firewall"}, name)
}

// TestServicesAreOrdinaryPrograms: they know nothing of Pith, so that they run on
// any system.
func TestServicesAreOrdinaryPrograms(t *testing.T) {
	n := 0
	for path, p := range list(t) {
		rest, ok := strings.CutPrefix(path, "pith/service/")
		if !ok {
			continue
		}
		n++
		name, _, _ := strings.Cut(rest, "/")
		for _, d := range p.Deps {
			other, isService := strings.CutPrefix(d, "pith/service/")
			other, _, _ = strings.Cut(other, "/")
			switch {
			case d != "pith" && !strings.HasPrefix(d, "pith/"):
			case isService && (other == name || forwards(name) && forwards(other)):
			default:
				t.Errorf("%s imports %s", path, d)
			}
		}
	}
	if n == 0 {
		t.Error("there are no services")
	}
}
