package mm

import "pith/kernel/cpu"

// An alias shows memory that has another address: a file that is mapped shared
// has its bytes in one place, and each mapping of it is an alias of that. The
// page tables of both lead to the same frames, which belong to the source.

// Alias reserves [addr, addr+size) as Mmap does, to show the memory at source.
// It is for the program's mappings of files: source must be reserved, though
// not to its end, and may only be unmapped when Aliased says that nothing shows
// it any more.
func (s *Space) Alias(addr, size uintptr, prot Prot, fixed, noReplace bool, source uintptr) (uintptr, int) {
	size = (size + PageSize - 1) &^ (PageSize - 1)
	if size == 0 || (addr|source)&(PageSize-1) != 0 || source == 0 {
		return 0, eINVAL
	}
	if prot&Write != 0 && prot&Exec != 0 {
		return 0, eACCES
	}
	s.mu.Lock()
	err := s.place(&addr, size, fixed || noReplace, noReplace)
	if err == ok && fixed && !noReplace {
		s.discard(addr, addr+size)
	}
	if err == ok && !s.regions.put(region{start: addr, end: addr + size, prot: prot, source: source}) {
		err = eNOMEM
	}
	s.mu.Unlock()
	return addr, err
}

// SourceOf returns the address of the memory that the first alias in
// [addr, addr+size) shows, 0 if there is none.
func (s *Space) SourceOf(addr, size uintptr) (source uintptr) {
	s.mu.Lock()
	for i := s.regions.search(addr); i < s.regions.n && s.regions.list[i].start < addr+size; i++ {
		if r := s.regions.list[i]; r.source != 0 {
			source = r.shown(max(addr, r.start))
			break
		}
	}
	s.mu.Unlock()
	return source
}

// Aliased tells whether anything shows memory in [start, end).
func (s *Space) Aliased(start, end uintptr) (aliased bool) {
	s.mu.Lock()
	for i := 0; i < s.regions.n && !aliased; i++ {
		_, _, aliased = s.regions.list[i].showing(start, end)
	}
	s.mu.Unlock()
	return aliased
}

// showing returns the part of an alias that shows memory in [start, end).
func (r region) showing(start, end uintptr) (from, to uintptr, any bool) {
	if r.source == 0 || r.source >= end || r.shown(r.end) <= start {
		return 0, 0, false
	}
	from, to = r.start, r.end
	if r.source < start {
		from += start - r.source
	}
	if last := r.shown(r.end); last > end {
		to -= last - end
	}
	return from, to, true
}

// SetLimit says from where on the memory in [start, end) must not be shown: what
// is behind a file's end. What was there is given back.
func (s *Space) SetLimit(start, end, limit uintptr) int {
	limit = (limit + PageSize - 1) &^ (PageSize - 1)
	s.mu.Lock()
	err := s.setLimit(start, end, limit)
	s.mu.Unlock()
	return err
}

func (s *Space) setLimit(start, end, limit uintptr) int {
	if start >= end || !s.regions.covered(start, end) {
		return eINVAL
	}
	if s.regions.n+2 > maxRegions {
		return eNOMEM
	}
	s.regions.split(start) // it may have been joined with its neighbours
	s.regions.split(end)
	r := &s.regions.list[s.regions.search(start)]
	old := r.bound()
	r.limit = limit
	if limit < old {
		s.hide(limit, end)
		s.discard(limit, end)
	}
	return ok
}

// hide takes [start, end) out of the page tables of its aliases.
func (s *Space) hide(start, end uintptr) {
	for i := 0; i < s.regions.n; i++ {
		if from, to, any := s.regions.list[i].showing(start, end); any {
			s.discard(from, to)
		}
	}
}

// shows tells whether all of [start, end) in a region is there: that no part
// of it is an alias of what lies behind a file's end.
func (s *Space) shows(r region, start, end uintptr) bool {
	if r.source == 0 {
		return true
	}
	src, found := s.regions.find(r.source)
	return found && r.shown(end) <= src.bound()
}

// bound is where aliases of a region end.
func (r region) bound() uintptr {
	if r.limit != 0 {
		return min(r.limit, r.end)
	}
	return r.end
}

// show lets the page at addr, in alias r, lead to its source's frame.
func (s *Space) show(addr uintptr, r region) int {
	at := r.shown(addr &^ (PageSize - 1))
	src, found := s.regions.find(r.source)
	if !found || at >= src.bound() {
		return Beyond
	}
	frame := s.frameAt(at)
	if frame == 0 {
		if outcome := s.back(at, src); outcome != Resolved {
			return outcome
		}
		frame = s.frameAt(at)
	}
	pte, level := s.entry(addr, 1, true)
	if pte == 0 || level != 1 {
		return OutOfMemory
	}
	cpu.Store64(pte, uint64(frame)|r.prot.bits()|borrowed)
	return Resolved
}

// frameAt returns the frame that backs a page, 0 if none does.
func (s *Space) frameAt(va uintptr) uintptr {
	addr, level := s.entry(va, 1, false)
	if addr == 0 {
		return 0
	}
	e := cpu.Load64(addr)
	switch {
	case e&present == 0:
		return 0
	case level == 2:
		return uintptr(e&addrMask) + va&(LargePage-1)&^(PageSize-1)
	}
	return uintptr(e & addrMask)
}

// Behind tells whether the program may use addr, as far as protection goes, but
// it lies in a mapping of a file, behind its end.
func (s *Space) Behind(addr uintptr, prot Prot) bool {
	page := addr &^ (PageSize - 1)
	s.mu.Lock()
	r, found := s.regions.find(addr)
	behind := found && r.prot&prot == prot && !s.shows(r, page, page+PageSize)
	s.mu.Unlock()
	return behind
}
