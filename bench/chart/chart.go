// Package chart draws the plots of a report as SVG that stands inside a page: lines
// with ranges, steps and bars. It relies on SVG 1.1 and on the page's style for
// colours (classes series0 to series7). It must not need a script or anything
// from elsewhere.
package chart

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Size of a plot, and of the room around its area for the axes' labels.
const (
	width, height           = 640.0, 360.0
	left, right, top, below = 70.0, 20.0, 20.0, 50.0
)

// Colours is how many series have a colour of their own.
const Colours = 8

// Point is one value and its range.
type Point struct {
	X, Y      float64
	Low, High float64 // equal: no range is drawn
}

// Series is one line.
type Series struct {
	Name   string
	Points []Point
	Stairs bool // the line goes sideways, then up
	Colour int  // from 0
}

// Lines is a plot of lines.
type Lines struct {
	Title, X, Y string
	LogX, LogY  bool    // values of 0 or less are left out
	Mark        float64 // a place on the X axis where a line goes up; 0 is none
	Series      []Series
}

// axis maps values to places.
type axis struct {
	from, to   float64 // values
	start, end float64 // places
	log        bool
}

func (a axis) at(v float64) float64 {
	from, to := a.from, a.to
	if a.log {
		v, from, to = math.Log10(v), math.Log10(from), math.Log10(to)
	}
	return a.start + (v-from)/(to-from)*(a.end-a.start)
}

// newAxis holds all values, with round ends.
func newAxis(values []float64, start, end float64, log bool) axis {
	a := axis{0, 1, start, end, log}
	if log {
		a.from, a.to = 1, 10
	}
	if len(values) == 0 {
		return a
	}
	low, high := slices.Min(values), slices.Max(values)
	if log {
		a.from, a.to = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
		if a.from == a.to {
			a.to *= 10
		}
		return a
	}
	a.from, a.to = min(0, low), max(high, low)
	if a.from == a.to {
		a.to++
	}
	step := a.step()
	a.to = math.Ceil(a.to/step-1e-9) * step
	return a
}

// step is the distance of ticks: 1, 2 or 5 times a power of ten.
func (a axis) step() float64 {
	rough := (a.to - a.from) / 6
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, n := range []float64{1, 2, 5} {
		if n*power >= rough {
			return n * power
		}
	}
	return 10 * power
}

func (a axis) ticks() []float64 {
	var ticks []float64
	if a.log {
		for v := a.from; v <= a.to*1.0001; v *= 10 {
			ticks = append(ticks, v)
		}
		return ticks
	}
	step := a.step()
	for v := math.Ceil(a.from/step) * step; v <= a.to+step/1000; v += step {
		ticks = append(ticks, v)
	}
	return ticks
}

func number(v float64) string {
	if v == 0 {
		return "0" // not -0
	}
	return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64)
}

// tick is a number of the upright axis, which has room for five characters.
func tick(v float64) string {
	if math.Abs(v) >= 1e5 {
		return short(v)
	}
	return number(v)
}

// drawn keeps what a plot can show.
func (l *Lines) drawn(p Point) bool {
	return !math.IsNaN(p.Y) && !math.IsInf(p.Y, 0) && (!l.LogY || p.Y > 0) && (!l.LogX || p.X > 0)
}

func (l *Lines) axes() (x, y axis) {
	var xs, ys []float64
	for _, s := range l.Series {
		for _, p := range s.Points {
			if !l.drawn(p) {
				continue
			}
			xs, ys = append(xs, p.X), append(ys, p.Y)
			if p.Low != p.High && (!l.LogY || p.Low > 0) {
				ys = append(ys, p.Low, p.High)
			}
		}
	}
	return newAxis(xs, left, width-right, l.LogX), newAxis(ys, height-below, top, l.LogY)
}

// SVG is the plot.
func (l *Lines) SVG() template.HTML {
	var b strings.Builder
	open(&b, l.Title)
	x, y := l.axes()
	for _, v := range x.ticks() {
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, x.at(v), x.at(v), top, height-below)
		text(&b, x.at(v), height-below+16, "middle", number(v))
	}
	if l.Mark > 0 && l.Mark >= x.from && l.Mark <= x.to {
		fmt.Fprintf(&b, `<line class="mark" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, x.at(l.Mark), x.at(l.Mark), top, height-below)
	}
	levels(&b, y)
	text(&b, (left+width-right)/2, height-12, "middle", l.X)
	upright(&b, l.Y)
	var keys []Key
	for _, s := range l.Series {
		l.line(&b, s, x, y)
		keys = append(keys, Key{s.Name, s.Colour})
	}
	b.WriteString("</svg>")
	b.WriteString(legend(keys))
	return template.HTML(b.String())
}

func (l *Lines) line(b *strings.Builder, s Series, x, y axis) {
	var path, marks strings.Builder
	command := "M"
	for _, p := range s.Points {
		if !l.drawn(p) {
			continue
		}
		px, py := x.at(p.X), y.at(p.Y)
		if s.Stairs && command == "L" {
			fmt.Fprintf(&path, "H%.1f V%.1f ", px, py)
		} else {
			fmt.Fprintf(&path, "%s%.1f %.1f ", command, px, py)
		}
		command = "L"
		if s.Stairs {
			continue
		}
		if p.Low != p.High && (!l.LogY || p.Low > 0) {
			fmt.Fprintf(&marks, `<line class="range" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, px, px, y.at(p.Low), y.at(p.High))
		}
		fmt.Fprintf(&marks, `<circle cx="%.1f" cy="%.1f" r="3"><title>%s: %s, %s</title></circle>`, px, py, html.EscapeString(s.Name), number(p.X), number(p.Y))
	}
	fmt.Fprintf(b, `<g class="series%d"><path d="%s"/>%s</g>`, s.Colour%Colours, path.String(), marks.String())
}

// Bars is a plot of groups of bars.
type Bars struct {
	Title, Y string
	Bars     []Key // of a group
	Groups   []Group
}

// Key is a name and its colour, from 0.
type Key struct {
	Name   string
	Colour int
}

// Group is one group of bars; a value of NaN is missing.
type Group struct {
	Name   string
	Values []float64
}

// labelRoom is for the value above the highest bar.
const labelRoom = 16.0

// SVG is the plot.
func (p *Bars) SVG() template.HTML {
	var b strings.Builder
	open(&b, p.Title)
	var values []float64
	for _, g := range p.Groups {
		values = append(values, slices.DeleteFunc(slices.Clone(g.Values), math.IsNaN)...)
	}
	y := newAxis(values, height-below, top+labelRoom, false)
	levels(&b, y)
	upright(&b, p.Y)
	room := (width - left - right) / float64(max(1, len(p.Groups)))
	for i, g := range p.Groups {
		p.group(&b, g, left+float64(i)*room, room, y)
	}
	b.WriteString("</svg>")
	b.WriteString(legend(p.Bars))
	return template.HTML(b.String())
}

func (p *Bars) group(b *strings.Builder, g Group, at, room float64, y axis) {
	bar := room * 0.8 / float64(max(1, len(g.Values)))
	for i, v := range g.Values {
		if math.IsNaN(v) {
			continue
		}
		x := at + room*0.1 + float64(i)*bar
		fmt.Fprintf(b, `<g class="series%d"><rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s, %s: %s</title></rect></g>`,
			p.Bars[i].Colour%Colours, x, y.at(v), bar*0.9, y.start-y.at(v), html.EscapeString(g.Name), html.EscapeString(p.Bars[i].Name), number(v))
		p.label(b, x+bar*0.45, y.at(v)-4, bar, short(v))
	}
	for i, line := range strings.Split(g.Name, ", ") { // names are longer than their room
		text(b, at+room/2, height-below+16+14*float64(i), "middle", line)
	}
}

// label writes a bar's value, upright where the bar is too narrow for it.
func (p *Bars) label(b *strings.Builder, x, y, room float64, words string) {
	const wide = 7 // of a character, about
	if wide*float64(len(words)) <= room {
		text(b, x, y, "middle", words)
		return
	}
	fmt.Fprintf(b, `<text transform="translate(%.1f %.1f) rotate(-90)">%s</text>`, x+4, y, html.EscapeString(words))
}

// short is three digits, with k or M for thousands and millions.
func short(v float64) string {
	unit := ""
	for _, next := range []string{"k", "M", "G"} {
		if math.Abs(v) < 1000 {
			break
		}
		v, unit = v/1000, next
	}
	return strconv.FormatFloat(v, 'g', 3, 64) + unit
}

func open(b *strings.Builder, title string) { openSized(b, title, height) }

func openSized(b *strings.Builder, title string, height float64) {
	fmt.Fprintf(b, `<svg class="plot" viewBox="0 0 %g %g" role="img" aria-label="%s" xmlns="http://www.w3.org/2000/svg">`, width, height, html.EscapeString(title))
}

// levels draws the lines across and their numbers.
func levels(b *strings.Builder, y axis) {
	for _, v := range y.ticks() {
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, left, width-right, y.at(v), y.at(v))
		text(b, left-6, y.at(v)+4, "end", tick(v))
	}
}

func text(b *strings.Builder, x, y float64, anchor, words string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, html.EscapeString(words))
}

func upright(b *strings.Builder, words string) {
	fmt.Fprintf(b, `<text transform="translate(14 %.1f) rotate(-90)" text-anchor="middle">%s</text>`, (top+height-below)/2, html.EscapeString(words))
}

func legend(keys []Key) string {
	var b strings.Builder
	b.WriteString(`<div class="legend">`)
	for _, k := range keys {
		fmt.Fprintf(&b, `<span class="series%d"><i></i>%s</span>`, k.Colour%Colours, html.EscapeString(k.Name))
	}
	b.WriteString(`</div>`)
	return b.String()
}
