package mm

import (
	"math/rand/v2"
	"testing"
)

// model says for each of 256 pages what protection it has, -1 is nothing, and
// what it shows, 0 is nothing else.
type model struct {
	prot   [256]int
	source [256]uintptr
}

func (m *model) fill(start, end uintptr, prot int, source uintptr) {
	for i := start; i < end; i++ {
		m.prot[i], m.source[i] = prot, 0
		if source != 0 {
			m.source[i] = source + i - start
		}
	}
}

// protect changes the protection of pages that are there.
func (m *model) protect(start, end uintptr, prot int) {
	for i := start; i < end; i++ {
		if m.prot[i] >= 0 {
			m.prot[i] = prot | m.prot[i]&int(Frozen)
		}
	}
}

// check compares the table with the model, and its own order.
func check(t *testing.T, r *regions, m *model) {
	t.Helper()
	for i := 1; i < r.n; i++ {
		a, b := r.list[i-1], r.list[i]
		if a.end > b.start {
			t.Fatalf("regions %v and %v overlap", a, b)
		}
		if a.end == b.start && a.alike(b) {
			t.Fatalf("regions %v and %v are alike and not joined", a, b)
		}
	}
	for page, prot := range m.prot {
		reg, found := r.find(uintptr(page))
		if found != (prot >= 0) || found && int(reg.prot) != prot {
			t.Fatalf("page %d: %v %v, the model has %d", page, reg, found, prot)
		}
		source := uintptr(0)
		if found && reg.source != 0 {
			source = reg.shown(uintptr(page))
		}
		if source != m.source[page] {
			t.Fatalf("page %d shows %d, want %d", page, source, m.source[page])
		}
	}
}

func step(t *testing.T, r *regions, m *model, op, a, b byte) {
	start, end := uintptr(min(a, b)), uintptr(max(a, b))
	if start == end {
		return
	}
	done := true
	switch prot := int(op >> 4 & 15); op % 5 {
	case 0, 1:
		done = r.set(start, end, Prot(prot))
		m.fill(start, end, prot, 0)
	case 2:
		done = r.put(region{start: start, end: end, prot: Prot(prot), source: 1000 + start/16})
		m.fill(start, end, prot, 1000+start/16)
	case 3:
		done = r.protect(start, end, Prot(prot&7))
		m.protect(start, end, prot&7)
	case 4:
		done = r.clear(start, end)
		m.fill(start, end, -1, 0)
	}
	if !done {
		t.Fatal("the table is full")
	}
	check(t, r, m)
	covered, overlaps := true, false
	for i := start; i < end; i++ {
		covered = covered && m.prot[i] >= 0
		overlaps = overlaps || m.prot[i] >= 0
	}
	if r.covered(start, end) != covered || r.overlaps(start, end) != overlaps {
		t.Fatalf("[%d,%d): covered and overlaps are wrong", start, end)
	}
}

func newModel() *model {
	m := &model{}
	m.fill(0, uintptr(len(m.prot)), -1, 0)
	return m
}

func TestRegionsAgainstModel(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		r, m := &regions{}, newModel()
		for range 300 {
			step(t, r, m, byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32()))
		}
	}
}

func FuzzRegions(f *testing.F) {
	f.Add([]byte{0, 1, 9, 1, 4, 6, 4, 5, 5})
	f.Fuzz(func(t *testing.T, ops []byte) {
		r, m := &regions{}, newModel()
		for ; len(ops) >= 3; ops = ops[3:] {
			step(t, r, m, ops[0], ops[1], ops[2])
		}
	})
}

func TestGap(t *testing.T) {
	r := &regions{}
	r.set(10, 20, Read)
	r.set(25, 30, Write)
	for _, c := range []struct{ low, high, size, want uintptr }{
		{1, 100, 5, 1}, {10, 100, 5, 20}, {10, 100, 6, 30}, {10, 33, 6, 0}, {12, 100, 1, 20}, {40, 100, 60, 40}, {40, 100, 61, 0},
	} {
		if got := r.gap(c.low, c.high, c.size); got != c.want {
			t.Errorf("gap(%d, %d, %d) = %d, want %d", c.low, c.high, c.size, got, c.want)
		}
	}
}

func TestRegionTableFull(t *testing.T) {
	r := &regions{}
	for i := uintptr(0); ; i++ {
		if !r.set(i*2, i*2+1, Read) {
			break
		}
	}
	if r.n < maxRegions-2 {
		t.Fatalf("full at %d regions", r.n)
	}
	if _, found := r.find(0); !found {
		t.Error("a refused region damaged others")
	}
}

// TestShowing: which part of an alias shows part of its source.
func TestShowing(t *testing.T) {
	r := region{start: 100, end: 110, source: 50}
	for _, c := range []struct {
		start, end, from, to uintptr
		any                  bool
	}{
		{50, 60, 100, 110, true}, {0, 50, 0, 0, false}, {60, 70, 0, 0, false}, {0, 51, 100, 101, true}, {53, 55, 103, 105, true}, {59, 99, 109, 110, true},
	} {
		from, to, any := r.showing(c.start, c.end)
		if from != c.from || to != c.to || any != c.any {
			t.Errorf("[%d,%d): [%d,%d) %v", c.start, c.end, from, to, any)
		}
	}
}

// TestCopyRegions: what moves keeps its protections and what it shows, part by part,
// and goes on as its last part does.
func TestCopyRegions(t *testing.T) {
	s := &Space{}
	s.regions.put(region{start: 100, end: 110, prot: Read})
	s.regions.put(region{start: 110, end: 120, prot: Read | Frozen, source: 50})
	s.regions.put(region{start: 120, end: 130, prot: Write})
	last := s.copyRegions(105, 118, 205)
	s.regions.put(last.onwards(218, 230))
	for at, want := range map[uintptr]region{205: {prot: Read}, 209: {prot: Read}, 210: {prot: Read | Frozen, source: 50}, 229: {prot: Read | Frozen, source: 69}} {
		r, found := s.regions.find(at)
		source := uintptr(0)
		if r.source != 0 {
			source = r.shown(at)
		}
		if !found || r.prot != want.prot || source != want.source {
			t.Errorf("at %d there is %+v, which shows %d; want %+v", at, r, source, want)
		}
	}
	if s.regions.overlaps(200, 205) || s.regions.overlaps(230, 300) || s.regions.n != 5 {
		t.Errorf("the table is %+v", s.regions.list[:s.regions.n])
	}
	again := s.copyRegions(112, 112, 300)
	s.regions.put(again.onwards(300, 303))
	if r, _ := s.regions.find(302); r.source != 52 || r.shown(302) != 54 {
		t.Errorf("a second look at the same memory is %+v", r)
	}
}

func TestEachFree(t *testing.T) {
	ram, reserved := &Ranges{}, &Ranges{}
	ram.Add(0, 100)
	ram.Add(200, 300)
	reserved.Add(10, 20)
	reserved.Add(15, 40)
	reserved.Add(90, 210)
	var got []Range
	eachFree(ram, reserved, func(start, end uintptr) { got = append(got, Range{start, end}) })
	want := []Range{{0, 10}, {40, 90}, {210, 300}}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("stretch %d: %v, want %v", i, got[i], want[i])
		}
	}
}
