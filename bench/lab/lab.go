package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// The lab's network: the loads are at host, machines behind it.
var (
	subnet = netip.MustParsePrefix("10.0.0.0/24")
	host   = netip.MustParseAddr("10.0.0.1")
)

const bridge = "pithlab0"

// Device is the lab's own interface: what goes out there reaches the machines.
const Device = bridge

// hostMAC is the bridge's. Without one of its own it would take a machine's, and
// another one when that machine goes, and forget all neighbours each time.
const hostMAC = "52:54:00:12:34:01"

// Place is where one machine is in the network: a card and its address.
type Place struct {
	Link    string       // a tap device; for the native reference a veth; "" is whoever joins the bridge
	Bridge  string       // the lab's
	MAC     string       // for the machine's card
	Addr    netip.Prefix // for the machine's card
	Gateway netip.Addr   // where the loads are
}

// Lab is the network. Its methods may be called from several goroutines.
type Lab struct {
	mu   sync.Mutex
	last uint8          // the last octet that was given
	used map[uint8]bool // last octets of places that are there
}

// Places is how many places a lab has room for.
const Places = 253

// Open makes the bridge. The process must be inside a lab (see Enter). Close
// takes it away again.
func Open(ctx context.Context) (*Lab, error) {
	if !Inside() {
		return nil, errors.New("lab: this process is in the host's own network namespace")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return nil, fmt.Errorf("lab: no tap devices: %w (modprobe tun)", err)
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, fmt.Errorf("lab: %w (Debian and Ubuntu: apt-get install iproute2)", err)
	}
	err := ip(ctx,
		"link set lo up",
		"link add "+bridge+" address "+hostMAC+" type bridge",
		"addr add "+netip.PrefixFrom(host, subnet.Bits()).String()+" dev "+bridge,
		"link set "+bridge+" up")
	if err != nil {
		return nil, err
	}
	return &Lab{last: 1, used: map[uint8]bool{}}, nil
}

// Close removes the bridge. Places that are still there stay, cut off.
func (l *Lab) Close(ctx context.Context) error { return ip(ctx, "link del "+bridge) }

// Tap makes a tap device on the bridge. queue is how many frames wait in it for
// the machine; 0 leaves the kernel's default.
func (l *Lab) Tap(ctx context.Context, queue int) (Place, error) {
	p, err := l.place("tap")
	if err != nil {
		return p, err
	}
	commands := []string{
		"tuntap add " + p.Link + " mode tap",
		"link set " + p.Link + " master " + bridge,
	}
	if queue > 0 {
		commands = append(commands, fmt.Sprintf("link set %s txqueuelen %d", p.Link, queue))
	}
	if err := ip(ctx, append(commands, "link set "+p.Link+" up", neighbour(p))...); err != nil {
		l.free(p)
		return p, err
	}
	return p, nil
}

// Veth makes a pair of devices: one end on the bridge, the other in the network
// namespace of process pid, where it is configured as Place says.
func (l *Lab) Veth(ctx context.Context, pid int) (Place, error) {
	p, err := l.place("veth")
	if err != nil {
		return p, err
	}
	peer := p.Link + "p"
	err = ip(ctx,
		fmt.Sprintf("link add %s type veth peer name %s address %s netns %d", p.Link, peer, p.MAC, pid),
		"link set "+p.Link+" master "+bridge,
		"link set "+p.Link+" up",
		neighbour(p))
	if err != nil {
		l.free(p)
		return p, err
	}
	return p, within(ctx, pid,
		"link set lo up",
		"addr add "+p.Addr.String()+" dev "+peer,
		"link set "+peer+" up")
}

// Reserve gives an address to a machine that joins the bridge by itself.
func (l *Lab) Reserve(ctx context.Context) (Place, error) {
	p, err := l.place("")
	if err != nil {
		return p, err
	}
	p.Link = ""
	if err := ip(ctx, neighbour(p)); err != nil {
		l.free(p)
		return p, err
	}
	return p, nil
}

// Remove takes a place out of the network.
func (l *Lab) Remove(ctx context.Context, p Place) error {
	commands := []string{"neigh del " + p.Addr.Addr().String() + " dev " + bridge}
	if p.Link != "" {
		commands = append(commands, "link del "+p.Link)
	}
	err := ip(ctx, commands...)
	l.free(p)
	return err
}

// free gives a place's address back.
func (l *Lab) free(p Place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.used, p.Addr.Addr().As4()[3])
}

// HardwareAddr is the hardware address of a place that has an address of the
// lab's.
func (l *Lab) HardwareAddr(addr netip.Addr) (net.HardwareAddr, error) {
	return net.ParseMAC(mac(addr.As4()[3]))
}

// Queue sets how many frames wait in a place's tap device for the machine.
func (l *Lab) Queue(ctx context.Context, p Place, frames int) error {
	return ip(ctx, fmt.Sprintf("link set %s txqueuelen %d", p.Link, frames))
}

// place is the next free one. An address that was just given back is taken last,
// so that what is still on its way to it meets nobody.
func (l *Lab) place(kind string) (Place, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.used) == Places {
		return Place{}, fmt.Errorf("lab: no more than %d machines have room in it", Places)
	}
	for {
		l.last++
		if l.last == 255 {
			l.last = 2
		}
		if !l.used[l.last] {
			break
		}
	}
	l.used[l.last] = true
	b := host.As4()
	b[3] = l.last
	return Place{
		Link:    fmt.Sprintf("pith%s%d", kind, l.last),
		Bridge:  bridge,
		MAC:     mac(l.last),
		Addr:    netip.PrefixFrom(netip.AddrFrom4(b), subnet.Bits()),
		Gateway: host,
	}, nil
}

// mac is the hardware address that goes with an address's last octet.
func mac(last uint8) string { return fmt.Sprintf("52:54:00:12:34:%02x", last) }

// neighbour tells the loads' side the machine's hardware address: asking for it
// before the machine is up would cost a second's pause (the ARP retry).
func neighbour(p Place) string {
	return fmt.Sprintf("neigh replace %s lladdr %s dev %s nud permanent", p.Addr.Addr(), p.MAC, bridge)
}

// IP runs commands of ip(8) in the lab.
func IP(ctx context.Context, commands ...string) error { return ip(ctx, commands...) }

// Within runs commands of ip(8) in the network namespace of process pid.
func Within(ctx context.Context, pid int, commands ...string) error {
	return within(ctx, pid, commands...)
}

// ip runs commands of ip(8) in this namespace.
func ip(ctx context.Context, commands ...string) error {
	return run(exec.CommandContext(ctx, "ip", "-batch", "-"), commands)
}

// within runs commands of ip(8) in the network namespace of process pid.
func within(ctx context.Context, pid int, commands ...string) error {
	enter := fmt.Sprintf("--net=/proc/%d/ns/net", pid)
	return run(exec.CommandContext(ctx, "nsenter", enter, "ip", "-batch", "-"), commands)
}

func run(cmd *exec.Cmd, commands []string) error {
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("lab: %s: %w: %s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}
