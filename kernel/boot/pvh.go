package boot

import (
	"pith/abi"
	"pith/kernel/cpu"
	"pith/kernel/diag"
	"pith/kernel/mm"
)

// Layout of struct hvm_start_info, version 1.
const (
	startMagic  = 0x336ec578
	infoVersion = 4
	infoModules = 12 // count
	infoModList = 16
	infoCmdLine = 24
	infoRSDP    = 32
	infoMemMap  = 40
	infoEntries = 48

	typeRAM = 1
)

// Block is the instance block, read in place.
type Block struct {
	records uintptr // address of the first record, 0 if there is no block
	size    uintptr
	Time    int64
	CPUs    uint32
	Trace   bool
}

// Records returns what is behind the block's magic, or nil.
func (b *Block) Records() []byte {
	if b.records == 0 {
		return nil
	}
	return cpu.Bytes(b.records, int(b.size))
}

// Pack is where the image's files lie, in physical memory.
type Pack struct{ start, size uintptr }

// Records returns the records of the image's files, which are never written
// to; nil where there are none.
func (p *Pack) Records() []byte {
	if p.size == 0 {
		return nil
	}
	return cpu.Bytes(at(p.start), int(p.size))
}

// findPack reserves the memory of the image's files: the loader put them
// there, and the direct map is all that they need.
func (m *Machine) findPack() {
	eachHeader(func(ph uintptr) {
		if cpu.Load32(ph) == segmentLoad && cpu.Load32(ph+4)&abi.FlagPacked != 0 {
			m.Pack = Pack{uintptr(cpu.Load64(ph + 24)), uintptr(cpu.Load64(ph + 32))}
			m.reserved.Add(m.Pack.start, m.Pack.start+m.Pack.size)
		}
	})
}

// segmentLoad is PT_LOAD.
const segmentLoad = 1

// at reads a physical address of the loader's.
func at(phys uintptr) uintptr { return mm.Virtual(phys) }

// read collects what the loader said, and keeps it from being overwritten.
func (m *Machine) read(info uintptr) {
	p := at(info)
	if cpu.Load32(p) != startMagic {
		die("not started by the PVH protocol")
	}
	m.reserved.Add(0, 1<<20)
	m.reserved.Add(info, info+64)
	m.rsdp = uintptr(cpu.Load64(p + infoRSDP))
	m.readMap(p)
	m.readModules(p)
	if cmd := uintptr(cpu.Load64(p + infoCmdLine)); cmd != 0 {
		m.CmdLine = at(cmd)
		for m.CmdSize < 4096 && cpu.Load8(m.CmdLine+m.CmdSize) != 0 {
			m.CmdSize++
		}
		m.reserved.Add(cmd, cmd+m.CmdSize+1)
	}
}

func (m *Machine) readMap(p uintptr) {
	list, n := uintptr(cpu.Load64(p+infoMemMap)), cpu.Load32(p+infoEntries)
	if cpu.Load32(p+infoVersion) < 1 || n == 0 {
		die("the loader gave no memory map")
	}
	m.reserved.Add(list, list+uintptr(n)*24)
	for i := uintptr(0); i < uintptr(min(n, 128)); i++ {
		e := at(list) + i*24
		start, size := uintptr(cpu.Load64(e)), uintptr(cpu.Load64(e+8))
		if cpu.Load32(e+16) == typeRAM && start+size > start && start+size < 1<<46 {
			m.ram.Add(start, start+size)
		}
	}
}

// readModules takes the first module as the instance block if it is one.
func (m *Machine) readModules(p uintptr) {
	list, n := uintptr(cpu.Load64(p+infoModList)), cpu.Load32(p+infoModules)
	m.reserved.Add(list, list+uintptr(n)*32)
	for i := uintptr(0); i < uintptr(min(n, 8)); i++ {
		start, size := uintptr(cpu.Load64(at(list)+i*32)), uintptr(cpu.Load64(at(list)+i*32+8))
		m.reserved.Add(start, start+size)
		if i == 0 && size > 8 && string(cpu.Bytes(at(start), 8)) == abi.Magic {
			m.Block.records, m.Block.size = at(start)+8, size-8
		}
	}
	m.readBlock()
}

func (m *Machine) readBlock() {
	rest := m.Block.Records()
	for {
		typ, payload, next, ok := abi.Next(rest)
		if !ok {
			return
		}
		switch {
		case typ == abi.RecordTime && len(payload) == 8:
			m.Block.Time = int64(cpu.Load64(cpu.AddressOf(payload)))
		case typ == abi.RecordCPUs && len(payload) == 4:
			m.Block.CPUs = cpu.Load32(cpu.AddressOf(payload))
		case typ == abi.RecordFlag && string(payload) == abi.FlagTrace:
			m.Block.Trace = true
		}
		rest = next
	}
}

// printMap shows the memory map where a trace was asked for.
func (m *Machine) printMap() {
	if !m.Block.Trace {
		return
	}
	for i := 0; i < m.ram.N; i++ {
		printRange("pith: ram      ", m.ram.List[i])
	}
	for i := 0; i < m.reserved.N; i++ {
		printRange("pith: reserved ", m.reserved.List[i])
	}
}

func printRange(what string, r mm.Range) {
	diag.Print(what)
	diag.Hex(uint64(r.Start))
	diag.Print(" ")
	diag.Hex(uint64(r.End))
	diag.Print("\n")
}

// eachHeader calls f with the address of each of the image's program headers,
// which the loader put in memory with the text segment (ELF-64 object file
// format, figure 6).
func eachHeader(f func(ph uintptr)) {
	header := textStart() &^ (mm.PageSize - 1)
	const magic = 0x464c457f
	if cpu.Load32(header) != magic {
		header -= mm.PageSize
	}
	if cpu.Load32(header) != magic {
		die("the image's own ELF header is not in memory")
	}
	phoff, phsize, phnum := uintptr(cpu.Load64(header+32)), uintptr(cpu.Load16(header+54)), uintptr(cpu.Load16(header+56))
	for i := uintptr(0); i < phnum; i++ {
		f(header + phoff + i*phsize)
	}
}

// readSegments lists the image's loaded segments.
func readSegments(out *[16]mm.Segment) (n int) {
	eachHeader(func(ph uintptr) {
		if cpu.Load32(ph) != segmentLoad || cpu.Load32(ph+4)&abi.FlagPacked != 0 || n == len(out) {
			return
		}
		start := uintptr(cpu.Load64(ph + 16))
		out[n] = mm.Segment{Start: start, End: start + uintptr(cpu.Load64(ph+40)), Prot: segmentProt(cpu.Load32(ph + 4))}
		n++
	})
	return n
}

// reserveLazy reserves what the builder left out of the loaded segments:
// large zeroed variables, backed on their first use.
func reserveLazy() {
	eachHeader(func(ph uintptr) {
		if cpu.Load32(ph) != abi.SegmentLazy {
			return
		}
		start, size := uintptr(cpu.Load64(ph+16)), uintptr(cpu.Load64(ph+40))
		if _, errno := mm.Memory.Mmap(start, size, mm.Read|mm.Write, true, false); errno != 0 {
			die("the image's zeroed variables don't fit")
		}
	})
}

// segmentProt turns ELF's flags (execute 1, write 2, read 4) round.
func segmentProt(flags uint32) mm.Prot {
	prot := mm.Read
	if flags&1 != 0 {
		prot |= mm.Exec
	}
	if flags&2 != 0 {
		prot |= mm.Write
	}
	return prot
}
