package mm

import "pith/kernel/cpu"

const eFAULT = 14

// Remap is mremap(2): memory becomes want bytes long, where it is if that is
// possible and to isn't given, else elsewhere if it may move. keep leaves the old
// addresses reserved (MREMAP_DONTUNMAP). old is 0 to show a file's memory a second
// time.
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
	last, found := s.regions.find(from + max(old, 1) - 1)
	switch {
	case !found || !s.regions.covered(from, from+old):
		return 0, eFAULT
	case old == 0 && last.source == 0:
		return 0, eINVAL
	case want <= old && !fixed && !keep:
		return from, s.cutOff(from+want, from+old)
	case old != 0 && !fixed && !keep && s.extend(last, from+old, from+want):
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
	return s.move(from, old, want, to, fixed, keep)
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
	return s.regions.put(r.onwards(end, limit))
}

// onwards is a region at [start, end) that goes on as r does from its own end, or
// would.
func (r region) onwards(start, end uintptr) region {
	more := region{start: start, end: end, prot: r.prot}
	if r.source != 0 {
		more.source = r.shown(r.end)
	}
	return more
}

// move gives what lies in [from, from+old), all of which is reserved, a new place
// of want bytes.
func (s *Space) move(from, old, want, to uintptr, fixed, keep bool) (uintptr, int) {
	if err := s.place(&to, want, fixed, false); err != ok {
		return 0, err
	}
	if fixed {
		s.discard(to, to+want)
	}
	if s.regions.n+2*s.regions.within(from, from+old)+4 > maxRegions || !s.prepare(from, from+old, to) {
		return 0, eNOMEM
	}
	last := s.copyRegions(from, from+old, to)
	if want > old {
		s.regions.put(last.onwards(to+old, to+want))
	}
	s.carry(from, from+old, to)
	if old > 0 && !keep {
		s.discard(from, from+old)
		s.regions.clear(from, from+old)
	}
	return to, ok
}

// copyRegions reserves at to what is reserved in [from, end), and returns its last
// part, cut at end. The table has room.
func (s *Space) copyRegions(from, end, to uintptr) (last region) {
	for at := from; at < end || last.end == 0; {
		r, _ := s.regions.find(at)
		last = r.from(at)
		last.limit = 0
		last.end = min(r.end, end)
		if last.end == at {
			break // nothing but a second look at a file's memory
		}
		moved := last
		moved.start, moved.end = to+at-from, to+last.end-from
		s.regions.put(moved)
		at = last.end
	}
	return last
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
