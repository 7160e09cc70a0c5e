package deploy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"pith"
)

// TestAssign: networks and services without addresses get some; other services that
// come or go change none of them.
func TestAssign(t *testing.T) {
	network := func(name string, subnet ...string) pith.Network {
		n := pith.Network{Name: name, Kind: pith.NetworkBridge}
		for _, s := range subnet {
			n.Subnet = append(n.Subnet, netip.MustParsePrefix(s))
		}
		return n
	}
	service := func(name string, replicas int) pith.Service {
		s := pith.Service{Name: name, Replicas: replicas}
		for _, n := range []string{"none", "small", "both"} {
			s.Links = append(s.Links, pith.ServiceLink{Network: n})
		}
		return s
	}
	assigned := func(services ...pith.Service) pith.Topology {
		x := pith.Topology{
			Networks: []pith.Network{network("none"), network("small", "10.213.0.0/28"), network("both", "10.5.0.0/16", "fd00:1::/64")},
			Services: services,
		}
		Assign(&x)
		return x
	}
	x := assigned(service("web", 3), service("store", 1))
	if got := fmt.Sprint(x.Networks[0].Subnet); got != "[10.213.1.0/24]" {
		t.Errorf("a network without a subnet has %s: the pool's first is taken", got)
	}
	taken := map[string]bool{}
	for _, s := range x.Services {
		for i, l := range s.Links {
			if len(l.Addrs) != len(x.Networks[i].Subnet) {
				t.Fatalf("%s has %v in %s", s.Name, l.Addrs, l.Network)
			}
			for j, p := range l.Addrs {
				for r := range s.Replicas {
					a := nth(p.Addr(), r)
					if taken[l.Network+a.String()] || !x.Networks[i].Subnet[j].Contains(a) || !x.Networks[i].Subnet[j].Contains(a.Next()) {
						t.Errorf("%s of %s in %s is taken, or outside, or the host's", a, s.Name, l.Network)
					}
					taken[l.Network+a.String()] = true
				}
			}
		}
	}
	more := assigned(service("web", 4), service("other", 2), service("store", 1))
	for _, i := range []int{0, 2} {
		if before, now := x.Services[i/2].Links, more.Services[i].Links; fmt.Sprint(before) != fmt.Sprint(now) {
			t.Errorf("%s had %v and has %v", more.Services[i].Name, before, now)
		}
	}
	full := assigned(service("web", 14))
	if got := full.Services[0].Links[1].Addrs; len(got) != 0 {
		t.Errorf("14 replicas and the host in 14 addresses: %v", got)
	}
}

// TestNames asks as different machines, and as a stranger.
func TestNames(t *testing.T) {
	x := topology()
	x.Services[0].Links = append(x.Services[0].Links, pith.ServiceLink{Network: "front", Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/29")}})
	x.Services = append(x.Services, pith.Service{Name: "six", Kind: pith.Unikernel, CPUs: 1, Replicas: 1,
		Links: []pith.ServiceLink{{Network: "back", Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.1.66/24"), netip.MustParsePrefix("fd00::66/64")}}}})
	w := resolve(t, x)
	states := map[string]InstanceState{"shop-web-1": {Status: Unhealthy}, "shop-web-2": {Status: Healthy}}
	s := &nameServer{network: "front"}
	for _, c := range []struct {
		asker, name string
		kind        uint16
		want        string
	}{
		{"10.0.0.2", "web.", dns.TypeA, "10.0.0.6"},                        // the healthy one
		{"10.0.0.2", "WEB.", dns.TypeA, "10.0.0.6"},                        // in any case
		{"10.0.0.2", "shop-web-1.", dns.TypeA, "10.0.0.5"},                 // by its own name always
		{"10.0.0.2", "store.", dns.TypeA, "10.0.0.2 10.0.1.9"},             // it is in both
		{"10.0.0.5", "store.", dns.TypeA, "10.0.0.2"},                      // this one is not
		{"10.0.0.5", "six.", dns.TypeA, "NXDOMAIN"},                        // in no common network
		{"10.0.0.2", "six.", dns.TypeAAAA, "fd00::66"},                     //
		{"10.0.0.2", "web.", dns.TypeAAAA, ""},                             // it is there, without one
		{"10.0.0.7", "web.", dns.TypeA, "10.0.0.6"},                        // a stranger in front
		{"10.0.1.9", "web.", dns.TypeA, "10.0.0.6"},                        // not by its source, in a network that it isn't met in
		{"10.0.0.2", "pith.internal.", dns.TypeA, "10.0.0.4"},              // the host
		{"10.0.0.2", "nobody.", dns.TypeA, "NXDOMAIN"},                     //
		{"10.0.0.2", "example.org.", dns.TypeA, "REFUSED"},                 // asked elsewhere
		{"10.0.0.2", "6.0.0.10.in-addr.arpa.", dns.TypePTR, "shop-web-2."}, //
		{"10.0.0.2", "1.2.3.4.in-addr.arpa.", dns.TypePTR, "NXDOMAIN"},     //
	} {
		question, reply := new(dns.Msg), new(dns.Msg)
		question.SetQuestion(c.name, c.kind)
		reply.SetReply(question)
		s.answer(reply, w, states, netip.MustParseAddr(c.asker))
		var got []string
		for _, rr := range reply.Answer {
			got = append(got, strings.TrimPrefix(rr.String(), rr.Header().String()))
		}
		slices.Sort(got)
		if reply.Rcode != dns.RcodeSuccess {
			got = append(got, dns.RcodeToString[reply.Rcode])
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s asks for %s: %q, want %q", c.asker, c.name, text, c.want)
		}
	}
	if got := namesOf(w, nil, netip.MustParseAddr("10.0.0.5"), "front"); fmt.Sprint(got) != "map[store:[10.0.0.2] web:[10.0.0.5 10.0.0.6]]" {
		t.Errorf("with nobody healthy: %v", got)
	}
}

// FuzzReverse: what is an address comes back as the name that it was made of.
func FuzzReverse(f *testing.F) {
	for _, name := range []string{"6.0.0.10.in-addr.arpa.", "1.2.in-addr.arpa.", ".", strings.Repeat("0.", 31) + "1.ip6.arpa.", "a.b.c.d.in-addr.arpa."} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		a := reverse(name)
		if !a.IsValid() {
			return
		}
		back, err := dns.ReverseAddr(a.String())
		if err != nil || !strings.EqualFold(back, name) {
			t.Errorf("%q is %s, whose name is %q, %v", name, a, back, err)
		}
	})
}
