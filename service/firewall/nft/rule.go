package nft

import (
	"fmt"
	"strconv"
	"strings"

	"pith/service/packet"
)

// kinds of op.
type opKind uint8

const (
	opMatch opKind = iota
	opVerdict
	opVerdictMap
	opCounter
	opLimit
	opLog
	opReject
	opNAT
	opMark
	opCTMark
	opNoTrack
)

// comparison of a match.
type comparison uint8

const (
	cmpEq comparison = iota
	cmpNe
	cmpLt
	cmpGt
	cmpLe
	cmpGe
	cmpIn
	cmpNotIn
	cmpAny  // some of the bits
	cmpNone // none of the bits
)

// op is one step of a rule. A match that fails ends the rule.
type op struct {
	kind    opKind
	cmp     comparison
	masked  bool
	field   fieldID
	typ     typ
	mask    Value
	value   Value
	set     *Set
	verdict verdict
	counter *Counter
	limit   *limit
	prefix  string
	reject  RejectKind
	nat     NAT
	text    string
	pos     Pos
	needs   string // hooks at which a statement may stand; "": all
}

// rule reads one rule.
func (p *parser) rule(c *Chain) *Rule {
	first := p.peek()
	r := &Rule{Pos: first.pos}
	last := first
	for !p.ended() {
		start := p.peek()
		from := len(r.ops)
		p.statement(c, r)
		last = p.tokens[p.i-1]
		for i := from; i < len(r.ops); i++ {
			if r.ops[i].text == "" {
				r.ops[i].text = p.slice(start, last)
			}
			r.ops[i].pos = start.pos
		}
	}
	r.Text = p.slice(first, last)
	return r
}

// slice is the source from one token to another.
func (p *parser) slice(from, to token) string {
	text := p.texts[from.pos.File]
	if from.pos.File != to.pos.File || to.end < from.at || to.end > len(text) {
		return ""
	}
	return strings.Join(strings.Fields(text[from.at:to.end]), " ")
}

func (p *parser) statement(c *Chain, r *Rule) {
	t := p.peek()
	if t.kind != tokWord {
		p.expected(t, "a match or a statement")
	}
	if read, ok := statements[t.text]; ok {
		p.i++
		read(p, c, r)
		return
	}
	p.match(c, r)
}

// statements by their first word.
var statements map[string]func(p *parser, c *Chain, r *Rule)

func init() {
	statements = map[string]func(p *parser, c *Chain, r *Rule){
		"accept": verdictStatement, "drop": verdictStatement, "return": verdictStatement, "continue": verdictStatement,
		"jump": verdictStatement, "goto": verdictStatement,
		"counter":    counterStatement,
		"limit":      limitStatement,
		"log":        logStatement,
		"reject":     rejectStatement,
		"snat":       natStatement,
		"dnat":       natStatement,
		"masquerade": masqueradeStatement,
		"redirect":   redirectStatement,
		"comment":    func(p *parser, _ *Chain, r *Rule) { r.Comment = p.word("a comment").text },
		"notrack":    func(p *parser, _ *Chain, r *Rule) { r.ops = append(r.ops, op{kind: opNoTrack}) },
	}
}

func verdictStatement(p *parser, _ *Chain, r *Rule) {
	p.i--
	r.ops = append(r.ops, op{kind: opVerdict, verdict: p.verdict()})
}

// verdict reads accept, drop, return, continue, jump or goto.
func (p *parser) verdict() verdict {
	t := p.word("a verdict")
	v := verdict{pos: t.pos}
	switch t.text {
	case "accept":
		v.kind = Accept
	case "drop":
		v.kind = Drop
	case "return":
		v.kind = ret
	case "continue":
		v.kind = none
	case "jump", "goto":
		v.kind = jump
		if t.text == "goto" {
			v.kind = goTo
		}
		name := p.word("a chain's name")
		v.name, v.pos = name.text, name.pos
	default:
		p.fail(t, "expected accept, drop, return, continue, jump or goto, found %s", t.describe())
	}
	return v
}

func counterStatement(p *parser, _ *Chain, r *Rule) {
	r.Counter = &Counter{}
	if p.take("packets") {
		n := p.word("a number")
		r.Counter.Packets.Store(uint64(p.integer(n, n.text)))
		p.need("bytes")
		n = p.word("a number")
		r.Counter.Bytes.Store(uint64(p.integer(n, n.text)))
	} else if t := p.peek(); t.kind == tokString || t.kind == tokWord && t.text == "name" {
		p.fail(t, "named counters are not supported: write counter alone")
	}
	r.ops = append(r.ops, op{kind: opCounter, counter: r.Counter})
}

var units = map[string]int64{"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}

func limitStatement(p *parser, _ *Chain, r *Rule) {
	p.need("rate")
	l := &limit{}
	if p.take("over") {
		l.over = true
	} else {
		p.take("until")
	}
	t := p.word("a rate, as 10/second")
	n := int64(p.integer(t, t.text))
	if n <= 0 {
		p.fail(t, "a rate must be greater than 0")
	}
	scale := int64(1)
	if u := p.peek(); u.text == "bytes" || u.text == "kbytes" || u.text == "mbytes" {
		p.i++
		l.bytes = true
		scale = map[string]int64{"bytes": 1, "kbytes": 1 << 10, "mbytes": 1 << 20}[u.text]
	}
	p.need("/")
	u := p.word("second, minute, hour, day or week")
	unit, ok := units[u.text]
	if !ok {
		p.expected(u, "second, minute, hour, day or week")
	}
	burst := int64(5)
	if l.bytes {
		burst = 0
	}
	if p.take("burst") {
		b := p.word("a number")
		burst = int64(p.integer(b, b.text))
		w := p.word("packets or bytes")
		if l.bytes == (w.text == "packets") {
			p.fail(w, "the burst must be counted as the rate is")
		}
		burst *= max(1, map[string]int64{"kbytes": 1 << 10, "mbytes": 1 << 20}[w.text])
	}
	if n*scale > 1e12 || burst < 0 || burst > 1e12 {
		p.fail(t, "this rate is too high")
	}
	l.set(n*scale, unit, burst)
	r.ops = append(r.ops, op{kind: opLimit, limit: l})
}

func logStatement(p *parser, _ *Chain, r *Rule) {
	o := op{kind: opLog}
	for {
		t := p.peek()
		switch t.text {
		case "prefix":
			p.i++
			s := p.peek()
			if s.kind != tokString {
				p.expected(s, "a prefix in quotes")
			}
			p.i++
			o.prefix = s.text
		case "level", "group", "snaplen", "queue-threshold", "flags":
			p.i++
			p.word("a value of " + t.text)
			for p.take(",") {
				p.word("a value of " + t.text)
			}
			if t.text == "flags" && (p.is("sequence") || p.is("options")) {
				p.i++
			}
		default:
			r.ops = append(r.ops, o)
			return
		}
	}
}

var (
	codes4 = map[string]uint8{"net-unreachable": 0, "host-unreachable": 1, "prot-unreachable": 2, "port-unreachable": 3, "net-prohibited": 9, "host-prohibited": 10, "admin-prohibited": 13}
	codes6 = map[string]uint8{"no-route": 0, "admin-prohibited": 1, "addr-unreachable": 3, "port-unreachable": 4, "policy-fail": 5, "reject-route": 6}
	codesX = map[string]uint8{"no-route": 0, "port-unreachable": 1, "host-unreachable": 2, "admin-prohibited": 3}
)

func rejectStatement(p *parser, c *Chain, r *Rule) {
	o := op{kind: opReject, reject: RejectKind{X: true, Code: 1}, needs: "input forward output prerouting"}
	if p.take("with") {
		t := p.word("tcp, icmp, icmpv6 or icmpx")
		var codes map[string]uint8
		switch t.text {
		case "tcp":
			p.need("reset")
			o.reject = RejectKind{Reset: true}
			r.ops = append(r.ops, dependency(fL4Proto, typProto, packet.TCP))
		case "icmp":
			codes = codes4
			p.ofFamily(c, r, t, 4)
		case "icmpv6":
			codes = codes6
			p.ofFamily(c, r, t, 6)
		case "icmpx":
			codes = codesX
		default:
			p.expected(t, "tcp, icmp, icmpv6 or icmpx")
		}
		if codes != nil {
			p.take("type")
			w := p.word("a code")
			code, ok := codes[w.text]
			if !ok {
				p.fail(w, "%s is no code of %s: use %s", w.describe(), t.text, strings.Join(keys(codes), ", "))
			}
			o.reject = RejectKind{X: t.text == "icmpx", Code: code}
		}
	}
	r.ops = append(r.ops, o)
}

// ofFamily lets the rule go on for one IP version only.
func (p *parser) ofFamily(c *Chain, r *Rule, at token, version uint8) {
	family := IP4
	if version == 6 {
		family = IP6
	}
	switch c.Table.Family {
	case family:
	case Inet:
		v := uint64(2)
		if version == 6 {
			v = 10
		}
		r.ops = append(r.ops, dependency(fNFProto, typFamily, v))
	default:
		p.fail(at, "%s is never found in a table of family %s", at.text, c.Table.Family)
	}
}

func dependency(id fieldID, t typ, v uint64) op {
	name := "meta l4proto"
	if id == fNFProto {
		name = "meta nfproto"
	}
	return op{kind: opMatch, cmp: cmpEq, field: id, typ: t, value: Value{0, v}, text: name + " " + t.nameOf(v)}
}

// integer reads a number of a token's text.
func (p *parser) integer(t token, text string) int {
	n, err := parseInt(text)
	if err != nil {
		p.fail(t, "expected a number, found %s", t.describe())
	}
	return n
}

func parseInt(s string) (int, error) {
	n, err := strconv.ParseInt(s, 0, 63)
	return int(n), err
}

// match reads an expression with what it is compared to, or a verdict map, or a
// mark that is set.
func (p *parser) match(c *Chain, r *Rule) {
	start := p.peek()
	f := p.fieldOf(c, r)
	switch {
	case p.take("vmap"):
		p.verdictMap(f, r)
		return
	case p.is("set"):
		p.setMark(f, r)
		return
	}
	o := op{kind: opMatch, field: f.id, typ: f.typ}
	if p.take("&") {
		o.masked, o.mask = true, p.bits(f)
	}
	sign := p.peek()
	compare, explicit := map[string]comparison{"==": cmpEq, "!=": cmpNe, "<": cmpLt, ">": cmpGt, "<=": cmpLe, ">=": cmpGe,
		"eq": cmpEq, "ne": cmpNe, "lt": cmpLt, "gt": cmpGt, "le": cmpLe, "ge": cmpGe, "!": cmpNone}[sign.text]
	if explicit = explicit && sign.kind != tokString; explicit {
		p.i++
	}
	if o.masked && !explicit {
		p.expected(sign, "== or != behind the mask")
	}
	o.cmp = compare
	p.right(&o, f, explicit)
	o.text = p.slice(start, p.tokens[p.i-1])
	r.ops = append(r.ops, o)
}

// right reads what a field is compared to.
func (p *parser) right(o *op, f field, explicit bool) {
	at := p.peek()
	switch {
	case p.take("@"):
		p.reference(o, f.typ)
		return
	case p.is("{"):
		o.set = &Set{typ: f.typ, interval: true}
		p.elements(o.set)
		p.inSet(o, at)
		return
	}
	if f.typ == typFlags || f.typ == typState || f.typ == typStatus {
		p.rightBits(o, f, explicit)
		return
	}
	e := p.value(f)
	if e.from == e.to {
		o.value = e.from
		if o.cmp == cmpNone {
			p.fail(at, "! is for flags only")
		}
		return
	}
	o.set = &Set{typ: f.typ, elements: []interval{e}}
	p.inSet(o, at)
}

// inSet makes a comparison one with a set.
func (p *parser) inSet(o *op, at token) {
	switch o.cmp {
	case cmpEq:
		o.cmp = cmpIn
	case cmpNe:
		o.cmp = cmpNotIn
	default:
		p.fail(at, "a set or range can only be compared with == or !=")
	}
}

// rightBits reads flags: one, several that commas or | join, or flags / mask.
func (p *parser) rightBits(o *op, f field, explicit bool) {
	o.value = p.bits(f)
	for p.take(",") {
		v := p.bits(f)
		o.value.Lo |= v.Lo
	}
	if p.take("/") {
		if o.masked {
			p.fail(p.peek(), "there is a mask already")
		}
		o.masked, o.mask = true, p.bits(f)
		for p.take(",") {
			o.mask.Lo |= p.bits(f).Lo
		}
		return
	}
	if !explicit {
		o.cmp = cmpAny
	}
}

// bits reads flags that | joins, in parentheses or not.
func (p *parser) bits(f field) Value {
	paren := p.take("(")
	v := p.value(f).from
	for p.take("|") {
		v.Lo |= p.value(f).from.Lo
	}
	if paren {
		p.need(")")
	}
	return v
}

// fieldOf reads a field's name, and adds what it takes for granted.
func (p *parser) fieldOf(c *Chain, r *Rule) field {
	t := p.word("a match or a statement")
	name := t.text
	if groups[name] {
		second := p.peek()
		if second.kind != tokWord {
			p.expected(second, "a field of "+name)
		}
		p.i++
		name += " " + second.text
	}
	f, ok := fields[name]
	if !ok && groups[t.text] {
		p.fail(p.tokens[p.i-1], "%s has no field %s%s", t.text, p.tokens[p.i-1].text, p.fieldNames(t.text))
	}
	if !ok {
		var all []string
		all = append(append(all, keys(fields)...), keys(statements)...)
		p.fail(t, "%s is neither a match nor a statement that is supported%s", t.describe(), suggest(t.text, all))
	}
	f.name = name
	if f.v != 0 {
		p.ofFamily(c, r, t, f.v)
	}
	if f.l4 != 0 {
		p.conflict(r, t, uint64(f.l4))
		r.ops = append(r.ops, dependency(fL4Proto, typProto, uint64(f.l4)))
	}
	return f
}

// conflict refuses a second transport protocol in a rule.
func (p *parser) conflict(r *Rule, at token, l4 uint64) {
	for i := range r.ops {
		o := &r.ops[i]
		if o.kind == opMatch && o.field == fL4Proto && o.cmp == cmpEq && !o.masked && o.value.Lo != l4 {
			p.fail(at, "this rule asks for protocol %s already: no packet is %s too", typProto.nameOf(o.value.Lo), typProto.nameOf(l4))
		}
	}
}

func (p *parser) fieldNames(group string) string {
	var list []string
	for _, name := range keys(fields) {
		if rest, ok := strings.CutPrefix(name, group+" "); ok {
			list = append(list, rest)
		}
	}
	return " that is supported: there are " + strings.Join(list, ", ")
}

func (p *parser) verdictMap(f field, r *Rule) {
	o := op{kind: opVerdictMap, field: f.id, typ: f.typ}
	if p.take("@") {
		p.reference(&o, f.typ)
	} else {
		o.set = &Set{typ: f.typ, isMap: true, verdicts: true, interval: true}
		p.elements(o.set)
	}
	r.ops = append(r.ops, o)
}

// reference asks for a named set.
func (p *parser) reference(o *op, t typ) {
	name := p.word("a set's name")
	set := &Set{} // takes its place until all are known
	o.set = set
	if o.kind == opMatch {
		p.inSet(o, name)
	}
	isMap := o.kind == opVerdictMap
	p.fixups = append(p.fixups, fixup{p.table, name, t, func(s *Set) string {
		if isMap != s.verdicts {
			return fmt.Sprintf("%s is not a %s", s.Name, map[bool]string{true: "verdict map", false: "set"}[isMap])
		}
		*set = *s
		return ""
	}})
}

func (p *parser) setMark(f field, r *Rule) {
	at := p.need("set")
	o := op{kind: opMark}
	switch f.id {
	case fMark:
	case fCTMark:
		o.kind = opCTMark
	default:
		p.fail(at, "%s can't be set here", f.name)
	}
	o.value = p.value(f).from
	r.ops = append(r.ops, o)
}
