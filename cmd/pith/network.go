package main

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"pith"
	"pith/machine"
	"pith/network"
)

// networkFlags describe a machine's cards: one for each --net, whose options
// stand behind its network, or in the other flags where there is only one.
type networkFlags struct {
	nets    []string
	options cardOptions
}

// cardOptions are one card's configuration, as it was written.
type cardOptions struct {
	addrs, gateways, dns, routes []string
	queues                       string
}

func (o cardOptions) empty() bool {
	return len(o.addrs)+len(o.gateways)+len(o.dns)+len(o.routes) == 0 && o.queues == ""
}

func (f *networkFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.nets, "net", []string{string(network.User)}, "a card's network: user, tap:NAME, bridge:NAME or none; options may follow it, as in tap:in,addr=10.0.0.1/24,route=10.1.0.0/16@10.0.0.9")
	flags.StringArrayVar(&f.options.addrs, "addr", nil, "the card's address on a tap or bridge, as in 192.168.1.5/24 (default: DHCP and SLAAC)")
	flags.StringArrayVar(&f.options.gateways, "gateway", nil, "the way out from a tap or bridge")
	flags.StringArrayVar(&f.options.dns, "dns", nil, "the DNS server")
	flags.StringArrayVar(&f.options.routes, "route", nil, "a further route: DESTINATION@GATEWAY, as in 10.1.0.0/16@10.0.0.9")
}

// noNetwork is the value of --net for a machine without a card.
const noNetwork = "none"

// links describes the machine's network cards.
func (f *networkFlags) links(s machine.Spec) ([]pith.Link, error) {
	if len(f.nets) == 1 && f.nets[0] == noNetwork {
		if !f.options.empty() || len(s.Ports) > 0 {
			return nil, pith.Errorf("--net none has no card to publish ports or set addresses of")
		}
		return nil, nil
	}
	if len(f.nets) > 1 && !f.options.empty() {
		return nil, pith.Errorf("with several --net, --addr and its like are options of each: --net %s,addr=...", f.nets[0])
	}
	var links []pith.Link
	users := 0
	for i, text := range f.nets {
		mode, options, err := parseNet(text, f.options)
		if err != nil {
			return nil, err
		}
		link, err := newLink(s.Kind, mode, options, machine.MAC(s.Name, i))
		if err != nil {
			return nil, err
		}
		if mode.Kind == network.User {
			users++
		}
		links = append(links, link)
	}
	if len(s.Ports) > 0 && users == 0 {
		return nil, pith.Errorf("-p is for the user network: on %s the machine's own address is reachable", links[0].Network)
	}
	if users > 1 {
		return nil, pith.Errorf("one user network is enough: each is the same way out")
	}
	return links, nil
}

// parseNet splits a --net into its network and options, which are added to
// those of the flags.
func parseNet(text string, o cardOptions) (network.Mode, cardOptions, error) {
	words := strings.Split(text, ",")
	if words[0] == noNetwork {
		return network.Mode{}, o, pith.Errorf("--net none stands alone: it is a machine without a card")
	}
	mode, err := network.ParseMode(words[0])
	if err != nil {
		return mode, o, err
	}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "addr":
			o.addrs = append(o.addrs, value)
		case "gateway":
			o.gateways = append(o.gateways, value)
		case "dns":
			o.dns = append(o.dns, value)
		case "route":
			o.routes = append(o.routes, value)
		case "queues":
			o.queues = value
		default:
			return mode, o, pith.Errorf("--net %s: %q is no option of a card: use addr=, gateway=, dns=, route= or queues=", text, word)
		}
	}
	return mode, o, nil
}

// newLink is one card of a machine of a kind.
func newLink(kind string, mode network.Mode, o cardOptions, mac string) (pith.Link, error) {
	if mode.Kind == network.User {
		if !o.empty() {
			return pith.Link{}, pith.Errorf("--addr, --gateway, --dns, --route and queues= are for a tap or bridge: the user network has its own")
		}
		return userLink(kind, mac), nil
	}
	link := pith.Link{Network: mode.String(), MAC: mac}
	var err error
	if link.Addrs, err = parseAll(o.addrs, "--addr", "an address with its prefix length, as in 192.168.1.5/24", netip.ParsePrefix); err != nil {
		return link, err
	}
	if link.Gateway, err = parseAll(o.gateways, "--gateway", "an IP address", netip.ParseAddr); err != nil {
		return link, err
	}
	if link.DNS, err = parseAll(o.dns, "--dns", "an IP address", netip.ParseAddr); err != nil {
		return link, err
	}
	if link.Queues, err = parseQueues(kind, o.queues); err != nil {
		return link, err
	}
	link.Routes, err = parseAll(o.routes, "--route", "a route: write DESTINATION@GATEWAY, as in 10.1.0.0/16@10.0.0.9", parseRoute)
	return link, err
}

// parseQueues reads a card's count of queue pairs.
func parseQueues(kind, text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n < 1 || n > network.MaxQueues:
		return 0, pith.Errorf("queues=%s is not a count of queue pairs from 1 to %d", text, network.MaxQueues)
	case machine.Hosted(kind) && n > 1:
		return 0, pith.Errorf("queues=%d is for unikernels: a machine of kind %s has one queue pair", n, kind)
	}
	return n, nil
}

// parseRoute reads DESTINATION@GATEWAY.
func parseRoute(s string) (pith.Route, error) {
	to, via, _ := strings.Cut(s, "@")
	destination, err := netip.ParsePrefix(to)
	if err != nil {
		return pith.Route{}, err
	}
	gateway, err := netip.ParseAddr(via)
	if err == nil && gateway.Is4() != destination.Addr().Is4() {
		err = pith.Errorf("%s and %s are of different families", to, via)
	}
	return pith.Route{To: destination.Masked(), Via: gateway}, err
}

func parseAll[T any](texts []string, flag, want string, parse func(string) (T, error)) ([]T, error) {
	var all []T
	for _, text := range texts {
		v, err := parse(text)
		if err != nil {
			return nil, pith.Errorf("%s %s is not %s", flag, text, want)
		}
		all = append(all, v)
	}
	return all, nil
}
