package router

import (
	"github.com/prometheus/client_golang/prometheus"
)

var (
	packetsDesc  = prometheus.NewDesc("router_interface_packets_total", "Packets of an interface.", []string{"interface", "direction"}, nil)
	bytesDesc    = prometheus.NewDesc("router_interface_bytes_total", "Bytes of an interface, Ethernet headers included.", []string{"interface", "direction"}, nil)
	dropsDesc    = prometheus.NewDesc("router_dropped_total", "Packets that were dropped, by reason.", []string{"reason"}, nil)
	routesDesc   = prometheus.NewDesc("router_route_info", "The route table: 1 for each route.", []string{"to", "via", "interface"}, nil)
	conns        = prometheus.NewDesc("router_connections", "Connections that are tracked.", nil, nil)
	connsFull    = prometheus.NewDesc("router_connections_refused_total", "Connections refused because the table was full.", nil, nil)
	connsEvicted = prometheus.NewDesc("router_connections_evicted_total", "Unanswered or ended connections that made place for others in a full table.", nil, nil)
	rulesDesc    = prometheus.NewDesc("router_rule_packets_total", "Packets that a counter statement has counted.", []string{"table", "chain", "position", "rule"}, nil)
	ruleBytes    = prometheus.NewDesc("router_rule_bytes_total", "Bytes that a counter statement has counted.", []string{"table", "chain", "position", "rule"}, nil)
	leasesDesc   = prometheus.NewDesc("router_dhcp_leases", "Addresses that DHCP has given.", []string{"interface"}, nil)
	neighborDesc = prometheus.NewDesc("router_neighbours", "Stations that are known or asked for.", nil, nil)
)

// Describe implements prometheus.Collector.
func (r *Router) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{packetsDesc, bytesDesc, dropsDesc, routesDesc, conns, connsFull, connsEvicted, rulesDesc, ruleBytes, leasesDesc, neighborDesc} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (r *Router) Collect(c chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	for i := range r.drops {
		counter(dropsDesc, r.drops[i].Load(), reasonNames[i])
	}
	gauge(conns, r.conns.Len())
	counter(connsFull, r.conns.Full.Load())
	counter(connsEvicted, r.conns.Evicted.Load())
	gauge(neighborDesc, r.neighbors.count())
	s := r.state.Load()
	if s == nil {
		return
	}
	for _, f := range s.faces {
		counter(packetsDesc, f.RxPackets.Load(), f.Name, "in")
		counter(packetsDesc, f.TxPackets.Load(), f.Name, "out")
		counter(bytesDesc, f.RxBytes.Load(), f.Name, "in")
		counter(bytesDesc, f.TxBytes.Load(), f.Name, "out")
		if f.dhcp != nil {
			gauge(leasesDesc, f.dhcp.count(), f.Name)
		}
	}
	for _, way := range s.routes.all {
		via, face := "", "refused"
		if way.Gateway.IsValid() {
			via = way.Gateway.String()
		}
		if way.Face != nil {
			face = way.Face.Name
		}
		gauge(routesDesc, 1, way.Prefix.String(), via, face)
	}
	if s.rules == nil {
		return
	}
	for _, t := range s.rules.Tables {
		for _, chain := range t.Chains {
			for _, rule := range chain.Rules {
				if rule.Counter != nil {
					labels := []string{t.Family.String() + " " + t.Name, chain.Name, rule.Pos.String(), rule.Text}
					counter(rulesDesc, rule.Counter.Packets.Load(), labels...)
					counter(ruleBytes, rule.Counter.Bytes.Load(), labels...)
				}
			}
		}
	}
}

func (t *neighbors) count() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.all)
}

func (d *dhcpServer) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.leases)
}
