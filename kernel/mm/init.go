package mm

import "pith/kernel/cpu"

// Range is a run of physical addresses.
type Range struct{ Start, End uintptr }

// Ranges is a short list of physical ranges, kept without allocation.
type Ranges struct {
	List [64]Range
	N    int
}

// Add appends a range; beyond 64 it is forgotten, which wastes memory at most.
func (r *Ranges) Add(start, end uintptr) {
	if r.N < len(r.List) && start < end {
		r.List[r.N] = Range{start, end}
		r.N++
	}
}

// Segment is one loadable part of the image, mapped where it was linked.
type Segment struct {
	Start, End uintptr
	Prot       Prot
}

// bootReach is how far the entry's own page tables reach.
const bootReach = 4 << 30

// deviceWindow is where MapDevice begins.
const deviceWindow = 0xffff_c000_0000_0000

// Init takes over the machine's memory: ram is what there is, reserved what of
// it is in use, segments the image. It switches to page tables in which code
// can't be written, data not executed, and page zero is not there. It runs
// once, on the entry's tables. false means that there is not enough memory.
func (s *Space) Init(ram, reserved *Ranges, segments []Segment) bool {
	s.mmio = deviceWindow
	s.image = region{start: segments[0].Start, end: segments[0].End}
	for i := range segments {
		s.image.start = min(s.image.start, segments[i].Start&^(PageSize-1))
		s.image.end = max(s.image.end, (segments[i].End+PageSize-1)&^(PageSize-1))
	}
	reserved.Add(s.image.start, s.image.end)
	if !s.initFrames(ram, reserved) {
		return false
	}
	s.addRAM(ram, reserved, 0, bootReach)
	s.root = s.frames.alloc(0)
	if s.root == 0 {
		return false
	}
	cpu.Zero(Virtual(s.root), PageSize)
	for i := 0; i < ram.N; i++ {
		r := ram.List[i]
		for phys := r.Start &^ (LargePage - 1); phys < r.End; phys += LargePage {
			if !s.mapLarge(Virtual(phys), phys, present|writable|noExecute) {
				return false
			}
		}
	}
	// The first megabytes hold firmware tables, whatever the map says of them.
	if !s.mapLarge(Virtual(0), 0, present|writable|noExecute) {
		return false
	}
	for i := range segments {
		if !s.mapSegment(segments[i]) {
			return false
		}
	}
	cpu.WriteCR3(uint64(s.root))
	cpu.WriteCR0(cpu.ReadCR0() | 1<<16) // write protection holds for the kernel too
	s.addRAM(ram, reserved, bootReach, ^uintptr(0))
	return true
}

// MapFirmware makes physical memory that no RAM range holds (ACPI tables)
// readable through the direct map.
func (s *Space) MapFirmware(phys, size uintptr) bool {
	s.mu.Lock()
	done := true
	for p := phys &^ (LargePage - 1); p < phys+size; p += LargePage {
		if addr, level := s.entry(Virtual(p), 2, true); addr == 0 {
			done = false
		} else if level == 2 && cpu.Load64(addr)&present == 0 {
			cpu.Store64(addr, uint64(p)|present|noExecute|large)
		}
	}
	s.mu.Unlock()
	return done
}

// initFrames places the frame table in the first free stretch that holds it.
func (s *Space) initFrames(ram, reserved *Ranges) bool {
	var top uintptr
	for i := 0; i < ram.N; i++ {
		top = max(top, ram.List[i].End)
	}
	s.frames.count = top >> pageShift
	size := (s.frames.count + PageSize - 1) &^ (PageSize - 1)
	var at uintptr
	eachFree(ram, reserved, func(start, end uintptr) {
		start = (start + PageSize - 1) &^ (PageSize - 1)
		if at == 0 && start >= 1<<20 && end > start && end-start >= size && start+size <= bootReach {
			at = start
		}
	})
	if at == 0 {
		return false
	}
	cpu.Zero(Virtual(at), size)
	s.frames.table = Virtual(at)
	reserved.Add(at, at+size)
	return true
}

func (s *Space) addRAM(ram, reserved *Ranges, low, high uintptr) {
	eachFree(ram, reserved, func(start, end uintptr) {
		start, end = max(start, low), min(end, high)
		if start < end {
			s.frames.add(start, end)
		}
	})
}

// eachFree calls f for each stretch of RAM that is not reserved.
func eachFree(ram, reserved *Ranges, f func(start, end uintptr)) {
	for i := 0; i < ram.N; i++ {
		at, end := ram.List[i].Start, ram.List[i].End
		for at < end {
			stop, resume := end, end
			for j := 0; j < reserved.N; j++ {
				r := reserved.List[j]
				if r.End > at && r.Start < stop {
					stop, resume = max(r.Start, at), r.End
				}
			}
			if stop > at {
				f(at, stop)
			}
			at = max(resume, at)
		}
	}
}

func (s *Space) mapSegment(seg Segment) bool {
	start := seg.Start &^ (PageSize - 1)
	end := (seg.End + PageSize - 1) &^ (PageSize - 1)
	return s.mapRange(start, start, end-start, seg.Prot.bits())
}

// MapLow maps one page below 1 MiB at its own address, executable, for CPUs
// that start there; UnmapLow undoes it.
func (s *Space) MapLow(phys uintptr) bool {
	s.mu.Lock()
	done := s.mapPage(phys, phys, present)
	s.mu.Unlock()
	return done
}

// UnmapLow removes what MapLow mapped.
func (s *Space) UnmapLow(phys uintptr) {
	s.mu.Lock()
	if addr, level := s.entry(phys, 1, false); addr != 0 && level == 1 {
		cpu.Store64(addr, 0)
		s.flushAll()
	}
	s.mu.Unlock()
}
