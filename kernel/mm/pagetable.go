package mm

import "pith/kernel/cpu"

// Bits of a page-table entry (SDM 3, tables 4-15 to 4-20).
const (
	present   = 1 << 0
	writable  = 1 << 1
	uncached  = 1<<3 | 1<<4 // write-through and cache disable
	large     = 1 << 7
	borrowed  = 1 << 9 // ours to use: the page belongs to other addresses (alias.go)
	noExecute = 1 << 63
	addrMask  = 0x000f_ffff_ffff_f000
)

// Prot is what the program may do with memory, in mmap's bits.
type Prot uint8

// The bits of Prot.
const (
	Read  Prot = 1
	Write Prot = 2
	Exec  Prot = 4

	Frozen Prot = 8 // can't be made writable: a file that was opened for reading
)

func (p Prot) bits() uint64 {
	if p&(Read|Write|Exec) == 0 {
		return 0
	}
	bits := uint64(present)
	if p&Write != 0 {
		bits |= writable
	}
	if p&Exec == 0 {
		bits |= noExecute
	}
	return bits
}

// entry returns the address of the page-table entry for va at a level (4 is
// the root's, 1 a 4 KiB page's), creating tables above it if create is set. It
// stops early at a large page and reports the level that it reached. addr is
// 0 if a table is missing or can't be made.
func (s *Space) entry(va uintptr, level int, create bool) (addr uintptr, reached int) {
	table := s.root
	for l := 4; ; l-- {
		index := va >> (pageShift + 9*uint(l-1)) & 511
		addr = Virtual(table) + index*8
		if l == level {
			return addr, l
		}
		e := cpu.Load64(addr)
		if e&present != 0 && e&large != 0 {
			return addr, l
		}
		if e&present == 0 {
			if !create {
				return 0, l
			}
			next := s.frames.alloc(0)
			if next == 0 {
				return 0, l
			}
			cpu.Zero(Virtual(next), PageSize)
			e = uint64(next) | present | writable
			cpu.Store64(addr, e)
		}
		table = uintptr(e & addrMask)
	}
}

// mapPage maps one 4 KiB page.
func (s *Space) mapPage(va, phys uintptr, bits uint64) bool {
	addr, level := s.entry(va, 1, true)
	if addr == 0 || level != 1 {
		return false
	}
	cpu.Store64(addr, uint64(phys)|bits)
	return true
}

// mapLarge maps one 2 MiB page.
func (s *Space) mapLarge(va, phys uintptr, bits uint64) bool {
	addr, level := s.entry(va, 2, true)
	if addr == 0 || level != 2 {
		return false
	}
	cpu.Store64(addr, uint64(phys)|bits|large)
	return true
}

// splitLarge replaces the large page that addr maps by 512 small ones.
func (s *Space) splitLarge(addr uintptr) bool {
	e := cpu.Load64(addr)
	table := s.frames.alloc(0)
	if table == 0 {
		return false
	}
	for i := uint64(0); i < 512; i++ {
		cpu.Store64(Virtual(table)+uintptr(i)*8, (e&^large)+i*PageSize)
	}
	cpu.Store64(addr, uint64(table)|present|writable)
	return true
}

// mapRange maps [va, va+size) to phys with small pages.
func (s *Space) mapRange(va, phys, size uintptr, bits uint64) bool {
	for off := uintptr(0); off < size; off += PageSize {
		if !s.mapPage(va+off, phys+off, bits) {
			return false
		}
	}
	return true
}
