package deploy

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"pith"
)

// Measures of the picture, in pixels.
const (
	boxWidth, boxHeight = 170, 56
	columnWidth         = boxWidth + 60
	rowHeight           = boxHeight + 110
	margin              = 40
	labelWidth          = 190 // of the networks' names
)

// colours of statuses: what fills the box, and its frame.
var colours = map[Status][2]string{
	Healthy:   {"#e3f6e5", "#2e8b3d"},
	Completed: {"#e3f6e5", "#2e8b3d"},
	Starting:  {"#fff5d6", "#b98900"},
	Waiting:   {"#fff5d6", "#b98900"},
	Running:   {"#fff5d6", "#b98900"},
	Restarts:  {"#ffe4d6", "#c4570c"},
	Unhealthy: {"#fde0e0", "#b3261e"},
	Failed:    {"#fde0e0", "#b3261e"},
}

// Graph draws a topology as SVG 1.1: networks are lines, instances are boxes that
// hang between those that they are in, coloured by their states. Without a state a box
// is grey.
func Graph(t pith.Topology, states map[string]InstanceState) []byte {
	g := graph{row: map[string]int{}}
	for i, n := range t.Networks {
		g.row[n.Name] = i
	}
	boxes := boxesOf(t)
	g.width = margin*2 + labelWidth + columnWidth*len(boxes)
	height := margin*2 + rowHeight*len(t.Networks)
	fmt.Fprintf(&g.svg, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12">`+"\n", g.width, height)
	fmt.Fprintf(&g.svg, "<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n", escape(t.Name))
	for _, n := range t.Networks {
		g.network(n)
	}
	for i, b := range boxes {
		g.box(margin+labelWidth+columnWidth*i, b, states[b.name])
	}
	g.svg.WriteString("</svg>\n")
	return g.svg.Bytes()
}

// box is one instance in the picture.
type box struct {
	name, service string
	links         []pith.ServiceLink // with the replica's own addresses
}

// boxesOf are all instances, from the uppermost network down.
func boxesOf(t pith.Topology) []box {
	var boxes []box
	for _, s := range t.Services {
		for r := range s.Replicas {
			b := box{fmt.Sprintf("%s-%s-%d", t.Name, s.Name, r+1), s.Name, nil}
			for _, l := range s.Links {
				l.Addrs = slices.Clone(l.Addrs)
				for i, p := range l.Addrs {
					l.Addrs[i] = netip.PrefixFrom(nth(p.Addr(), r), p.Bits())
				}
				b.links = append(b.links, l)
			}
			boxes = append(boxes, b)
		}
	}
	row := func(name string) int {
		return slices.IndexFunc(t.Networks, func(n pith.Network) bool { return n.Name == name })
	}
	for _, b := range boxes {
		slices.SortStableFunc(b.links, func(x, y pith.ServiceLink) int { return row(x.Network) - row(y.Network) })
	}
	slices.SortStableFunc(boxes, func(x, y box) int {
		if len(x.links) == 0 || len(y.links) == 0 {
			return len(y.links) - len(x.links)
		}
		return cmp.Compare(row(x.links[0].Network), row(y.links[0].Network))
	})
	return boxes
}

// nth is the address n places on.
func nth(a netip.Addr, n int) netip.Addr {
	for range n {
		a = a.Next()
	}
	return a
}

// graph is a picture in the making.
type graph struct {
	svg   bytes.Buffer
	row   map[string]int // of a network
	width int
}

func (g *graph) y(network string) int { return margin + rowHeight*g.row[network] }

func (g *graph) network(n pith.Network) {
	y := g.y(n.Name)
	fmt.Fprintf(&g.svg, `<line class="network" x1="%d" y1="%d" x2="%d" y2="%[2]d" stroke="#456" stroke-width="4" stroke-linecap="round"/>`+"\n", margin, y, g.width-margin)
	g.text(margin, y-9, "start", "bold", n.Name)
	g.text(margin, y+19, "start", "normal", subnets(n))
}

// box draws an instance below the uppermost of its networks.
func (g *graph) box(x int, b box, s InstanceState) {
	top := margin + 50
	if len(b.links) > 0 {
		top = g.y(b.links[0].Network) + 50
	}
	for i, l := range b.links {
		at, y, from := x+boxWidth*(i+1)/(len(b.links)+1), g.y(l.Network), top
		if y > top {
			from = top + boxHeight
		}
		fmt.Fprintf(&g.svg, `<line class="edge" x1="%d" y1="%d" x2="%[1]d" y2="%[3]d" stroke="#789" stroke-width="2"/>`+"\n", at, from, y)
		fmt.Fprintf(&g.svg, `<circle cx="%d" cy="%d" r="5" fill="#456"/>`+"\n", at, y)
		label := y + 22
		if y > top {
			label = y - 12
		}
		g.text(at+7, label, "start", "normal", addresses(l))
	}
	colour, ok := colours[s.Status]
	if !ok {
		colour = [2]string{"#eef0f2", "#89939c"}
	}
	fmt.Fprintf(&g.svg, `<rect class="instance" x="%d" y="%d" width="%d" height="%d" rx="8" fill="%s" stroke="%s" stroke-width="2"/>`+"\n", x, top, boxWidth, boxHeight, colour[0], colour[1])
	g.text(x+boxWidth/2, top+24, "middle", "bold", b.service)
	g.text(x+boxWidth/2, top+43, "middle", "normal", caption(s))
}

// caption is what is known of an instance: "healthy, 2 restarts".
func caption(s InstanceState) string {
	words := []string{cmp.Or(string(s.Status), "not up")}
	if s.Restarts > 0 {
		words = append(words, fmt.Sprintf("%d restarts", s.Restarts))
	}
	return strings.Join(words, ", ")
}

func addresses(l pith.ServiceLink) string {
	var words []string
	for _, p := range l.Addrs {
		words = append(words, p.Addr().String())
	}
	return strings.Join(words, " ")
}

func (g *graph) text(x, y int, anchor, weight, s string) {
	fmt.Fprintf(&g.svg, `<text x="%d" y="%d" text-anchor="%s" font-weight="%s">%s</text>`+"\n", x, y, anchor, weight, escape(s))
}

func escape(s string) string {
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		panic("BUG: a buffer refuses: " + err.Error())
	}
	return b.String()
}
