package virtio

import "unsafe"

// Map gives access to size bytes of device memory that are mapped, uncached,
// at the virtual address base, which is outside the Go heap and stays mapped.
//
// Each access is one plain MOV of the register's width. sync/atomic is not used:
// its stores are XCHG on amd64, which reads the register as well, and which an
// emulator has to run with all other CPUs stopped. On amd64 a store to a
// device is never visible before stores to memory that precede it, so that the
// doorbell needs no fence.
func Map(base uintptr, size uint32) Registers {
	// SAFETY: the caller vouches that base is mapped for good and not in the Go
	// heap, so that the collector ignores the pointer.
	return &mapped{*(*unsafe.Pointer)(unsafe.Pointer(&base)), size}
}

type mapped struct {
	base unsafe.Pointer
	size uint32
}

func (m *mapped) Read8(offset uint32) uint8 {
	if !holds(m.size, offset, 1) {
		return ^uint8(0)
	}
	return load8(unsafe.Add(m.base, offset)) // SAFETY: holds has checked the offset; so below.
}

func (m *mapped) Read16(offset uint32) uint16 {
	if !holds(m.size, offset, 2) {
		return ^uint16(0)
	}
	return load16(unsafe.Add(m.base, offset))
}

func (m *mapped) Read32(offset uint32) uint32 {
	if !holds(m.size, offset, 4) {
		return ^uint32(0)
	}
	return load32(unsafe.Add(m.base, offset))
}

func (m *mapped) Write8(offset uint32, v uint8) {
	if holds(m.size, offset, 1) {
		store8(unsafe.Add(m.base, offset), v)
	}
}

func (m *mapped) Write16(offset uint32, v uint16) {
	if holds(m.size, offset, 2) {
		store16(unsafe.Add(m.base, offset), v)
	}
}

func (m *mapped) Write32(offset uint32, v uint32) {
	if holds(m.size, offset, 4) {
		store32(unsafe.Add(m.base, offset), v)
	}
}

// SAFETY: the six below are called with addresses inside a mapped register
// space only. They are kept out of line so that the compiler can neither merge
// nor drop nor reorder accesses.

//go:noinline
func load8(p unsafe.Pointer) uint8 { return *(*uint8)(p) }

//go:noinline
func load16(p unsafe.Pointer) uint16 { return *(*uint16)(p) }

//go:noinline
func load32(p unsafe.Pointer) uint32 { return *(*uint32)(p) }

//go:noinline
func store8(p unsafe.Pointer, v uint8) { *(*uint8)(p) = v }

//go:noinline
func store16(p unsafe.Pointer, v uint16) { *(*uint16)(p) = v }

//go:noinline
func store32(p unsafe.Pointer, v uint32) { *(*uint32)(p) = v }
