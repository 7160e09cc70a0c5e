package deploy

import (
	"errors"

	"pith"
)

// Check refuses what a topology may say and a deployment can't do yet. It lists all
// of it.
func Check(t pith.Topology) error {
	var all []error
	say := func(format string, args ...any) { all = append(all, pith.Errorf(format, args...)) }
	kinds, members := map[string]pith.Network{}, map[string]int{}
	for _, n := range t.Networks {
		kinds[n.Name] = n
		if n.VLAN != 0 && n.Parent == "" {
			say("network %s: a VLAN is carried by another network of the deployment: write parent: NAME, or leave vlan out", n.Name)
		}
	}
	for _, s := range t.Services {
		var lab, host int
		for _, l := range s.Links {
			if n := kinds[l.Network]; ownBridge(n) {
				lab++
			} else if host++; n.Kind == pith.NetworkUser {
				members[n.Name] += max(s.Replicas, 1)
			}
		}
		if lab > 0 && host > 0 {
			say("%s is in a network of the deployment and in one of the host or of driver user: a machine can't be in both yet", s.Name)
		}
	}
	for _, n := range t.Networks {
		if members[n.Name] > 1 {
			say("network %s is of driver user, where each machine is alone: %d machines reach one another on one of driver bridge, which takes root", n.Name, members[n.Name])
		}
	}
	return errors.Join(all...)
}

// ownBridge tells whether a network is a bridge that the deployment makes.
func ownBridge(n pith.Network) bool { return n.Kind == pith.NetworkBridge && n.Bridge == "" }
