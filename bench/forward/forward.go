// Package forward measures what stands between two networks: Pith's router or
// firewall, a Linux guest, or the host's own kernel in a network namespace, the
// latter two with nftables. Packets go in on the left and are counted, or timed,
// as they come out on the right.
//
// It relies on QEMU, on ip and nft of the host, whose files the Linux guest gets, and
// on packet(7). It must not measure outside a lab (see package lab), and must not
// overload what it measures: few packets are under way at a time.
package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"pith/bench/lab"
)

// Services that forward.
const (
	Router   = "router"   // everything
	Firewall = "firewall" // what its rules accept
)

// Services are all of them.
var Services = []string{Router, Firewall}

// rules are the firewall's, wherever it runs; interfaces have the same names.
const rules = `table inet filter {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		ct state invalid drop
		iifname "eth0" udp dport 9 accept
	}
}
`

// config is that of Pith's router and firewall.
const config = `interfaces:
  - {name: eth0, addresses: [10.1.0.1/24]}
  - {name: eth1, addresses: [10.2.0.1/24]}
`

// side is one of the two networks, with the sender's or the receiver's interface.
type side struct {
	link  string       // in the lab
	peer  string       // within what forwards
	host  netip.Prefix // the address of link
	inner netip.Prefix // of what forwards
	mac   string       // of what forwards
}

var (
	left = side{"pithleft", "eth0", netip.MustParsePrefix("10.1.0.2/24"), netip.MustParsePrefix("10.1.0.1/24"), "52:54:00:12:36:01"}
	// The Linux guest's second card has the address that package linuxvm gives.
	right = side{"pithright", "eth1", netip.MustParsePrefix("10.2.0.2/24"), netip.MustParsePrefix("10.2.0.1/24"), "52:54:00:12:35:01"}
)

// queue is how many frames wait in an interface: the kernel's own default.
const queue = 1000

// Shape is the size of a machine.
type Shape struct {
	CPUs   int
	Memory int64 // bytes
}

// Path is a way through something that forwards.
type Path struct {
	Accelerator, CPU string // of the machine; "none" and "host" without one

	console *console
	done    <-chan struct{} // closed when it has ended
	stop    func() error
}

// Done is closed when what forwards has ended.
func (p *Path) Done() <-chan struct{} { return p.done }

// Said is what it printed, for an error.
func (p *Path) Said() string {
	if text := p.console.String(); text != "" {
		return "\nIt said:\n" + text
	}
	return ""
}

// Stop ends it and takes its interfaces away.
func (p *Path) Stop(ctx context.Context) error {
	return errors.Join(p.stop(), removeLinks(ctx))
}

// addTaps makes a tap device on either side.
func addTaps(ctx context.Context) error {
	for _, s := range []side{left, right} {
		if err := ip(ctx, "tuntap add "+s.link+" mode tap"); err != nil {
			return err
		}
		if err := s.up(ctx); err != nil {
			return err
		}
	}
	return nil
}

// up configures the lab's end.
func (s side) up(ctx context.Context) error {
	// The host must not take part: no IPv6 of its own.
	file := "/proc/sys/net/ipv6/conf/" + s.link + "/disable_ipv6"
	if err := os.WriteFile(file, []byte("1"), 0o644); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return ip(ctx,
		"addr add "+s.host.String()+" dev "+s.link,
		fmt.Sprintf("link set %s txqueuelen %d up", s.link, queue))
}

// removeLinks takes away what is there of the interfaces. Those of a namespace go
// with it, at a time of the kernel's choice.
func removeLinks(ctx context.Context) error {
	var errs []error
	for _, s := range []side{left, right} {
		if !s.exists() {
			continue
		}
		if err := ip(ctx, "link del "+s.link); err != nil && s.exists() {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s side) exists() bool {
	_, err := net.InterfaceByName(s.link)
	return err == nil
}

func ip(ctx context.Context, commands ...string) error { return lab.IP(ctx, commands...) }

// needNFT says how to get nft where it isn't there.
func needNFT() error {
	if _, err := exec.LookPath("nft"); err != nil {
		return fmt.Errorf("forward: %w (Debian and Ubuntu: apt-get install nftables)", err)
	}
	return nil
}

// withRules is a configuration of Pith's service: the router has none.
func withRules(service string) string {
	if service == Firewall {
		return config + "rules: rules.nft\n"
	}
	return config
}

// run runs a command and shows what it said if it fails.
func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("forward: %s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
