// Package nft reads packet filter rules in the syntax of nftables and decides
// about packets by them, as Linux's nf_tables does: the same verdict for the same
// packet and connection state.
//
// It relies on nft(8) of nftables 1.0 for syntax and on Linux 6.1's net/netfilter for
// what a rule means. It takes the part of the language that a filter in front of
// a router needs; what it does not know it refuses with file, line and column. It
// must not change a packet, nor know how connections are tracked: both are
// the caller's.
package nft

import (
	"fmt"
	"sync/atomic"
)

// Family of a table.
type Family uint8

// Families.
const (
	Inet Family = iota // IPv4 and IPv6
	IP4
	IP6
)

// String is the family's name in a rule file.
func (f Family) String() string { return [...]string{"inet", "ip", "ip6"}[f] }

// Hook is a place on a packet's way.
type Hook uint8

// Hooks, in a packet's order.
const (
	Prerouting Hook = iota
	Input
	Forward
	Output
	Postrouting
	hooks
)

var hookNames = [hooks]string{"prerouting", "input", "forward", "output", "postrouting"}

// String is the hook's name in a rule file.
func (h Hook) String() string { return hookNames[h] }

// Priorities at which the caller's own work is done (linux/netfilter_ipv4.h).
const (
	PriorityConntrack = -200
	PriorityDstNAT    = -100
	PrioritySrcNAT    = 100
)

// Verdict about a packet.
type Verdict uint8

// Verdicts. The last four are of a rule only.
const (
	Accept Verdict = iota
	Drop
	Reject
	Translate // a NAT statement has decided
	none
	jump
	goTo
	ret
)

// String is the verdict's name.
func (v Verdict) String() string {
	return [...]string{"accept", "drop", "reject", "nat", "continue", "jump", "goto", "return"}[v]
}

// RejectKind is how a packet is refused.
type RejectKind struct {
	Reset bool // by a TCP reset; else by ICMP of Type
	X     bool // Code is of icmpx, to be read by Codes
	Code  uint8
}

// Codes gives the ICMP code for IPv4 and IPv6 (linux/netfilter/nf_tables.h,
// nft_reject_inet_code).
func (r RejectKind) Codes() (v4, v6 uint8) {
	if !r.X {
		return r.Code, r.Code
	}
	return [...]uint8{0, 3, 1, 13}[r.Code], [...]uint8{0, 4, 3, 1}[r.Code]
}

// NAT is a translation. Zero fields are left as they are.
type NAT struct {
	Kind       NATKind
	From, To   Value // address range
	Is6        bool
	HasAddr    bool
	PortFrom   uint16
	PortTo     uint16
	FullRandom bool
}

// NATKind is what a NAT statement does.
type NATKind uint8

// Kinds of NAT.
const (
	SNAT NATKind = iota
	DNAT
	Masquerade
	Redirect
)

// Decision is a verdict and who reached it.
type Decision struct {
	Verdict Verdict
	Reject  RejectKind
	NAT     NAT
	Chain   *Chain
	Rule    *Rule // nil: the chain's policy
}

// Ruleset is a loaded rule file. It may be used by many goroutines.
type Ruleset struct {
	Tables []*Table
	// Log is told of each packet that a log statement meets. It must not block. It
	// may be nil.
	Log func(prefix string, c *Context)

	filters [hooks][]*Chain // by priority
	nats    [hooks][]*Chain
	tracks  bool
}

// Table holds chains and sets.
type Table struct {
	Family Family
	Name   string
	Chains []*Chain
	Sets   map[string]*Set
	pos    Pos
}

// Chain is a list of rules.
type Chain struct {
	Table    *Table
	Name     string
	Base     bool
	Type     string // filter, nat or route
	Hook     Hook
	Priority int
	Policy   Verdict
	Rules    []*Rule
	pos      Pos
}

// Rule is one line of a chain.
type Rule struct {
	Pos     Pos
	Text    string // as it stands in the file
	Comment string
	Counter *Counter // nil without a counter statement
	ops     []op
}

// Counter counts packets and their bytes.
type Counter struct{ Packets, Bytes atomic.Uint64 }

// Chain finds a chain by its name, nil if there is none.
func (t *Table) Chain(name string) *Chain {
	for _, c := range t.Chains {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Pos is a place in a rule file.
type Pos struct {
	File      string
	Line, Col int // from 1
}

// String is file:line:column.
func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col) }

// Error is a mistake in a rule file.
type Error struct {
	Pos    Pos    `json:"-"`
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Msg    string `json:"message"`
	Source string `json:"source"` // the line
}

// Error is the place, what is wrong there, and the line with a mark below it.
func (e *Error) Error() string {
	s := e.Pos.String() + ": " + e.Msg
	if e.Source == "" {
		return s
	}
	mark := make([]byte, 0, e.Pos.Col)
	for i := 0; i < e.Pos.Col-1 && i < len(e.Source); i++ {
		if e.Source[i] == '\t' {
			mark = append(mark, '\t')
		} else {
			mark = append(mark, ' ')
		}
	}
	return s + "\n    " + e.Source + "\n    " + string(mark) + "^"
}
