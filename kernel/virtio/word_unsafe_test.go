package virtio_test

import "unsafe"

// word32 views the first four bytes of b, which is page-aligned, as a word.
func word32(b []byte) *uint32 {
	// SAFETY: aligned, long enough, and not in the Go heap.
	return (*uint32)(unsafe.Pointer(&b[0]))
}
