package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// parses fails the test unless text is well-formed, and counts elements.
func parses(t *testing.T, text string) map[string]int {
	t.Helper()
	count := map[string]int{}
	d := xml.NewDecoder(strings.NewReader("<div>" + text + "</div>"))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
		if e, ok := token.(xml.StartElement); ok {
			count[e.Name.Local]++
		}
	}
}

func TestLines(t *testing.T) {
	l := Lines{
		Title: "a < b", X: "rate & more", Y: "ms", LogY: true,
		Series: []Series{
			{Name: "one", Points: []Point{{X: 100, Y: 0.5, Low: 0.4, High: 0.7}, {X: 200, Y: 900}, {X: 300, Y: 0}, {X: 400, Y: math.NaN()}}},
			{Name: "stairs", Stairs: true, Points: []Point{{X: 100, Y: 1}, {X: 150, Y: 2}}},
		},
	}
	got := string(l.SVG())
	count := parses(t, got)
	if count["circle"] != 2 || count["path"] != 2 {
		t.Errorf("%d points and %d lines, want 2 and 2:\n%s", count["circle"], count["path"], got)
	}
	if strings.Contains(got, "NaN") || strings.Contains(got, "Inf") {
		t.Errorf("a place that is none:\n%s", got)
	}
}

func TestBars(t *testing.T) {
	p := Bars{Title: "b", Y: "MB", Bars: []Key{{"x", 0}, {"y", 3}}, Groups: []Group{{"g", []float64{1, math.NaN()}}, {"h", []float64{3, 4}}}}
	if count := parses(t, string(p.SVG())); count["rect"] != 3 {
		t.Errorf("%d bars, want 3", count["rect"])
	}
}

func TestStacks(t *testing.T) {
	p := Stacks{Title: "s", X: "ms", Parts: []string{"a", "b"}, Bars: []Group{{"x", []float64{1, 2}}, {"y", []float64{math.NaN(), 4}}}}
	got := string(p.SVG())
	if count := parses(t, got); count["rect"] != 3 || strings.Contains(got, "NaN") {
		t.Errorf("%d parts, want 3:\n%s", count["rect"], got)
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.0123: "0.0123", 999: "999", 1234: "1.23k", 355_000: "355k", 2.5e6: "2.5M"} {
		if got := short(v); got != want {
			t.Errorf("%v is %s, want %s", v, got, want)
		}
	}
}

func TestEmpty(t *testing.T) {
	for _, got := range []string{string((&Lines{LogX: true, LogY: true}).SVG()), string((&Lines{}).SVG()), string((&Bars{}).SVG()), string((&Stacks{}).SVG())} {
		parses(t, got)
		if strings.Contains(got, "NaN") || strings.Contains(got, "Inf") {
			t.Errorf("a place that is none:\n%s", got)
		}
	}
}

func TestAxis(t *testing.T) {
	for _, values := range [][]float64{{0}, {5}, {0.001, 0.002}, {3, 1e9}, {-1, 1}} {
		a := newAxis(values, 0, 100, false)
		if n := len(a.ticks()); n < 2 || n > 12 {
			t.Errorf("%v: %d ticks %v", values, n, a.ticks())
		}
		for _, v := range values {
			if at := a.at(v); at < -1e-6 || at > 100+1e-6 {
				t.Errorf("%v: %v is at %v", values, v, at)
			}
		}
	}
}
