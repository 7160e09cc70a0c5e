package nft

import (
	"math"
	"sync"

	"pith/service/packet"
)

// First and Last bound all priorities.
const (
	First = math.MinInt
	Last  = math.MaxInt
)

// Filter lets the filter chains of a hook decide whose priority is at least from and
// less than to. No chain accepts.
func (r *Ruleset) Filter(h Hook, from, to int, c *Context) Decision {
	d := Decision{Verdict: Accept}
	for _, chain := range r.filters[h] {
		if chain.Priority < from || chain.Priority >= to || !chain.Table.applies(c.Packet) {
			continue
		}
		d = r.base(chain, c)
		if d.Verdict != Accept {
			return d
		}
	}
	return d
}

// NAT lets the nat chains of a hook decide how a new connection is translated. The
// verdict is Accept if none wants it to be.
func (r *Ruleset) NAT(h Hook, c *Context) Decision {
	d := Decision{Verdict: Accept}
	for _, chain := range r.nats[h] {
		if !chain.Table.applies(c.Packet) {
			continue
		}
		d = r.base(chain, c)
		if d.Verdict != Accept {
			return d
		}
	}
	return d
}

// Has tells whether a hook has chains at all.
func (r *Ruleset) Has(h Hook) bool { return len(r.filters[h])+len(r.nats[h]) > 0 }

// Tracks tells whether it makes a difference to the rules which connection a packet
// belongs to. Where it doesn't, no connection need be tracked, as Linux does it.
func (r *Ruleset) Tracks() bool { return r.tracks }

func (t *Table) applies(p *packet.Packet) bool {
	return t.Family == Inet || (t.Family == IP4) == (p.Version == 4)
}

// base evaluates a base chain.
func (r *Ruleset) base(chain *Chain, c *Context) Decision {
	d := Decision{Verdict: none, Chain: chain}
	r.chain(chain, c, &d)
	if d.Verdict == none || d.Verdict == ret {
		d = Decision{Verdict: chain.Policy, Chain: chain}
		if c.Trace != nil {
			c.Trace.policy(chain)
		}
	}
	return d
}

// chain evaluates the rules of a chain. d.Verdict is none if it came to its end.
func (r *Ruleset) chain(chain *Chain, c *Context, d *Decision) {
	for _, rule := range chain.Rules {
		r.rule(chain, rule, c, d)
		switch d.Verdict {
		case none:
		case ret:
			d.Verdict = none
			return
		default:
			return
		}
	}
}

// rule evaluates one rule. After it d.Verdict is none to go on with the next,
// ret to leave the chain, or final.
func (r *Ruleset) rule(chain *Chain, rule *Rule, c *Context, d *Decision) {
	for i := range rule.ops {
		o := &rule.ops[i]
		if o.kind == opMatch {
			if !o.match(c) {
				if c.Trace != nil {
					c.Trace.miss(chain, rule, o, c)
				}
				return
			}
			continue
		}
		if !r.step(chain, rule, o, c, d) {
			return
		}
	}
	if c.Trace != nil {
		c.Trace.hit(chain, rule, "no verdict")
	}
}

// step does a statement; false ends the rule.
func (r *Ruleset) step(chain *Chain, rule *Rule, o *op, c *Context, d *Decision) bool {
	switch o.kind {
	case opVerdict:
		r.verdict(chain, rule, &o.verdict, c, d)
		return false
	case opVerdictMap:
		v, ok := c.load(o.field)
		e := o.set.find(v)
		if !ok || e == nil {
			if c.Trace != nil {
				c.Trace.miss(chain, rule, o, c)
			}
			return false
		}
		r.verdict(chain, rule, &e.verdict, c, d)
		return d.Verdict == none && e.verdict.kind == none
	case opCounter:
		o.counter.Packets.Add(1)
		o.counter.Bytes.Add(uint64(c.Packet.Length))
	case opLimit:
		if !o.limit.allow(c.Now, c.Packet.Length) {
			if c.Trace != nil {
				c.Trace.miss(chain, rule, o, c)
			}
			return false
		}
	case opLog:
		if r.Log != nil {
			r.Log(o.prefix, c)
		}
	case opReject:
		*d = Decision{Verdict: Reject, Reject: o.reject, Chain: chain, Rule: rule}
	case opNAT:
		return r.translate(chain, rule, o, c, d)
	case opMark:
		c.Mark = uint32(o.value.Lo)
	case opCTMark:
		c.CTMark = uint32(o.value.Lo)
	case opNoTrack:
		c.State, c.Tracked = StateUntracked, false
	}
	if d.Verdict == Reject && c.Trace != nil {
		c.Trace.hit(chain, rule, "reject")
	}
	return d.Verdict == none
}

// verdict does a verdict statement.
func (r *Ruleset) verdict(chain *Chain, rule *Rule, v *verdict, c *Context, d *Decision) {
	if c.Trace != nil {
		c.Trace.hit(chain, rule, v.String())
	}
	switch v.kind {
	case none:
		return
	case jump, goTo:
		r.chain(v.chain, c, d)
		if d.Verdict == none && v.kind == goTo {
			d.Verdict = ret
		}
		return
	}
	*d = Decision{Verdict: v.kind, Chain: chain, Rule: rule}
}

// String is the verdict as it is written.
func (v *verdict) String() string {
	if v.name != "" {
		return v.kind.String() + " " + v.name
	}
	return v.kind.String()
}

func (r *Ruleset) translate(chain *Chain, rule *Rule, o *op, c *Context, d *Decision) bool {
	nat := o.nat
	if o.set != nil {
		v, ok := c.load(o.field)
		e := o.set.find(v)
		if !ok || e == nil {
			if c.Trace != nil {
				c.Trace.miss(chain, rule, o, c)
			}
			return false
		}
		if e.data.hasAddr {
			nat.HasAddr, nat.Is6, nat.From, nat.To = true, e.data.is6, e.data.addr, e.data.addr
		}
		if e.data.hasPort {
			nat.PortFrom, nat.PortTo = e.data.port, e.data.port
		}
	}
	if nat.HasAddr && nat.Is6 != (c.Packet.Version == 6) {
		return false
	}
	if c.Trace != nil {
		c.Trace.hit(chain, rule, o.text)
	}
	*d = Decision{Verdict: Translate, NAT: nat, Chain: chain, Rule: rule}
	return false
}

// match tells whether a packet is what the op asks for.
func (o *op) match(c *Context) bool {
	v, ok := c.load(o.field)
	if !ok {
		return false
	}
	if o.masked {
		v = v.and(o.mask)
	}
	switch o.cmp {
	case cmpEq:
		return v == o.value
	case cmpNe:
		return v != o.value
	case cmpIn:
		return o.set.find(v) != nil
	case cmpNotIn:
		return o.set.find(v) == nil
	case cmpAny:
		return !v.and(o.value).zero()
	case cmpNone:
		return v.and(o.value).zero()
	case cmpLt:
		return v.less(o.value)
	case cmpGt:
		return o.value.less(v)
	case cmpLe:
		return !o.value.less(v)
	case cmpGe:
		return !v.less(o.value)
	}
	return false
}

// limit is a token bucket, as Linux's nft_limit: tokens are nanoseconds.
type limit struct {
	over, bytes bool
	unit        int64 // nanoseconds
	rate        int64
	most        int64

	mu      sync.Mutex
	tokens  int64
	last    int64
	started bool
}

func (l *limit) set(rate, unit, burst int64) {
	l.unit, l.rate = unit*1e9, rate
	if l.bytes {
		l.most = int64(float64(l.unit) * float64(rate+burst) / float64(rate))
	} else {
		l.most = l.unit / rate * burst
	}
	l.tokens = l.most
}

func (l *limit) allow(now int64, length int) bool {
	cost := l.unit / l.rate
	if l.bytes {
		cost = int64(float64(l.unit) * float64(length) / float64(l.rate))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.started {
		l.last, l.started = now, true
	}
	l.tokens = min(l.tokens+max(now-l.last, 0), l.most)
	l.last = now
	if l.tokens < cost {
		return l.over
	}
	l.tokens -= cost
	return !l.over
}
