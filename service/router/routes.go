package router

import (
	"net/netip"
	"slices"
)

// route is a way to a network.
type route struct {
	Prefix  netip.Prefix
	Gateway netip.Addr // invalid: the network is on the link
	Face    *Interface // nil: packets are refused
}

// routes is a table for longest-prefix look-ups. It is built once.
type routes struct {
	all      map[netip.Prefix]*route
	lengths4 []int // longest first
	lengths6 []int
}

// add adds a route; it reports false if there is one to the same network.
func (t *routes) add(r *route) bool {
	if t.all == nil {
		t.all = map[netip.Prefix]*route{}
	}
	if t.all[r.Prefix] != nil {
		return false
	}
	t.all[r.Prefix] = r
	lengths := &t.lengths4
	if r.Prefix.Addr().Is6() {
		lengths = &t.lengths6
	}
	if !slices.Contains(*lengths, r.Prefix.Bits()) {
		*lengths = append(*lengths, r.Prefix.Bits())
		slices.Sort(*lengths)
		slices.Reverse(*lengths)
	}
	return true
}

// find is the route with the longest prefix that holds an address, nil if none does.
func (t *routes) find(a netip.Addr) *route {
	lengths := t.lengths4
	if a.Is6() {
		lengths = t.lengths6
	}
	for _, bits := range lengths {
		prefix, err := a.Prefix(bits)
		if err != nil {
			return nil // an address with a zone is never routed
		}
		if r := t.all[prefix]; r != nil {
			return r
		}
	}
	return nil
}
