package trap

import (
	"unsafe"

	"pith/kernel/cpu"
)

// codeOf returns the address of a function's code.
//
// SAFETY: a func value is a pointer to a record that begins with the code's
// address (runtime.funcval); f is a top-level function, so the record is
// read-only data.
func codeOf(f func(*cpu.Frame)) uintptr { return **(**uintptr)(unsafe.Pointer(&f)) }

func codeOfNone(f func()) uintptr { return **(**uintptr)(unsafe.Pointer(&f)) }

// fill writes a CPU's tables, which lie at the address at.
func fill(t *tables, at uintptr) {
	t.gdt[cpu.CodeSelector/8] = 0x00af9b000000ffff
	t.gdt[cpu.DataSelector/8] = 0x00cf93000000ffff
	tss := uint64(at + unsafe.Offsetof(t.tss))
	size := uint64(unsafe.Sizeof(t.tss))
	t.gdt[cpu.TaskSelector/8] = size - 1 | tss&0xffffff<<16 | 0x89<<40 | tss>>24&0xff<<56
	t.gdt[cpu.TaskSelector/8+1] = tss >> 32
	setStack(t, 1, at+unsafe.Offsetof(t.stack)+unsafe.Sizeof(t.stack))
	setStack(t, 2, at+unsafe.Offsetof(t.nmi)+unsafe.Sizeof(t.nmi))
	t.tss[25] = uint32(size) << 16 // no I/O permission map
	setRegister(&t.gdtr, at+unsafe.Offsetof(t.gdt), unsafe.Sizeof(t.gdt))
	setRegister(&t.idtr, uintptr(unsafe.Pointer(&idt)), unsafe.Sizeof(idt))
	cpu.LoadTables(at+unsafe.Offsetof(t.gdtr), at+unsafe.Offsetof(t.idtr), cpu.TaskSelector)
}

// setStack sets IST n; the table begins at byte 36 of the task segment.
func setStack(t *tables, n int, top uintptr) {
	top &^= 15
	t.tss[9+2*(n-1)] = uint32(top)
	t.tss[10+2*(n-1)] = uint32(uint64(top) >> 32)
}

// setRegister writes a limit and an address as LGDT and LIDT read them.
func setRegister(r *[10]byte, base, size uintptr) {
	r[0], r[1] = byte(size-1), byte((size-1)>>8)
	for i := 0; i < 8; i++ {
		r[2+i] = byte(base >> (8 * i))
	}
}

// saved returns the address of the X registers that an interrupt saved.
func saved(f *cpu.Frame) uintptr { return uintptr(unsafe.Pointer(f)) - 256 }
