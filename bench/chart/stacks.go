package chart

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
)

// Stacks is a plot of bars that lie, each of them of parts one after the other.
type Stacks struct {
	Title, X string
	Parts    []string // names, in their order; each has a colour
	Bars     []Group  // values by part; NaN is a part that the bar does not have
}

// Room of a bar, and of the names to the left.
const (
	barRoom, barHeight = 44.0, 26.0
	namesRoom          = 100.0
)

// SVG is the plot.
func (p *Stacks) SVG() template.HTML {
	var b strings.Builder
	bottom := top + barRoom*float64(len(p.Bars))
	openSized(&b, p.Title, bottom+below)
	var sums []float64
	for _, bar := range p.Bars {
		sums = append(sums, total(bar))
	}
	x := newAxis(sums, namesRoom, width-right, false)
	for _, v := range x.ticks() {
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, x.at(v), x.at(v), top, bottom)
		text(&b, x.at(v), bottom+16, "middle", number(v))
	}
	text(&b, (namesRoom+width-right)/2, bottom+38, "middle", p.X)
	for i, bar := range p.Bars {
		p.bar(&b, bar, top+barRoom*float64(i), x)
	}
	b.WriteString("</svg>")
	var keys []Key
	for i, name := range p.Parts {
		keys = append(keys, Key{name, i})
	}
	b.WriteString(legend(keys))
	return template.HTML(b.String())
}

func (p *Stacks) bar(b *strings.Builder, bar Group, at float64, x axis) {
	text(b, namesRoom-6, at+barRoom/2+4, "end", bar.Name)
	from := 0.0
	for i, v := range bar.Values {
		if math.IsNaN(v) {
			continue
		}
		fmt.Fprintf(b, `<g class="series%d"><rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s, %s: %s</title></rect></g>`,
			i%Colours, x.at(from), at+(barRoom-barHeight)/2, x.at(from+v)-x.at(from), barHeight,
			html.EscapeString(bar.Name), html.EscapeString(p.Parts[i]), number(v))
		from += v
	}
}

func total(g Group) float64 {
	sum := 0.0
	for _, v := range g.Values {
		if !math.IsNaN(v) {
			sum += v
		}
	}
	return sum
}
