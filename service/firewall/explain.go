package firewall

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"pith/service/firewall/nft"
	"pith/service/packet"
)

// Explanation is what rules do to a packet, and why.
type Explanation struct {
	Verdict  string     `json:"verdict"`            // accept, drop, reject
	Rule     string     `json:"rule,omitempty"`     // that decided; "": a policy or none
	Position string     `json:"position,omitempty"` // of the rule
	Chain    string     `json:"chain,omitempty"`
	NAT      []string   `json:"nat,omitempty"`
	Steps    []nft.Step `json:"steps"`
}

// Explain lets rules decide about a packet in words, such as
//
//	iif eth0 oif eth1 ip saddr 192.0.2.1 daddr 10.0.0.5 tcp dport 80 flags syn ct new
//
// A packet with no oif is one for the router itself.
func Explain(r *nft.Ruleset, words []string) (*Explanation, error) {
	q, err := parseQuery(words)
	if err != nil {
		return nil, err
	}
	trace := &nft.Trace{}
	c := &nft.Context{Packet: q.packet, In: nft.NameValue(q.in), State: q.state, Tracked: q.state != nft.StateInvalid,
		Reply: q.state == nft.StateEstablished && q.reply, Mark: q.mark, Now: 1, Trace: trace}
	e := &Explanation{Verdict: "accept"}
	last := nft.Decision{Verdict: nft.Accept}
	for _, step := range q.way() {
		d := step(r, c)
		if d.Verdict == nft.Translate {
			e.NAT = append(e.NAT, d.Rule.Text)
			continue
		}
		if d.Chain != nil {
			last = d
		}
		if d.Verdict != nft.Accept {
			break
		}
	}
	e.Verdict, e.Steps = last.Verdict.String(), trace.Steps
	if last.Chain != nil {
		e.Chain = last.Chain.Table.Family.String() + " " + last.Chain.Table.Name + " " + last.Chain.Name
	}
	if last.Rule != nil {
		e.Rule, e.Position = last.Rule.Text, last.Rule.Pos.String()
	}
	return e, nil
}

// way are the hooks that a packet passes.
func (q *query) way() []func(*nft.Ruleset, *nft.Context) nft.Decision {
	hook := func(h nft.Hook) func(*nft.Ruleset, *nft.Context) nft.Decision {
		return func(r *nft.Ruleset, c *nft.Context) nft.Decision {
			if h != nft.Prerouting {
				c.Out = nft.NameValue(q.out)
			}
			return r.Filter(h, nft.First, nft.Last, c)
		}
	}
	nat := func(h nft.Hook) func(*nft.Ruleset, *nft.Context) nft.Decision {
		return func(r *nft.Ruleset, c *nft.Context) nft.Decision {
			if q.state != nft.StateNew {
				return nft.Decision{Verdict: nft.Accept}
			}
			return r.NAT(h, c)
		}
	}
	if q.out == "" {
		return []func(*nft.Ruleset, *nft.Context) nft.Decision{hook(nft.Prerouting), nat(nft.Prerouting), hook(nft.Input)}
	}
	return []func(*nft.Ruleset, *nft.Context) nft.Decision{hook(nft.Prerouting), nat(nft.Prerouting), hook(nft.Forward), hook(nft.Postrouting), nat(nft.Postrouting)}
}

// query is a packet in words.
type query struct {
	in, out string
	state   uint8
	reply   bool
	mark    uint32
	packet  *packet.Packet

	src, dst     netip.Addr
	sport, dport uint16
	protocol     uint8
	flags        uint8
	typ, code    uint8
	ttl, tos     uint8
	length       int
}

var (
	states    = map[string]uint8{"new": nft.StateNew, "established": nft.StateEstablished, "related": nft.StateRelated, "invalid": nft.StateInvalid, "untracked": nft.StateUntracked}
	protocols = map[string]uint8{"tcp": packet.TCP, "udp": packet.UDP, "icmp": packet.ICMP, "icmpv6": packet.ICMPv6}
	flagBits  = map[string]uint8{"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32}
	icmpTypes = map[string]uint8{"echo-request": 8, "echo-reply": 0, "destination-unreachable": 3, "time-exceeded": 11}
	icmp6     = map[string]uint8{"echo-request": 128, "echo-reply": 129, "destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "nd-neighbor-solicit": 135, "nd-neighbor-advert": 136, "nd-router-solicit": 133, "nd-router-advert": 134}
)

func parseQuery(words []string) (*query, error) {
	words = strings.Fields(strings.Join(words, " "))
	q := &query{state: nft.StateNew, ttl: 64}
	for i := 0; i < len(words); i++ {
		w := words[i]
		if p, ok := protocols[w]; ok {
			q.protocol = p
			continue
		}
		if w == "ip" || w == "ip6" || w == "meta" || w == "ct" && i+1 < len(words) && (words[i+1] == "state" || words[i+1] == "direction" || words[i+1] == "mark") {
			continue
		}
		i++
		if i == len(words) {
			return nil, fmt.Errorf("%q has no value", w)
		}
		if err := q.set(w, words[i]); err != nil {
			return nil, fmt.Errorf("%s %s: %w", w, words[i], err)
		}
	}
	if !q.src.IsValid() || !q.dst.IsValid() || q.src.Is4() != q.dst.Is4() {
		return nil, fmt.Errorf("a packet needs a source and a destination of the same IP version: saddr ADDRESS daddr ADDRESS")
	}
	q.build()
	return q, nil
}

// set takes one property.
func (q *query) set(key, value string) (err error) {
	switch key {
	case "iif", "iifname":
		q.in = strings.Trim(value, `"`)
	case "oif", "oifname":
		q.out = strings.Trim(value, `"`)
	case "saddr":
		q.src, err = netip.ParseAddr(value)
	case "daddr":
		q.dst, err = netip.ParseAddr(value)
	case "sport":
		err = number(value, 16, func(v uint64) { q.sport = uint16(v) })
	case "dport":
		err = number(value, 16, func(v uint64) { q.dport = uint16(v) })
	case "protocol", "l4proto", "nexthdr":
		err = number(value, 8, func(v uint64) { q.protocol = uint8(v) })
		if p, ok := protocols[value]; ok {
			q.protocol, err = p, nil
		}
	case "flags":
		for _, f := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == '|' }) {
			if flagBits[f] == 0 {
				return fmt.Errorf("there is no TCP flag %s", f)
			}
			q.flags |= flagBits[f]
		}
	case "type":
		names := icmpTypes
		if q.protocol == packet.ICMPv6 {
			names = icmp6
		}
		if v, ok := names[value]; ok {
			q.typ = v
			return nil
		}
		err = number(value, 8, func(v uint64) { q.typ = uint8(v) })
	case "code":
		err = number(value, 8, func(v uint64) { q.code = uint8(v) })
	case "ttl", "hoplimit":
		err = number(value, 8, func(v uint64) { q.ttl = uint8(v) })
	case "dscp":
		err = number(value, 6, func(v uint64) { q.tos = uint8(v) << 2 })
	case "length":
		err = number(value, 16, func(v uint64) { q.length = int(v) })
	case "mark":
		err = number(value, 32, func(v uint64) { q.mark = uint32(v) })
	case "direction":
		q.reply = value == "reply"
	case "ct", "state":
		s, ok := states[value]
		if !ok {
			return fmt.Errorf("a connection's state is new, established, related, invalid or untracked")
		}
		q.state = s
	default:
		return fmt.Errorf("there is no such property: use iif, oif, saddr, daddr, tcp, udp, icmp, icmpv6, sport, dport, flags, type, code, ct, ttl, dscp, length, mark")
	}
	return err
}

func number(s string, bits int, set func(uint64)) error {
	v, err := strconv.ParseUint(s, 0, bits)
	if err != nil {
		return fmt.Errorf("not a number of %d bits", bits)
	}
	set(v)
	return nil
}

// build makes the packet.
func (q *query) build() {
	size := map[uint8]int{packet.TCP: 20, packet.UDP: 8, packet.ICMP: 8, packet.ICMPv6: 8}[q.protocol]
	header := 20
	if q.src.Is6() {
		header = 40
	}
	p, b := packet.NewIP(packet.IPHeader{Src: q.src, Dst: q.dst, Protocol: q.protocol, TTL: q.ttl, TOS: q.tos}, max(size, q.length-header))
	switch q.protocol {
	case packet.TCP, packet.UDP:
		b[0], b[1], b[2], b[3] = byte(q.sport>>8), byte(q.sport), byte(q.dport>>8), byte(q.dport)
		if q.protocol == packet.TCP {
			b[12], b[13] = 5<<4, q.flags
		} else {
			b[4], b[5] = byte(len(b)>>8), byte(len(b))
		}
	case packet.ICMP, packet.ICMPv6:
		b[0], b[1] = q.typ, q.code
	}
	p.SumTransport()
	q.packet = &packet.Packet{}
	q.packet.Parse(p.Frame)
}
