package mm

import "pith/kernel/cpu"

// Bounds of the addresses that the program may map: the user half, without
// page zero's neighbourhood and the image (SDM 3, section 4.5: 47 bits).
const (
	lowest   = 0x1_0000
	highest  = 0x7fff_ffff_f000
	anywhere = 0x7e00_0000_0000 // where mmap looks when no address is asked for
)

// Errors in Linux's numbers.
const (
	ok     = 0
	eNOMEM = 12
	eACCES = 13
	eEXIST = 17
	eINVAL = 22
)

// Space is the one address space, with the memory behind it.
type Space struct {
	mu      cpu.SpinLock
	frames  frames
	regions regions
	root    uintptr // physical address of the level-4 table
	image   region  // the program's own segments: never to be remapped

	// flush makes other CPUs drop all translations; set when they run.
	flush func()
	mmio  uintptr // next free address for device registers
}

// Memory is the machine's address space.
var Memory Space

// SetFlush says how other CPUs are told to drop their translations.
func (s *Space) SetFlush(f func()) { s.flush = f }

// Root is the physical address to load into CR3.
func (s *Space) Root() uintptr { return s.root }

// Stats reports bytes given to the machine and bytes not in use.
func (s *Space) Stats() (total, free uintptr) {
	return s.frames.total * PageSize, s.frames.left * PageSize
}

// AllocPages returns 1<<order contiguous zeroed frames by physical address, or 0.
func (s *Space) AllocPages(order int) uintptr {
	s.mu.Lock()
	phys := s.frames.alloc(order)
	s.mu.Unlock()
	if phys != 0 {
		cpu.Zero(Virtual(phys), PageSize<<order)
	}
	return phys
}

// FreePages gives back what AllocPages returned.
func (s *Space) FreePages(phys uintptr, order int) {
	s.mu.Lock()
	s.frames.release(phys, order)
	s.mu.Unlock()
}

// MapDevice maps size bytes of device registers at phys, uncached, and
// returns their address, or 0.
func (s *Space) MapDevice(phys, size uintptr) uintptr {
	first := phys &^ (PageSize - 1)
	size = (phys + size - first + PageSize - 1) &^ (PageSize - 1)
	s.mu.Lock()
	va := s.mmio
	s.mmio += size + PageSize // a hole between devices catches overruns
	done := s.mapRange(va, first, size, present|writable|uncached|noExecute)
	s.mu.Unlock()
	if !done {
		return 0
	}
	return va + phys - first
}

// Mmap reserves anonymous memory as mmap(2) does. fixed replaces what is
// there, noReplace fails if anything is.
func (s *Space) Mmap(addr, size uintptr, prot Prot, fixed, noReplace bool) (uintptr, int) {
	size = (size + PageSize - 1) &^ (PageSize - 1)
	if size == 0 || addr&(PageSize-1) != 0 && fixed {
		return 0, eINVAL
	}
	if prot&Write != 0 && prot&Exec != 0 {
		return 0, eACCES // memory is never both
	}
	s.mu.Lock()
	err := s.place(&addr, size, fixed || noReplace, noReplace)
	if err == ok && fixed && !noReplace {
		s.discard(addr, addr+size)
	}
	if err == ok && !s.regions.set(addr, addr+size, prot) {
		err = eNOMEM
	}
	s.mu.Unlock()
	return addr, err
}

// place settles where a mapping goes.
func (s *Space) place(addr *uintptr, size uintptr, exact, noReplace bool) int {
	want := *addr &^ (PageSize - 1)
	fits := want >= lowest && size <= highest && want <= highest-size &&
		(want >= s.image.end || want+size <= s.image.start)
	if exact {
		if !fits {
			return eNOMEM
		}
		if noReplace && s.regions.overlaps(want, want+size) {
			return eEXIST
		}
		return ok
	}
	if want != 0 && fits && !s.regions.overlaps(want, want+size) {
		*addr = want
		return ok
	}
	*addr = s.regions.gap(anywhere, highest, size)
	if *addr == 0 {
		return eNOMEM
	}
	return ok
}

// Munmap forgets a range and frees its memory.
func (s *Space) Munmap(addr, size uintptr) int {
	start, end, err := s.bounds(addr, size)
	if err != ok {
		return err
	}
	s.mu.Lock()
	s.discard(start, end)
	if !s.regions.clear(start, end) {
		err = eNOMEM
	}
	s.mu.Unlock()
	return err
}

// Discard gives a range's memory back; its next use finds zeros
// (MADV_DONTNEED).
func (s *Space) Discard(addr, size uintptr) int {
	start, end, err := s.bounds(addr, size)
	if err != ok {
		return err
	}
	s.mu.Lock()
	s.discard(start, end)
	s.mu.Unlock()
	return ok
}

// Protect changes what the program may do with a range.
func (s *Space) Protect(addr, size uintptr, prot Prot) int {
	if prot&Write != 0 && prot&Exec != 0 {
		return eACCES
	}
	start, end, err := s.bounds(addr, size)
	if err != ok {
		return err
	}
	s.mu.Lock()
	switch {
	case !s.regions.covered(start, end):
		err = eNOMEM
	case prot&Write != 0 && s.regions.frozen(start, end):
		err = eACCES
	case !s.regions.protect(start, end, prot):
		err = eNOMEM
	default:
		s.reprotect(start, end, prot)
	}
	s.mu.Unlock()
	return err
}

func (s *Space) bounds(addr, size uintptr) (start, end uintptr, err int) {
	size = (size + PageSize - 1) &^ (PageSize - 1)
	if addr&(PageSize-1) != 0 {
		return 0, 0, eINVAL
	}
	if addr < lowest || size > highest || addr > highest-size || addr < s.image.end && addr+size > s.image.start {
		return 0, 0, eINVAL
	}
	return addr, addr + size, ok
}

// Mapped tells whether the program may use [addr, addr+size) with prot. Pages
// need not be backed yet. Kernel code asks before it touches the program's
// memory, so that a wrong pointer gives an error and not a fault.
func (s *Space) Mapped(addr, size uintptr, prot Prot) bool {
	if addr+size < addr {
		return false
	}
	memory := DirectMap + s.frames.count<<pageShift
	if addr >= DirectMap && addr+size <= memory || addr >= s.image.start && addr+size <= s.image.end {
		return true // ours: the image's data and the boot's stack are always there
	}
	s.mu.Lock()
	defined := true
	for at := addr; at < addr+size; {
		r, found := s.regions.find(at)
		if !found || r.prot&prot != prot || prot != 0 && !s.shows(r, at, min(addr+size, r.end)) {
			defined = false
			break
		}
		at = r.end
	}
	s.mu.Unlock()
	return defined
}

// The outcome of Fault.
const (
	Resolved    = iota // memory is there now: try again
	Denied             // mapped, but not for this access
	Unmapped           // nothing is reserved there
	Beyond             // behind the end of a file that is mapped there
	OutOfMemory        // reserved, but no frame is left
)

// Fault backs the page at addr on its first use.
func (s *Space) Fault(addr uintptr, write, exec bool) int {
	s.mu.Lock()
	outcome := s.fault(addr, write, exec)
	s.mu.Unlock()
	return outcome
}

func (s *Space) fault(addr uintptr, write, exec bool) int {
	r, found := s.regions.find(addr)
	if !found {
		return Unmapped
	}
	if r.prot&^Frozen == 0 || write && r.prot&Write == 0 || exec && r.prot&Exec == 0 {
		return Denied
	}
	if r.source != 0 {
		return s.show(addr, r)
	}
	return s.back(addr, r)
}

// back gives memory to the page at addr, which lies in region r.
func (s *Space) back(addr uintptr, r region) int {
	bits := r.prot.bits()
	if s.backLarge(addr, r, bits) {
		return Resolved
	}
	pte, level := s.entry(addr, 1, true)
	if pte == 0 {
		return OutOfMemory
	}
	if level != 1 || cpu.Load64(pte)&present != 0 {
		return Resolved // another CPU was faster
	}
	if s.backAround(addr, r, bits) {
		return Resolved
	}
	frame := s.frames.alloc(0)
	if frame == 0 {
		return OutOfMemory
	}
	cpu.Zero(Virtual(frame), PageSize)
	cpu.Store64(pte, uint64(frame)|bits)
	return Resolved
}

// smallStart is how much memory is used before large pages are: programs touch
// many places a little while they start.
const smallStart = 12 << 20

// backLarge backs 2 MiB at once where a region covers them, nothing in them is
// backed yet, and memory is plentiful.
func (s *Space) backLarge(addr uintptr, r region, bits uint64) bool {
	block := addr &^ (LargePage - 1)
	if block < r.start || block+LargePage > r.end {
		return false
	}
	if s.frames.left < s.frames.total/2 || s.frames.left*PageSize < 64<<20 || (s.frames.total-s.frames.left)*PageSize < smallStart {
		return false
	}
	pde, level := s.entry(addr, 2, true)
	if pde == 0 || level != 2 || cpu.Load64(pde)&present != 0 {
		return false
	}
	frame := s.frames.alloc(9)
	if frame == 0 {
		return false
	}
	cpu.Zero(Virtual(frame), LargePage)
	cpu.Store64(pde, uint64(frame)|bits|large)
	return true
}

// aroundOrder is the size of backAround's blocks: 64 KiB. Each fault costs
// an exception, so that neighbours are backed with it.
const aroundOrder = 4

// backAround backs the aligned 64 KiB around addr if nothing in them is backed.
func (s *Space) backAround(addr uintptr, r region, bits uint64) bool {
	const size = PageSize << aroundOrder
	block := addr &^ (size - 1)
	if block < r.start || block+size > r.end || s.frames.left < s.frames.total/4 {
		return false
	}
	pte, level := s.entry(block, 1, false)
	if pte == 0 || level != 1 {
		return false
	}
	for i := uintptr(0); i < 1<<aroundOrder; i++ {
		if cpu.Load64(pte+i*8)&present != 0 {
			return false
		}
	}
	frame := s.frames.alloc(aroundOrder)
	if frame == 0 {
		return false
	}
	cpu.Zero(Virtual(frame), size)
	for i := uintptr(0); i < 1<<aroundOrder; i++ {
		cpu.Store64(pte+i*8, uint64(frame+i*PageSize)|bits)
	}
	return true
}

// batch collects frames that may be freed once no CPU has a translation.
type batch struct {
	frames [64]uintptr
	large  [64]bool
	n      int
	stale  bool // pages that aren't freed went, too
}

func (s *Space) drain(b *batch) {
	if b.n == 0 && !b.stale {
		return
	}
	s.flushAll()
	b.stale = false
	for i := 0; i < b.n; i++ {
		order := 0
		if b.large[i] {
			order = 9
		}
		s.frames.release(b.frames[i], order)
	}
	b.n = 0
}

func (s *Space) flushAll() {
	cpu.WriteCR3(uint64(s.root))
	if s.flush != nil {
		s.flush()
	}
}

// discard unmaps what backs [start, end) and frees it.
func (s *Space) discard(start, end uintptr) {
	var b batch
	for va := start; va < end; {
		addr, level := s.entry(va, 1, false)
		switch {
		case addr == 0:
			va = nextTable(va, level)
			continue
		case level == 2:
			block := va &^ (LargePage - 1)
			if block < start || block+LargePage > end {
				if !s.splitLarge(addr) {
					va = block + LargePage // keeps its memory: allowed, if wasteful
				}
				continue
			}
			b.take(s, addr, true)
			va = block + LargePage
		default:
			b.take(s, addr, false)
			va += PageSize
		}
	}
	s.drain(&b)
}

// nextTable is the first address behind what a missing table at a level covers.
func nextTable(va uintptr, level int) uintptr {
	size := uintptr(1) << (pageShift + 9*uint(level-1))
	return va&^(size-1) + size
}

func (b *batch) take(s *Space, addr uintptr, isLarge bool) {
	e := cpu.Load64(addr)
	if e&addrMask == 0 {
		return
	}
	cpu.Store64(addr, 0)
	if e&borrowed != 0 {
		b.stale = true
		return
	}
	if b.n == len(b.frames) {
		s.drain(b)
	}
	b.frames[b.n], b.large[b.n] = uintptr(e&addrMask), isLarge
	b.n++
}

// reprotect rewrites the entries of pages that are backed.
func (s *Space) reprotect(start, end uintptr, prot Prot) {
	changed := false
	for va := start; va < end; {
		addr, level := s.entry(va, 1, false)
		if addr == 0 {
			va = nextTable(va, level)
			continue
		}
		if level == 2 {
			block := va &^ (LargePage - 1)
			if (block < start || block+LargePage > end) && s.splitLarge(addr) {
				continue
			}
			cpu.Store64(addr, cpu.Load64(addr)&addrMask|prot.bits()|large)
			va, changed = block+LargePage, true
			continue
		}
		if e := cpu.Load64(addr); e&addrMask != 0 {
			cpu.Store64(addr, e&(addrMask|borrowed)|prot.bits())
			changed = true
		}
		va += PageSize
	}
	if changed {
		s.flushAll()
	}
}
