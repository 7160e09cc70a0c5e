package virtiotest

import "unsafe"

// pages returns zeroed memory that begins at a multiple of 4096, and its
// address.
func pages(size int) ([]byte, uint64) {
	b := make([]byte, size+4096)
	// SAFETY: only the address is looked at. The collector does not move heap
	// objects, and whoever uses the address keeps the slice.
	addr := uint64(uintptr(unsafe.Pointer(&b[0])))
	skip := -addr & 4095
	return b[skip:][:size:size], addr + skip
}

// word views the first four bytes of b, which are aligned, as one word.
func word(b []byte) *uint32 {
	b = b[:4] // panics if there are fewer
	// SAFETY: b has four bytes, and the callers' offsets are multiples of four
	// into page-aligned memory; the race detector's build checks that.
	return (*uint32)(unsafe.Pointer(&b[0]))
}
