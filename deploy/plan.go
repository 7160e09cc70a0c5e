package deploy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"pith"
)

// Action is what a change does.
type Action string

// Actions.
const (
	Create  Action = "create"
	Replace Action = "replace" // stop a machine and start another
	Update  Action = "update"  // without a restart
	Start   Action = "start"   // what should run and doesn't
	Delete  Action = "delete"
)

// Change is one step between what there is and what is wanted.
type Change struct {
	Action Action `json:"action"`
	Kind   string `json:"kind"` // "network", "volume", "instance" or "keeper"
	Name   string `json:"name"`
	Detail string `json:"detail,omitempty"`
}

// Plan lists what leads from what was wanted (nil: nothing) to what is wanted
// now. Runs tells whether an instance is as it should be.
func Plan(from, to *Wanted, runs func(Instance) bool) []Change {
	var changes []Change
	add := func(a Action, kind, name, detail string) { changes = append(changes, Change{a, kind, name, detail}) }
	if from == nil {
		from = &Wanted{}
	}
	for _, n := range own(to.Networks) {
		old := slices.IndexFunc(own(from.Networks), func(o pith.Network) bool { return o.Name == n.Name })
		switch {
		case old < 0:
			add(Create, "network", n.Name, subnets(n))
		case !reflect.DeepEqual(own(from.Networks)[old], n):
			add(Update, "network", n.Name, subnets(n))
		}
	}
	for _, i := range to.Instances {
		old := from.Instance(i.Name())
		switch {
		case old == nil:
			add(Create, "instance", i.Name(), describe(i))
		case old.Spec.Revision != i.Spec.Revision:
			add(Replace, "instance", i.Name(), differences(*old, i))
		case !sameButSpec(*old, i):
			add(Update, "instance", i.Name(), "its checks, ports or policies")
		case !runs(i):
			add(Start, "instance", i.Name(), "it doesn't run")
		}
	}
	for _, i := range from.Instances {
		if to.Instance(i.Name()) == nil {
			add(Delete, "instance", i.Name(), "")
		}
	}
	for _, n := range own(from.Networks) {
		if !slices.ContainsFunc(own(to.Networks), func(o pith.Network) bool { return o.Name == n.Name }) {
			add(Delete, "network", n.Name, "")
		}
	}
	return changes
}

// own are the networks that the deployment makes.
func own(networks []pith.Network) []pith.Network {
	return slices.DeleteFunc(slices.Clone(networks), func(n pith.Network) bool { return !ownBridge(n) })
}

// sameButSpec compares what changes without a new machine.
func sameButSpec(a, b Instance) bool {
	a.Spec = b.Spec
	return asJSON(a) == asJSON(b)
}

func subnets(n pith.Network) string {
	var words []string
	for _, p := range n.Subnet {
		words = append(words, p.String())
	}
	if n.Parent != "" {
		words = append(words, fmt.Sprintf("VLAN %d of %s", n.VLAN, n.Parent))
	}
	return strings.Join(words, ", ")
}

func describe(i Instance) string {
	words := []string{i.Spec.What}
	for _, l := range i.Spec.Links {
		for _, a := range l.Addrs {
			words = append(words, a.Addr().String())
		}
	}
	return strings.Join(words, " ")
}

// String writes a change as a line: "+ network dmz (10.0.0.0/24)".
func (c Change) String() string {
	sign := map[Action]string{Create: "+", Replace: "~", Update: "~", Start: "+", Delete: "-"}[c.Action]
	s := fmt.Sprintf("%s %s %s", sign, c.Kind, c.Name)
	if c.Action == Replace {
		s += " replaced"
	}
	if c.Detail != "" {
		s += " (" + c.Detail + ")"
	}
	return s
}
