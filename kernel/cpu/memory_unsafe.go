package cpu

import (
	"sync/atomic"
	"unsafe"
)

// The functions below read and write memory whose address is a number: page
// tables, frames of the direct map, device registers, the program's memory as
// a system call names it. Each compiles to one instruction. None allocates;
// an address that is not mapped faults.

// Pointer turns an address into a pointer.
//
// SAFETY: the addresses that callers pass are never in Go's heap, so the
// collector has no interest in them.
func Pointer(addr uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }

// Load8 to Load64 read; the atomic ones order as sync/atomic does.
func Load8(addr uintptr) uint8   { return *(*uint8)(Pointer(addr)) }
func Load16(addr uintptr) uint16 { return *(*uint16)(Pointer(addr)) }
func Load32(addr uintptr) uint32 { return atomic.LoadUint32((*uint32)(Pointer(addr))) }
func Load64(addr uintptr) uint64 { return atomic.LoadUint64((*uint64)(Pointer(addr))) }

// Store8 to Store64 write. They are plain stores, which x86 keeps in order.
func Store8(addr uintptr, v uint8)   { *(*uint8)(Pointer(addr)) = v }
func Store16(addr uintptr, v uint16) { *(*uint16)(Pointer(addr)) = v }
func Store32(addr uintptr, v uint32) { *(*uint32)(Pointer(addr)) = v }
func Store64(addr uintptr, v uint64) { *(*uint64)(Pointer(addr)) = v }

// Bytes is a slice over memory at addr.
func Bytes(addr uintptr, n int) []byte { return unsafe.Slice((*byte)(Pointer(addr)), n) }

// AddressOf is the address of a byte slice's first byte, 0 if it is empty.
func AddressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
