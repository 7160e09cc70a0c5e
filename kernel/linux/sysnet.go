package linux

import (
	"strconv"

	"pith/kernel/fs"
	"pith/kernel/socket"
)

// netDirectory is /sys/class/net: a directory for each interface.
type netDirectory struct{ t *fs.Tree }

func sysClassNet(t *fs.Tree) *fs.Node { return t.NewDirectory(netDirectory{t}) }

func (d netDirectory) List() (names []string) {
	for _, i := range interfaces() {
		names = append(names, i.Name)
	}
	return names
}

func (d netDirectory) Lookup(name string) *fs.Node {
	for _, i := range interfaces() {
		if i.Name == name {
			return d.t.NewDirectory(interfaceDirectory{d.t, i})
		}
	}
	return nil
}

// interfaceDirectory is one of them.
type interfaceDirectory struct {
	t *fs.Tree
	i socket.Interface
}

// attribute is one file in it.
type attribute struct {
	name  string
	value func(i socket.Interface) string
}

var interfaceAttributes = []attribute{
	{"addr_len", func(socket.Interface) string { return "6" }},
	{"address", func(i socket.Interface) string { return hardwareAddress(i.HardwareAddr) }},
	{"broadcast", broadcastAddress},
	{"carrier", func(socket.Interface) string { return "1" }},
	{"dormant", func(socket.Interface) string { return "0" }},
	{"flags", func(i socket.Interface) string { return "0x" + strconv.FormatUint(uint64(deviceFlags(i)), 16) }},
	{"ifindex", func(i socket.Interface) string { return strconv.Itoa(i.Index) }},
	{"iflink", func(i socket.Interface) string { return strconv.Itoa(i.Index) }},
	{"link_mode", func(socket.Interface) string { return "0" }},
	{"mtu", func(i socket.Interface) string { return strconv.Itoa(i.MTU) }},
	{"operstate", operationalState},
	{"tx_queue_len", func(socket.Interface) string { return "1000" }},
	{"type", func(i socket.Interface) string { return strconv.Itoa(int(hardwareType(i))) }},
}

func hardwareAddress(a [6]byte) string {
	var p prose
	for n, b := range a {
		if n > 0 {
			p.add(":")
		}
		p.hex(b)
	}
	return string(p)
}

func broadcastAddress(i socket.Interface) string {
	if i.Loopback {
		return hardwareAddress([6]byte{})
	}
	return hardwareAddress([6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
}

func operationalState(i socket.Interface) string {
	switch {
	case i.Loopback:
		return "unknown"
	case i.Up:
		return "up"
	}
	return "down"
}

// deviceFlags leaves out the flags that only netlink tells of.
func deviceFlags(i socket.Interface) uint32 {
	const running = 0x40 // IFF_RUNNING
	return interfaceFlags(i) &^ (running | iffLowerUp)
}

func (d interfaceDirectory) List() []string {
	names := []string{"statistics"}
	for _, a := range interfaceAttributes {
		names = append(names, a.name)
	}
	return names
}

func (d interfaceDirectory) Lookup(name string) *fs.Node {
	if name == "statistics" {
		return d.t.NewDirectory(statisticsDirectory(d))
	}
	for _, a := range interfaceAttributes {
		if a.name == name {
			return d.t.NewFile(0o444, func() []byte { return []byte(a.value(d.i) + "\n") })
		}
	}
	return nil
}

// statisticsDirectory is its counters.
type statisticsDirectory interfaceDirectory

var statistics = []struct {
	name  string
	value func(t Traffic) uint64
}{
	{"collisions", nothing}, {"multicast", nothing},
	{"rx_bytes", func(t Traffic) uint64 { return t.RxBytes }},
	{"rx_compressed", nothing}, {"rx_crc_errors", nothing},
	{"rx_dropped", func(t Traffic) uint64 { return t.RxDropped }},
	{"rx_errors", nothing},
	{"rx_fifo_errors", nothing}, {"rx_frame_errors", nothing}, {"rx_length_errors", nothing},
	{"rx_missed_errors", nothing}, {"rx_nohandler", nothing}, {"rx_over_errors", nothing},
	{"rx_packets", func(t Traffic) uint64 { return t.RxPackets }},
	{"tx_aborted_errors", nothing},
	{"tx_bytes", func(t Traffic) uint64 { return t.TxBytes }},
	{"tx_carrier_errors", nothing}, {"tx_compressed", nothing},
	{"tx_dropped", func(t Traffic) uint64 { return t.TxDropped }},
	{"tx_errors", nothing},
	{"tx_fifo_errors", nothing}, {"tx_heartbeat_errors", nothing},
	{"tx_packets", func(t Traffic) uint64 { return t.TxPackets }},
	{"tx_window_errors", nothing},
}

// nothing counts what a virtual card can't have.
func nothing(Traffic) uint64 { return 0 }

func (d statisticsDirectory) List() (names []string) {
	for _, s := range statistics {
		names = append(names, s.name)
	}
	return names
}

func (d statisticsDirectory) Lookup(name string) *fs.Node {
	for _, s := range statistics {
		if s.name == name {
			return d.t.NewFile(0o444, func() []byte {
				var p prose
				return *p.number(s.value(trafficOf(d.i.Name))).add("\n")
			})
		}
	}
	return nil
}
