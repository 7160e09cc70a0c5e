package linux

import (
	"sync"
	"syscall"
	"unsafe"
)

// address is where user memory is, in a form that stays right when the calling
// goroutine's stack moves: a place on that stack is held as its distance from
// the stack's upper end, which the runtime keeps when it moves a stack.
type address struct {
	at    uintptr // the address, or the distance below the stack's upper end
	stack bool
}

// Addresses below lowest and from highest on are no program's memory. What
// lies in between is asked for (Config.Mapped), except in Go's heap, which is
// always there: a wrong pointer into that ends in the fault that the program's
// own access would end in.
const (
	lowest  = 1 << 16 // where a Linux process may map at the earliest (vm.mmap_min_addr)
	highest = 1 << 47 // end of the user half of 48-bit canonical addresses
)

// address makes an address of a pointer that the caller passed.
func (c call) address(a uintptr) address {
	if a >= c.lo && a < c.hi {
		return address{c.hi - a, true}
	}
	return address{a, false}
}

// null reports whether the pointer was nil.
func (a address) null() bool { return !a.stack && a.at == 0 }

// plus is the address n bytes further on.
func (a address) plus(n uintptr) address {
	if a.stack {
		return address{a.at - n, true}
	}
	return address{a.at + n, false}
}

// heap is memory that is certainly Go's heap: it grows upwards, in arenas, from
// where it happens to begin (runtime/malloc.go).
var heap struct{ start, size uintptr }

const arenaSize = 64 << 20

// findHeap notes where the heap is; it is no larger than the machine's memory.
//
// SAFETY: only the number of the address is used.
func findHeap(size uintptr) {
	p := make([]byte, arenaSize/1024) // escapes by its size
	heap.start = uintptr(unsafe.Pointer(unsafe.SliceData(p))) &^ (arenaSize - 1)
	heap.size = size
}

// holds reports whether n bytes at a can be read, and writable whether they
// can be written.
func (a address) holds(n uintptr) bool { return a.mapped(n, false) }

func (a address) writable(n uintptr) bool { return a.mapped(n, true) }

func (a address) mapped(n uintptr, write bool) bool {
	switch {
	case a.stack:
		return n <= a.at && a.at < highest
	case a.at >= heap.start && n <= heap.size && a.at-heap.start <= heap.size-n:
		return true
	case a.at < lowest || n > highest || a.at > highest-n:
		return false
	}
	return config.Mapped == nil || config.Mapped(a.at, n, write)
}

// pointer turns an address into a pointer. For one on the stack it is good
// only until the stack may move, that is within a nosplit function.
//
// SAFETY: the memory belongs to the caller of the system call, who keeps it
// alive until the call returns; holds has checked it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (a address) pointer() unsafe.Pointer {
	at := a.at
	if a.stack {
		_, hi := stackBounds()
		at = hi - at
	}
	return *(*unsafe.Pointer)(unsafe.Pointer(&at))
}

// copyIn copies from user memory, len(dst) bytes.
func copyIn(dst []byte, src address) Errno {
	if len(dst) == 0 {
		return 0
	}
	if !src.holds(uintptr(len(dst))) {
		return syscall.EFAULT
	}
	moveIn(dst, src)
	return 0
}

// copyOut copies to user memory.
func copyOut(dst address, src []byte) Errno {
	if len(src) == 0 {
		return 0
	}
	if !dst.writable(uintptr(len(src))) {
		return syscall.EFAULT
	}
	moveOut(dst, src)
	return 0
}

// SAFETY: nosplit, so that the pointer to the stack stays good throughout.
//
//go:nosplit
//go:norace
//go:nocheckptr
func moveIn(dst []byte, src address) {
	copy(dst, unsafe.Slice((*byte)(src.pointer()), len(dst)))
}

// SAFETY: as moveIn.
//
//go:nosplit
//go:norace
//go:nocheckptr
func moveOut(dst address, src []byte) {
	copy(unsafe.Slice((*byte)(dst.pointer()), len(src)), src)
}

// get reads one value from user memory. T must hold no Go pointers.
func get[T any](a address) (v T, errno Errno) {
	errno = copyIn(bytesOf(&v), a)
	return v, errno
}

// put writes one value to user memory. T must hold no Go pointers.
func put[T any](a address, v *T) Errno { return copyOut(a, bytesOf(v)) }

// bytesOf gives the memory of a value without pointers.
//
// SAFETY: the slice covers exactly the value, and keeps it alive.
func bytesOf[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}

// fetch reads a pointer that lies in user memory (in an iovec, a msghdr). The
// runtime moves pointers along with a stack, so what is found there now is
// compared with where the stack is now.
func fetch(a address) (address, Errno) {
	if !a.holds(unsafe.Sizeof(uintptr(0))) {
		return address{}, syscall.EFAULT
	}
	return load(a), 0
}

// SAFETY: nosplit: the value, the bounds and the pointer belong to one moment.
//
//go:nosplit
//go:norace
//go:nocheckptr
func load(a address) address {
	v := *(*uintptr)(a.pointer())
	lo, hi := stackBounds()
	if v >= lo && v < hi {
		return address{hi - v, true}
	}
	return address{v, false}
}

// text reads a string that ends in a NUL, of less than max bytes; longer ones
// are ENAMETOOLONG.
func text(a address, max int) (string, Errno) {
	n, errno := length(a, max)
	if errno != 0 {
		return "", errno
	}
	p := make([]byte, n)
	errno = copyIn(p, a)
	return unsafe.String(unsafe.SliceData(p), n), errno // SAFETY: p is not changed any more
}

// length returns the length of a string in user memory, whose NUL must be among
// the first max bytes. It looks at no page before it knows that it is there.
func length(a address, max int) (int, Errno) {
	for n := 0; n < max; {
		piece := max - n
		if !a.stack {
			piece = min(piece, pageSize-int(a.plus(uintptr(n)).at%pageSize))
		}
		if !a.plus(uintptr(n)).holds(1) {
			return 0, syscall.EFAULT
		}
		if m := measure(a.plus(uintptr(n)), piece); m >= 0 {
			return n + m, 0
		}
		n += piece
	}
	return 0, syscall.ENAMETOOLONG
}

// measure returns the length of a string in user memory, or -1 when its NUL
// isn't among the first max bytes.
//
// SAFETY: nosplit, as moveIn; it stops at the NUL that ends the string.
//
//go:nosplit
//go:norace
//go:nocheckptr
func measure(a address, max int) int {
	p := a.pointer()
	for n := range max {
		if *(*byte)(unsafe.Add(p, n)) == 0 {
			return n
		}
	}
	return -1
}

// bounceSize is how many bytes a pooled bounce buffer holds: the largest
// datagram fits.
const bounceSize = 64 << 10

// bounce stands in for user memory on the caller's stack: what is handed to
// an object may be stored in the heap on the way, and a heap pointer must not
// point to a stack.
type bounce struct {
	data []byte
	to   address
}

var bounces = sync.Pool{New: func() any { return &bounce{data: make([]byte, bounceSize)} }}

// newBounce returns a bounce buffer for n bytes at a. The pool's buffers may
// hold old bytes.
func newBounce(a address, n uintptr) *bounce {
	if n > bounceSize {
		return &bounce{data: make([]byte, n), to: a}
	}
	b := bounces.Get().(*bounce)
	b.to = a
	return b
}

// free gives the buffer back to the pool. b may be nil.
func (b *bounce) free() {
	if b != nil && len(b.data) == bounceSize {
		bounces.Put(b)
	}
}

// deliver copies the first n bytes to the user and frees the buffer. b may be
// nil.
func (b *bounce) deliver(n int) {
	if b == nil {
		return
	}
	if n > 0 {
		moveOut(b.to, b.data[:n])
	}
	b.free()
}

// maxTransfer is the most that one read or write moves, in bytes
// (MAX_RW_COUNT).
const maxTransfer = 0x7ffff000

// output gives n bytes of user memory to be filled: the memory itself, or a
// bounce buffer if it lies on the stack. The caller calls b.deliver(done).
func output(a address, n uintptr) (p []byte, b *bounce, errno Errno) {
	return transfer(a, n, true)
}

func transfer(a address, n uintptr, write bool) (p []byte, b *bounce, errno Errno) {
	if n == 0 {
		return nil, nil, 0
	}
	if !a.mapped(n, write) {
		return nil, nil, syscall.EFAULT
	}
	n = min(n, maxTransfer)
	if a.stack {
		b = newBounce(a, n)
		return b.data[:n], b, 0
	}
	return memory(a, n), nil, 0
}

// memory gives user memory that doesn't lie on the stack as a slice.
//
// SAFETY: as pointer; it doesn't move.
//
//go:nocheckptr
func memory(a address, n uintptr) []byte {
	return unsafe.Slice((*byte)(a.pointer()), n)
}

// input gives n bytes of user memory to be read: the memory itself, or a copy
// if it lies on the stack. The caller calls b.free().
func input(a address, n uintptr) (p []byte, b *bounce, errno Errno) {
	p, b, errno = transfer(a, n, false)
	if b != nil {
		moveIn(p, a)
	}
	return p, b, errno
}

// home returns the address of a slice's memory, and whether it lies on the
// calling goroutine's stack.
//
// SAFETY: nosplit: pointer and bounds belong to one moment.
//
//go:nosplit
//go:norace
//go:nocheckptr
func home(p []byte) address {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	lo, hi := stackBounds()
	if at >= lo && at < hi {
		return address{hi - at, true}
	}
	return address{at, false}
}
