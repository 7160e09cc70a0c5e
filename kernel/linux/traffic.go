package linux

// Traffic is what has gone through a network card since it was opened.
type Traffic struct {
	RxPackets, RxBytes, RxDropped uint64
	TxPackets, TxBytes, TxDropped uint64
}

// trafficOf returns an interface's counters; zeros for one that nobody counts, as the
// loopback interface is.
func trafficOf(name string) Traffic {
	if config.Traffic == nil {
		return Traffic{}
	}
	return config.Traffic(name)
}

// procNetDev is /proc/net/dev.
func procNetDev() []byte {
	var p prose
	p.add("Inter-|   Receive                                                |  Transmit\n")
	p.add(" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n")
	for _, i := range interfaces() {
		t := trafficOf(i.Name)
		p.add(i.Name).add(": ").number(t.RxBytes).add(" ").number(t.RxPackets).add(" 0 ").number(t.RxDropped).add(" 0 0 0 0 ")
		p.number(t.TxBytes).add(" ").number(t.TxPackets).add(" 0 ").number(t.TxDropped).add(" 0 0 0 0\n")
	}
	return p
}

// linkStats is struct rtnl_link_stats64 (Linux, include/uapi/linux/if_link.h).
func (t Traffic) linkStats() []byte {
	const fields = 25
	b := make([]byte, 8*fields)
	for i, n := range []uint64{t.RxPackets, t.TxPackets, t.RxBytes, t.TxBytes, 0, 0, t.RxDropped, t.TxDropped} {
		store64(b[8*i:], n)
	}
	return b
}
