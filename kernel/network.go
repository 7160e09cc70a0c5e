package kernel

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"pith/kernel/link"
	"pith/kernel/linux"
	"pith/kernel/rt"
	"pith/kernel/sched"
	"pith/kernel/socket"
	"pith/kernel/virtio"
	"pith/kernel/virtio/net"
)

// startNetwork starts the stack that was linked in, and its cards.
func (m *machine) startNetwork() {
	link.WhenRegistered(func(factory link.Factory) {
		total, _ := rt.Memory()
		network, err := factory(link.Options{
			Random:   m.entropy.fill,
			Memory:   int(total / 4),
			Hostname: m.hostname,
		})
		if err != nil {
			complain("the network does not start: " + err.Error())
			return
		}
		m.network = network
		linux.SetStack(network)
		m.attachCards()
	})
}

// attachCards opens each network card and gives it to the stack, configured
// by the record with its address, or by the next one without an address.
func (m *machine) attachCards() {
	m.eachOf(virtio.TypeNet, func(t virtio.Transport) error {
		d, err := net.New(t, memory{}, net.Options{Queues: sched.Threads.CPUs(), Buffers: buffers(), Report: report})
		if err == nil {
			m.cards = append(m.cards, d)
		}
		return err
	})
	configs := m.cardConfigs()
	for i, d := range m.cards {
		conf := takeConfig(&configs, d.HardwareAddr())
		name := cardName(i)
		if err := m.network.Attach(name, offerCard(name, d), conf); err != nil {
			complain("network card " + strconv.Itoa(i) + ": " + err.Error())
		}
	}
}

// buffers is how many packets a card may hold: an eighth of the memory.
func buffers() int {
	total, _ := rt.Memory()
	return int(min(4096, total/8/link.BufferSize))
}

// cardConfig is one RecordNet.
type cardConfig struct {
	mac    [6]byte
	hasMAC bool
	conf   socket.InterfaceConfig
}

func (m *machine) cardConfigs() []cardConfig {
	var list []cardConfig
	for _, text := range m.networks {
		c, err := parseNet(text)
		if err != nil {
			complain("network configuration: " + err.Error())
			continue
		}
		list = append(list, c)
	}
	return list
}

// takeConfig removes and returns the configuration for a card. One that none
// is given for asks DHCP and listens to routers.
func takeConfig(list *[]cardConfig, mac [6]byte) socket.InterfaceConfig {
	chosen := -1
	for i, c := range *list {
		if c.hasMAC && c.mac == mac {
			chosen = i
			break
		}
		if !c.hasMAC && chosen < 0 {
			chosen = i
		}
	}
	if chosen < 0 {
		return socket.InterfaceConfig{DHCP: true, SLAAC: true}
	}
	c := (*list)[chosen]
	*list = append((*list)[:chosen], (*list)[chosen+1:]...)
	return c.conf
}

// parseNet reads a RecordNet's text; see package abi.
func parseNet(text string) (c cardConfig, err error) {
	for _, word := range strings.Fields(text) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "mac":
			c.mac, err = parseMAC(value)
			c.hasMAC = true
		case "addr":
			var p netip.Prefix
			p, err = netip.ParsePrefix(value)
			c.conf.Addrs = append(c.conf.Addrs, p)
		case "gw":
			var a netip.Addr
			a, err = netip.ParseAddr(value)
			c.conf.Gateways = append(c.conf.Gateways, a)
		case "dns":
			var a netip.Addr
			a, err = netip.ParseAddr(value)
			c.conf.Nameservers = append(c.conf.Nameservers, a)
		case "route":
			var r socket.Route
			r, err = parseRoute(value)
			c.conf.Routes = append(c.conf.Routes, r)
		case "dhcp":
			c.conf.DHCP = true
		case "slaac":
			c.conf.SLAAC = true
		default:
			err = errors.New("unknown key")
		}
		if err != nil {
			return c, errors.New(word + ": " + err.Error())
		}
	}
	return c, nil
}

// parseRoute reads destination,gateway.
func parseRoute(s string) (r socket.Route, err error) {
	destination, gateway, _ := strings.Cut(s, ",")
	if r.Destination, err = netip.ParsePrefix(destination); err != nil {
		return r, err
	}
	if gateway != "" {
		r.Gateway, err = netip.ParseAddr(gateway)
	}
	return r, err
}

func parseMAC(s string) (mac [6]byte, err error) {
	parts := strings.Split(s, ":")
	if len(parts) != len(mac) {
		return mac, errors.New("not six bytes in hexadecimal")
	}
	for i, p := range parts {
		b, err := strconv.ParseUint(p, 16, 8)
		if err != nil {
			return mac, err
		}
		mac[i] = byte(b)
	}
	return mac, nil
}
