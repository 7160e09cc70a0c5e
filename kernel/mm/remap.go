package mm

import "pith/kernel/cpu"

const eFAULT = 14

// Remap is mremap(2) for memory in one region: it becomes want bytes long,
// where it is if that is possible and to isn't given, else elsewhere if it may
// move. keep leaves the old addresses reserved (MREMAP_DONTUNMAP). old is 0 to
// show a file's memory a second time.
func (s *Space) Remap(from, old, want, to uintptr, mayMove, fixed, keep bool) (uintptr, int) {
	const mask = PageSize - 1
	old, want = (old+mask)&^mask, (want+mask)&^mask
	switch {
	case (from|to)&mask != 0 || want == 0 || (fixed || keep) && !mayMove || keep && old != want:
		return 0, eINVAL
	case from+old < from || want > highest:
		return 0, eINVAL
	case fixed && to < from+old && from < to+want:
		return 0, eINVAL
	}
	s.mu.Lock()
	at, err := s.remap(from, old, want, to, mayMove, fixed, keep)
	s.mu.Unlock()
	return at, err
}

func (s *Space) remap(from, old, want, to uintptr, mayMove, fixed, keep bool) (uintptr, int) {
	r, found := s.regions.find(from)
	switch {
	case !found || from+old > r.end:
		return 0, eFAULT
	case old == 0 && r.source == 0:
		return 0, eINVAL
	case want <= old && !fixed && !keep:
		return from, s.cutOff(from+want, from+old)
	case old != 0 && !fixed && !keep && s.extend(r, from+old, from+want):
		return from, ok
	case !mayMove:
		return 0, eNOMEM
	}
	if want < old { // only with fixed: what is left over goes first
		if err := s.cutOff(from+want, from+old); err != ok {
			return 0, err
		}
		old = want
	}
	return s.move(r.from(from), old, want, to, fixed, keep)
}

// cutOff unmaps [start, end), which may be empty.
func (s *Space) cutOff(start, end uintptr) int {
	if start == end {
		return ok
	}
	s.discard(start, end)
	if !s.regions.clear(start, end) {
		return eNOMEM
	}
	return ok
}

// extend makes region r, which ends at end, go on to limit, if nothing is there.
func (s *Space) extend(r region, end, limit uintptr) bool {
	if r.end != end || limit > highest || s.regions.overlaps(end, limit) ||
		end < s.image.end && limit > s.image.start {
		return false
	}
	more := region{start: end, end: limit, prot: r.prot}
	if r.source != 0 {
		more.source = r.shown(end)
	}
	return s.regions.put(more)
}

// move gives r's first old bytes a new place of want bytes.
func (s *Space) move(r region, old, want, to uintptr, fixed, keep bool) (uintptr, int) {
	if err := s.place(&to, want, fixed, false); err != ok {
		return 0, err
	}
	if fixed {
		s.discard(to, to+want)
	}
	if s.regions.n+6 > maxRegions || r.source == 0 && !s.prepare(r.start, r.start+old, to) {
		return 0, eNOMEM
	}
	s.regions.put(region{start: to, end: to + want, prot: r.prot, source: r.source})
	if r.source == 0 {
		s.carry(r.start, r.start+old, to)
	}
	if old > 0 && !keep {
		s.discard(r.start, r.start+old)
		s.regions.clear(r.start, r.start+old)
	}
	return to, ok
}

// prepare makes page tables for what carry will move, and small pages of large
// ones, so that carry can't fail.
func (s *Space) prepare(start, end, to uintptr) bool {
	for va := start; va < end; {
		addr, level := s.entry(va, 1, false)
		if addr == 0 {
			va = nextTable(va, level)
			continue
		}
		if level == 2 && !s.splitLarge(addr) {
			return false
		}
		if pte, level := s.entry(to+va-start, 1, true); pte == 0 || level != 1 {
			return false
		}
		va += PageSize
	}
	return true
}

// carry moves the frames of [start, end) to the addresses from to on.
func (s *Space) carry(start, end, to uintptr) {
	for va := start; va < end; {
		addr, level := s.entry(va, 1, false)
		if addr == 0 {
			va = nextTable(va, level)
			continue
		}
		if e := cpu.Load64(addr); e&addrMask != 0 {
			pte, _ := s.entry(to+va-start, 1, false)
			cpu.Store64(pte, e)
			cpu.Store64(addr, 0)
		}
		va += PageSize
	}
	s.flushAll()
}
