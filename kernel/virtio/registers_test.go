package virtio_test

import (
	"syscall"
	"testing"
	"unsafe"

	"pith/kernel/virtio"
)

// TestMap accesses real memory outside the Go heap, and nothing outside its
// size.
func TestMap(t *testing.T) {
	page, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(page)
	r := virtio.Map(uintptr(unsafe.Pointer(&page[0])), 16)
	r.Write32(4, 0x04030201)
	r.Write16(8, 0x0605)
	r.Write8(10, 7)
	if got := string(page[4:11]); got != "\x01\x02\x03\x04\x05\x06\x07" {
		t.Errorf("wrote %x", got)
	}
	if r.Read32(4) != 0x04030201 || r.Read16(8) != 0x0605 || r.Read8(10) != 7 {
		t.Error("read something else than was written")
	}
	checkBounds(t, r, 16)
	for i, b := range page[16:] {
		if b != 0 {
			t.Fatalf("byte %d behind the end was written", i)
		}
	}
	w := virtio.Window(r, 4, 4)
	if w.Read32(0) != 0x04030201 || w.Read16(2) != 0x0403 || w.Read8(3) != 4 {
		t.Error("window is elsewhere")
	}
	w.Write8(0, 0x11)
	w.Write16(2, 0x4433)
	if r.Read32(4) != 0x44330211 {
		t.Errorf("window wrote %#x", r.Read32(4))
	}
	checkBounds(t, w, 4)
	w.Write32(0, 5)
	if r.Read32(4) != 5 {
		t.Error("window does not write 32 bits")
	}
}

// checkBounds accesses r at and over its end.
func checkBounds(t *testing.T, r virtio.Registers, size uint32) {
	t.Helper()
	for _, at := range []uint32{size, size + 1, ^uint32(0), ^uint32(0) - 3} {
		r.Write8(at, 1)
		if r.Read8(at) != 0xff {
			t.Errorf("reads a byte at %#x of %#x", at, size)
		}
	}
	for _, at := range []uint32{size - 1, size, ^uint32(0)} {
		r.Write16(at, 1)
		if r.Read16(at) != 0xffff {
			t.Errorf("reads 16 bits at %#x of %#x", at, size)
		}
	}
	for _, at := range []uint32{size - 3, size, ^uint32(0) - 2} {
		r.Write32(at, 1)
		if r.Read32(at) != 0xffffffff {
			t.Errorf("reads 32 bits at %#x of %#x", at, size)
		}
	}
}
