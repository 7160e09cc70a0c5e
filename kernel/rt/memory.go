package rt

import (
	"pith/kernel/cpu"
	"pith/kernel/diag"
	"pith/kernel/mm"
)

// Flags of mmap(2).
const (
	mapFixed     = 0x10
	mapAnonymous = 0x20
	mapNoReplace = 0x100000
)

// sparse is what the runtime maps at once, writable, without the intent to use
// it all: its index of the heap is 32 MiB, of which it touches some pages.
const sparse = 64 << 20

func mmap(addr, size, prot, flags uintptr) uint64 {
	if flags&mapAnonymous == 0 {
		return fail(eNODEV)
	}
	total, free := mm.Memory.Stats()
	if prot&uintptr(mm.Write) != 0 && size > total+sparse { // as Linux, which counts what may be written to only
		diag.OutOfMemory(uint64(size), " bytes at once", 0, uint64(total-free), uint64(total))
		return fail(eNOMEM)
	}
	at, errno := mm.Memory.Mmap(addr, size, mm.Prot(prot&7), flags&mapFixed != 0, flags&mapNoReplace != 0)
	if errno != 0 {
		return fail(errno)
	}
	return uint64(at)
}

// Advice of madvise(2).
const (
	adviceDontNeed      = 4
	adviceFree          = 8
	adviceDontFork      = 10
	adviceDoFork        = 11
	adviceHugePage      = 14
	adviceCold          = 20
	advicePageOut       = 21
	advicePopulateRead  = 22
	advicePopulateWrite = 23
)

func madvise(addr, size, advice uintptr) uint64 {
	switch {
	case addr%mm.PageSize != 0:
		return fail(eINVAL)
	case size == 0:
		return 0
	}
	switch advice {
	case adviceDontNeed, adviceFree:
		return result(mm.Memory.Discard(addr, size))
	case advicePopulateRead:
		return populate(addr, size, mm.Read)
	case advicePopulateWrite:
		return populate(addr, size, mm.Write)
	case 0, 1, 2, 3, adviceDontFork, adviceDoFork, adviceHugePage, 15, 16, 17, 18, 19, adviceCold, advicePageOut:
		// Large pages are used where they fit in any case, nothing is ever paged
		// out, forked or dumped.
		if !mm.Memory.Mapped(addr, size, 0) {
			return fail(eNOMEM)
		}
		return 0
	}
	return fail(eINVAL)
}

// populate backs memory before it is used.
func populate(addr, size uintptr, access mm.Prot) uint64 {
	if !mm.Memory.Mapped(addr, size, 0) {
		return fail(eNOMEM)
	}
	for at := addr; at < addr+size; at += mm.PageSize {
		switch mm.Memory.Fault(at, access == mm.Write, false) {
		case mm.Denied:
			return fail(eINVAL)
		case mm.Beyond:
			return fail(eFAULT)
		case mm.OutOfMemory:
			return fail(eNOMEM)
		}
	}
	return 0
}

// Flags of mremap(2).
const (
	remapMayMove   = 1
	remapFixed     = 2
	remapDontUnmap = 4
)

func mremap(from, old, want, flags, to uintptr) uint64 {
	if flags&^(remapMayMove|remapFixed|remapDontUnmap) != 0 {
		return fail(eINVAL)
	}
	if flags&remapFixed == 0 {
		to = 0
	}
	at, errno := mm.Memory.Remap(from, old, want, to, flags&remapMayMove != 0, flags&remapFixed != 0, flags&remapDontUnmap != 0)
	if errno != 0 {
		return fail(errno)
	}
	return uint64(at)
}

// mincore: all that is mapped is in memory, for there is no other place.
func mincore(addr, size, vector uintptr) uint64 {
	pages := (size + mm.PageSize - 1) / mm.PageSize
	switch {
	case addr%mm.PageSize != 0:
		return fail(eINVAL)
	case size > 0 && !mm.Memory.Mapped(addr, size, 0):
		return fail(eNOMEM)
	case pages > 0 && !mayWrite(vector, pages):
		return fail(eFAULT)
	}
	for i := uintptr(0); i < pages; i++ {
		cpu.Store8(vector+i, 1)
	}
	return 0
}
