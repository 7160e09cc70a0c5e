package nft

import (
	"fmt"
	"slices"
	"strings"
)

// maxDepth is how deep jumps may nest (Linux: NFT_JUMP_STACK_SIZE).
const maxDepth = 16

// note adds an error at a place.
func (p *parser) note(pos Pos, format string, args ...any) {
	p.errs = append(p.errs, newError(p.texts[pos.File], pos, fmt.Sprintf(format, args...)))
}

// link joins what rules name with what the file declares, and checks what only the
// whole can tell.
func (p *parser) link() {
	for _, f := range p.fixups {
		p.resolve(f)
	}
	for _, t := range p.rules.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				p.jumps(t, r)
			}
		}
	}
	if len(p.errs) > 0 {
		return
	}
	for _, t := range p.rules.Tables {
		for _, c := range t.Chains {
			if c.Base {
				p.walk(c, c, nil)
			} else {
				p.walk(nil, c, nil)
			}
		}
	}
}

func (p *parser) resolve(f fixup) {
	s := f.table.Sets[f.name.text]
	switch {
	case s == nil:
		p.note(f.name.pos, "table %s has no set %s%s", f.table.Name, f.name.text, suggest(f.name.text, keys(f.table.Sets)))
	case s.typ != f.typ:
		p.note(f.name.pos, "set %s holds %s, but %s is looked for", s.Name, s.typ, f.typ)
	default:
		if wrong := f.use(s); wrong != "" {
			p.note(f.name.pos, "%s", wrong)
		}
	}
}

// jumps finds the chains that a rule goes to.
func (p *parser) jumps(t *Table, r *Rule) {
	find := func(v *verdict) {
		if v.name == "" {
			return
		}
		v.chain = t.Chain(v.name)
		switch {
		case v.chain == nil:
			p.note(v.pos, "table %s has no chain %s%s", t.Name, v.name, suggest(v.name, chainNames(t)))
		case v.chain.Base:
			p.note(v.pos, "chain %s has a hook and can't be jumped to", v.name)
		}
	}
	for i := range r.ops {
		o := &r.ops[i]
		if o.kind == opVerdict {
			find(&o.verdict)
		}
		if o.kind == opVerdictMap {
			for j := range o.set.elements {
				find(&o.set.elements[j].verdict)
			}
		}
	}
}

// walk checks a chain as it is reached from a base chain (nil: from nowhere),
// along path.
func (p *parser) walk(base, c *Chain, path []*Chain) {
	if slices.Contains(path, c) {
		p.note(c.pos, "chain %s comes back to itself by %s", c.Name, strings.Join(nameAll(path), ", "))
		return
	}
	if len(path) >= maxDepth {
		p.note(c.pos, "chains are nested more than %d deep", maxDepth)
		return
	}
	path = append(path, c)
	for _, r := range c.Rules {
		for i := range r.ops {
			if p.full() {
				return
			}
			o := &r.ops[i]
			if base != nil && o.needs != "" {
				p.allowed(base, o)
			}
			if o.kind == opVerdict && o.verdict.chain != nil {
				p.walk(base, o.verdict.chain, path)
			}
			if o.kind == opVerdictMap {
				for j := range o.set.elements {
					if to := o.set.elements[j].verdict.chain; to != nil {
						p.walk(base, to, path)
					}
				}
			}
		}
	}
}

// allowed checks that a statement may stand in what a base chain reaches.
func (p *parser) allowed(base *Chain, o *op) {
	words := strings.Fields(o.needs)
	if words[0] == "nat" && base.Type != "nat" {
		p.note(o.pos, "this statement needs a chain of type nat; %s is of type %s", base.Name, base.Type)
		return
	}
	if !slices.Contains(words, base.Hook.String()) {
		p.note(o.pos, "this statement can't be used at hook %s, where chain %s is", base.Hook, base.Name)
	}
}

func nameAll(chains []*Chain) []string {
	var list []string
	for _, c := range chains {
		list = append(list, c.Name)
	}
	return list
}

// order sorts the base chains into their hooks. Of two with the same priority Linux
// asks the later one first (nf_hook_entries_grow).
func (r *Ruleset) order() {
	for _, t := range r.Tables {
		for _, c := range t.Chains {
			switch {
			case !c.Base:
			case c.Type == "nat":
				r.nats[c.Hook] = append(r.nats[c.Hook], c)
			default:
				r.filters[c.Hook] = append(r.filters[c.Hook], c)
			}
		}
	}
	for _, list := range [][hooks][]*Chain{r.filters, r.nats} {
		for _, chains := range list {
			slices.Reverse(chains)
			slices.SortStableFunc(chains, func(a, b *Chain) int { return a.Priority - b.Priority })
		}
	}
	r.tracks = slices.ContainsFunc(r.Tables, (*Table).tracks)
}

// tracks tells whether connections matter to a table: to what a rule asks or sets, or
// to a chain that translates.
func (t *Table) tracks() bool {
	for _, c := range t.Chains {
		if c.Base && c.Type == "nat" {
			return true
		}
		for _, r := range c.Rules {
			for i := range r.ops {
				if r.ops[i].tracks() {
					return true
				}
			}
		}
	}
	return false
}

func (o *op) tracks() bool {
	switch o.field {
	case fState, fDirection, fCTMark, fStatus:
		return true
	}
	return o.kind == opCTMark || o.kind == opNAT
}
