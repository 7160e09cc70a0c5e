// Package acpi reads the two tables that a machine needs that only ever runs or
// ends: which CPUs and I/O APICs there are (ACPI 6.5, section 5.2.12), and where
// the power button is (section 5.2.9).
//
// It relies on packages cpu and mm. It interprets no AML. Everything read is
// checked against its table's length. Nothing allocates or blocks.
package acpi

import (
	"pith/kernel/cpu"
	"pith/kernel/mm"
)

// Info is what the tables said.
type Info struct {
	APICIDs [64]uint32 // enabled CPUs
	CPUs    int
	IOAPICs [8]IOAPIC
	NIOAPIC int
	Button  Button
}

// Button is a power button of the fixed hardware: bits in I/O ports that the
// table names, so that it works without AML. The zero value is none.
type Button struct {
	Events uint16 // port of the PM1a status register; the enable register is at +Half
	Half   uint16 // bytes of each of the two registers
	Line   uint32 // global system interrupt of the SCI
}

// There tells whether there is such a button.
func (b Button) There() bool { return b.Events != 0 && b.Half >= 2 }

// IOAPIC is one I/O APIC.
type IOAPIC struct {
	Phys  uintptr
	First uint32
}

type table struct {
	addr uintptr // in the direct map
	size uintptr
}

func (t table) u8(off uintptr) uint8 {
	if off+1 > t.size {
		return 0
	}
	return cpu.Load8(t.addr + off)
}

func (t table) u16(off uintptr) uint16 { return uint16(t.u8(off)) | uint16(t.u8(off+1))<<8 }
func (t table) u32(off uintptr) uint32 { return uint32(t.u16(off)) | uint32(t.u16(off+2))<<16 }
func (t table) u64(off uintptr) uint64 { return uint64(t.u32(off)) | uint64(t.u32(off+4))<<32 }

func (t table) is(name string) bool {
	for i := 0; i < 4; i++ {
		if t.u8(uintptr(i)) != name[i] {
			return false
		}
	}
	return true
}

const headerSize = 36

// maxTable bounds what is believed of a table's length.
const maxTable = 1 << 20

func open(phys uintptr) (table, bool) {
	if phys == 0 || !mm.Memory.MapFirmware(phys, headerSize) {
		return table{}, false
	}
	t := table{mm.Virtual(phys), headerSize}
	size := uintptr(t.u32(4))
	if size < headerSize || size > maxTable || !mm.Memory.MapFirmware(phys, size) {
		return table{}, false
	}
	t.size = size
	return t, true
}

// Find returns the root pointer: the one that the loader named, or that in the
// BIOS area.
func Find(hint uintptr) uintptr {
	if hint != 0 && isRoot(hint) {
		return hint
	}
	for p := uintptr(0xe0000); p < 0x100000; p += 16 {
		if isRoot(p) {
			return p
		}
	}
	return 0
}

func isRoot(phys uintptr) bool {
	if !mm.Memory.MapFirmware(phys, headerSize) {
		return false
	}
	return cpu.Load64(mm.Virtual(phys)) == 0x2052545020445352 // "RSD PTR "
}

// Read fills in what the tables below the root pointer say.
func Read(root uintptr, info *Info) {
	if root == 0 {
		return
	}
	rsdp := table{mm.Virtual(root), headerSize}
	width, dir := uintptr(4), uintptr(rsdp.u32(16))
	if rsdp.u8(15) >= 2 && rsdp.u64(24) != 0 {
		width, dir = 8, uintptr(rsdp.u64(24))
	}
	list, found := open(dir)
	if !found {
		return
	}
	for off := uintptr(headerSize); off+width <= list.size; off += width {
		phys := uintptr(list.u32(off))
		if width == 8 {
			phys = uintptr(list.u64(off))
		}
		t, found := open(phys)
		if !found {
			continue
		}
		switch {
		case t.is("APIC"):
			readMADT(t, info)
		case t.is("FACP"):
			readFADT(t, info)
		}
	}
}

// Flags of the FADT (ACPI 6.5, section 5.2.9.2).
const (
	controlMethodButton = 1 << 4  // the button is a device of AML's
	reducedHardware     = 1 << 20 // there are no PM1 registers
)

// readFADT takes the power button of ACPI 6.5, section 4.8.3.1.1.
func readFADT(t table, info *Info) {
	if t.u32(112)&(controlMethodButton|reducedHardware) != 0 {
		return
	}
	events, size := t.u32(56), t.u8(88)
	if events == 0 || events > 0xffff {
		return
	}
	info.Button = Button{Events: uint16(events), Half: uint16(size / 2), Line: uint32(t.u16(46))}
}

// readMADT walks the entries of ACPI 6.5, section 5.2.12.
func readMADT(t table, info *Info) {
	for off := uintptr(44); off+2 <= t.size; {
		size := uintptr(t.u8(off + 1))
		if size < 2 || off+size > t.size {
			return
		}
		switch t.u8(off) {
		case 0: // local APIC
			info.addCPU(uint32(t.u8(off+3)), t.u32(off+4))
		case 1:
			if info.NIOAPIC < len(info.IOAPICs) {
				info.IOAPICs[info.NIOAPIC] = IOAPIC{uintptr(t.u32(off + 4)), t.u32(off + 8)}
				info.NIOAPIC++
			}
		case 9: // local x2APIC
			info.addCPU(t.u32(off+4), t.u32(off+8))
		}
		off += size
	}
}

func (info *Info) addCPU(id, flags uint32) {
	if flags&1 == 0 || info.CPUs == len(info.APICIDs) {
		return
	}
	for i := 0; i < info.CPUs; i++ {
		if info.APICIDs[i] == id {
			return
		}
	}
	info.APICIDs[info.CPUs] = id
	info.CPUs++
}
