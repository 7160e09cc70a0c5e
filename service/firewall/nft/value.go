package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Value is what a field of a packet holds: a number of up to 128 bits. An
// interface's name is the number that its bytes make, the first one highest.
type Value struct{ Hi, Lo uint64 }

func (v Value) less(w Value) bool { return v.Hi < w.Hi || v.Hi == w.Hi && v.Lo < w.Lo }

func (v Value) and(w Value) Value { return Value{v.Hi & w.Hi, v.Lo & w.Lo} }

func (v Value) zero() bool { return v == Value{} }

// NameValue is the Value of an interface's name, of at most 15 bytes.
func NameValue(name string) Value {
	var b [16]byte
	copy(b[:15], name)
	return Value{binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])}
}

// AddrValue is the Value of an address.
func AddrValue(a netip.Addr) Value {
	if a.Is4() {
		b := a.As4()
		return Value{0, uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return Value{binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])}
}

// Addr is the address that a Value stands for.
func (v Value) Addr(is6 bool) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], v.Hi)
	binary.BigEndian.PutUint64(b[8:], v.Lo)
	if is6 {
		return netip.AddrFrom16(b)
	}
	return netip.AddrFrom4([4]byte(b[12:]))
}

// Name is the interface's name that a Value stands for.
func (v Value) Name() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], v.Hi)
	binary.BigEndian.PutUint64(b[8:], v.Lo)
	return strings.TrimRight(string(b[:]), "\x00")
}

// interval is an element of a set: from and to belong to it.
type interval struct {
	from, to Value
	verdict  verdict // of a verdict map
	data     element // of another map
	pos      Pos
}

// element is the right side of a map: an address, a port, or both.
type element struct {
	addr    Value
	is6     bool
	hasAddr bool
	port    uint16
	hasPort bool
}

// verdict is what a verdict statement says.
type verdict struct {
	kind  Verdict
	name  string // of the chain to go to
	chain *Chain
	pos   Pos
}

// Set holds values.
type Set struct {
	Name     string
	typ      typ
	isMap    bool
	verdicts bool
	result   typ // of a map
	interval bool
	elements []interval
	pos      Pos
}

// linear is up to how many elements are looked through one by one.
const linear = 6

// find returns the element that holds v, nil if there is none.
func (s *Set) find(v Value) *interval {
	e := s.elements
	if len(e) <= linear {
		for i := range e {
			if !v.less(e[i].from) && !e[i].to.less(v) {
				return &e[i]
			}
		}
		return nil
	}
	low, high := 0, len(e)
	for low < high {
		mid := int(uint(low+high) >> 1)
		if v.less(e[mid].from) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	if low > 0 && !e[low-1].to.less(v) {
		return &e[low-1]
	}
	return nil
}

// seal sorts the elements. Overlaps are joined in a set, and an error in a map.
func (s *Set) seal() (at Pos, overlap bool) {
	slices.SortStableFunc(s.elements, func(a, b interval) int {
		switch {
		case a.from.less(b.from):
			return -1
		case b.from.less(a.from):
			return 1
		}
		return 0
	})
	out := s.elements[:0]
	for _, e := range s.elements {
		if n := len(out); n > 0 && !out[n-1].to.less(e.from) {
			if s.isMap && (out[n-1].from != e.from || out[n-1].to != e.to || out[n-1].data != e.data || out[n-1].verdict.kind != e.verdict.kind || out[n-1].verdict.name != e.verdict.name) {
				return e.pos, true
			}
			if out[n-1].to.less(e.to) {
				out[n-1].to = e.to
			}
			continue
		}
		out = append(out, e)
	}
	s.elements = out
	return Pos{}, false
}

// format writes a value of a type for a person.
func (t typ) format(v Value) string {
	switch t {
	case typAddr4:
		return v.Addr(false).String()
	case typAddr6:
		return v.Addr(true).String()
	case typName:
		return fmt.Sprintf("%q", v.Name())
	}
	if name := t.nameOf(v.Lo); name != "" {
		return name
	}
	if t == typState || t == typFlags || t == typStatus {
		var parts []string
		for bit := uint64(1); bit < 256; bit <<= 1 {
			if v.Lo&bit != 0 {
				if name := t.nameOf(bit); name != "" {
					parts = append(parts, name)
				} else {
					parts = append(parts, fmt.Sprintf("%#x", bit))
				}
			}
		}
		return strings.Join(parts, "|")
	}
	return fmt.Sprint(v.Lo)
}
