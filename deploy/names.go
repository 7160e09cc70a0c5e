package deploy

import (
	"net/netip"
	"slices"
	"strings"
)

// hostName is the host's own name in a deployment's networks.
const hostName = "pith.internal"

// namesOf are the addresses of each service as an asker sees them: those in the
// networks that it is in, too. Instances that do their work come alone; where none of
// a service does, all of them come, as they may soon.
func namesOf(w *Wanted, states map[string]InstanceState, asker netip.Addr, network string) map[string][]netip.Addr {
	networks := networksOf(w, asker, network)
	names, all := map[string][]netip.Addr{}, map[string][]netip.Addr{}
	for _, i := range w.Instances {
		addrs := addressesOf(i, networks)
		all[i.Service] = append(all[i.Service], addrs...)
		if works(states[i.Name()].Status) {
			names[i.Service] = append(names[i.Service], addrs...)
		}
	}
	for service, addrs := range all {
		if len(names[service]) == 0 && len(addrs) > 0 {
			names[service] = addrs
		}
	}
	return names
}

// works tells whether an instance is one to send clients to.
func works(s Status) bool { return s == Healthy || s == Running }

// networksOf are the networks of whoever has an address; of a stranger, that where
// it was met.
func networksOf(w *Wanted, asker netip.Addr, met string) []string {
	for _, i := range w.Instances {
		var networks []string
		found := false
		for _, l := range i.Spec.Links {
			if name, ok := LabNetwork(l); ok {
				networks = append(networks, name)
			}
			for _, a := range l.Addrs {
				found = found || a.Addr() == asker
			}
		}
		if found && slices.Contains(networks, met) {
			return networks
		}
	}
	return []string{met}
}

// addressesOf are an instance's addresses in some networks.
func addressesOf(i Instance, networks []string) (all []netip.Addr) {
	for _, l := range i.Spec.Links {
		if name, ok := LabNetwork(l); !ok || !slices.Contains(networks, name) {
			continue
		}
		for _, a := range l.Addrs {
			all = append(all, a.Addr())
		}
	}
	return all
}

// lookUp are the addresses that a name has for an asker: a service's, an instance's
// or the host's. known is false for a name of nobody's.
func lookUp(w *Wanted, states map[string]InstanceState, name string, asker netip.Addr, network string) (addrs []netip.Addr, known bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == hostName {
		return hostIn(w, network), true
	}
	if i := w.Instance(name); i != nil {
		addrs = addressesOf(*i, networksOf(w, asker, network))
		return addrs, len(addrs) > 0
	}
	addrs = namesOf(w, states, asker, network)[name]
	return addrs, len(addrs) > 0
}

// nameOf is the instance that has an address; "" where none has.
func nameOf(w *Wanted, a netip.Addr) string {
	for _, i := range w.Instances {
		for _, l := range i.Spec.Links {
			if slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr() == a }) {
				return i.Name()
			}
		}
	}
	return ""
}

// hostIn are the host's addresses in a network.
func hostIn(w *Wanted, network string) []netip.Addr {
	for _, n := range own(w.Networks) {
		if n.Name == network {
			return n.Gateway
		}
	}
	return nil
}
