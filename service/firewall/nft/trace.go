package nft

import "fmt"

// Trace notes what was looked at for one packet.
type Trace struct{ Steps []Step }

// Step is one rule, or a chain's policy.
type Step struct {
	Hook    string `json:"hook,omitempty"`
	Table   string `json:"table"`
	Chain   string `json:"chain"`
	Rule    string `json:"rule,omitempty"`
	Pos     string `json:"position,omitempty"`
	Matched bool   `json:"matched"`
	Why     string `json:"why"`
}

func (t *Trace) add(c *Chain, s Step) {
	s.Table, s.Chain = c.Table.Family.String()+" "+c.Table.Name, c.Name
	if c.Base {
		s.Hook = c.Hook.String()
	}
	t.Steps = append(t.Steps, s)
}

func (t *Trace) hit(c *Chain, r *Rule, what string) {
	t.add(c, Step{Rule: r.Text, Pos: r.Pos.String(), Matched: true, Why: what})
}

// miss notes the first part of a rule that the packet is not like.
func (t *Trace) miss(c *Chain, r *Rule, o *op, ctx *Context) {
	why := o.text
	switch {
	case o.kind == opLimit:
		why += " is exceeded"
	default:
		v, ok := ctx.load(o.field)
		if ok {
			why = fmt.Sprintf("not %s: it is %s", o.text, o.typ.format(v))
		} else {
			why = fmt.Sprintf("not %s: the packet has no such field", o.text)
		}
	}
	t.add(c, Step{Rule: r.Text, Pos: r.Pos.String(), Why: why})
}

func (t *Trace) policy(c *Chain) {
	t.add(c, Step{Matched: true, Why: "policy " + c.Policy.String()})
}
