package rt

import (
	"runtime"
	"sync"
	"syscall"
	_ "unsafe" // for go:linkname

	"pith/kernel/cpu"
	"pith/kernel/mm"
	"pith/kernel/poll"
)

// What follows is called by the upper half, on goroutines. syscall6 is the system
// call itself, which neither blocks nor allocates.

//go:linkname syscall6 internal/runtime/syscall/linux.Syscall6
//go:noescape
func syscall6(nr, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2, errno uintptr)

// Poller publishes readiness of package linux's descriptors to the runtime.
type Poller struct{}

// Ready says that events of fd may have occurred. It may be called with locks
// held.
func (Poller) Ready(fd int32, events uint32) {
	if !poll.Runtime.Known(uint32(fd)) {
		syscall6(privatePrepare, uintptr(fd), 0, 0, 0, 0, 0)
	}
	if poll.Runtime.Mark(uint32(fd), events) {
		syscall6(privateWake, 0, 0, 0, 0, 0, 0)
	}
}

// Forget drops what is known of a descriptor that is closed.
func (Poller) Forget(fd int32) { poll.Runtime.Forget(uint32(fd)) }

// Pages is zeroed, contiguous memory for devices, at its physical address; size
// is rounded up to a power of two of pages. 0 is none left, or too much.
func Pages(size int) (virt, phys uintptr) {
	order := 0
	for mm.PageSize<<order < size {
		order++
	}
	if order > 10 {
		return 0, 0
	}
	r, _, errno := syscall6(privatePages, uintptr(order), 0, 0, 0, 0, 0)
	if errno != 0 || r == 0 {
		return 0, 0
	}
	return mm.Virtual(r), r
}

// MapDevice maps device registers; 0 on failure.
func MapDevice(phys, size uintptr) uintptr {
	r, _, errno := syscall6(privateDevice, phys, size, 0, 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return r
}

// Interrupt is a device's interrupt, waited for by goroutines.
type Interrupt struct {
	Address uint64 // message to write, where it is message-signalled
	Data    uint32

	fd   uint32
	once sync.Once
	ctx  uintptr
}

// Flags of Line.
const (
	LevelTriggered = 1 << 31
	ActiveLow      = 1 << 30
)

// Line sets up an interrupt line. status and ack are the addresses of the
// registers that tell what happened and silence the device.
func Line(number uint32, status, ack uintptr) *Interrupt {
	r, _, errno := syscall6(privateLine, uintptr(number), status, ack, 0, 0, 0)
	if errno != 0 {
		return nil
	}
	return &Interrupt{fd: uint32(r)}
}

// Message sets up a message-signalled interrupt (SDM 3, section 11.11).
func Message() *Interrupt {
	r, _, errno := syscall6(privateMessage, 0, 0, 0, 0, 0, 0)
	if errno != 0 {
		return nil
	}
	return &Interrupt{
		Address: 0xfee00000 | uint64(r>>40)<<12,
		Data:    uint32(r>>32) & 0xff,
		fd:      uint32(r),
	}
}

//go:linkname pollOpen internal/poll.runtime_pollOpen
func pollOpen(fd uintptr) (uintptr, int)

//go:linkname pollWait internal/poll.runtime_pollWait
func pollWait(ctx uintptr, mode int) int

//go:linkname pollServerInit internal/poll.runtime_pollServerInit
func pollServerInit()

// Wait parks the goroutine until the interrupt has fired since the last Wait
// returned. One goroutine at a time.
func (i *Interrupt) Wait() {
	i.once.Do(func() {
		pollServerInit()
		i.ctx, _ = pollOpen(uintptr(i.fd))
	})
	pollWait(i.ctx, 'r') // takes the latched event, if there is one
}

// PendingSignals is the signals that wait for threads that block them.
type PendingSignals struct{}

// Watch calls tell, on a goroutine, after signals were sent to the program. Once.
// false means that there is no room for it.
func (PendingSignals) Watch(tell func()) bool { return onEvent(privateSignals, tell) }

// onEvent calls f whenever the descriptor that a call sets up tells of something.
func onEvent(call uintptr, f func()) bool {
	fd, _, errno := syscall6(call, 0, 0, 0, 0, 0, 0)
	if errno != 0 {
		return false
	}
	i := &Interrupt{fd: uint32(fd)}
	go func() {
		for {
			i.Wait()
			f()
		}
	}()
	return true
}

// Take takes one of the signals in mask that the running thread has pending, or
// only looks at it. sig is 0 if there is none.
func (PendingSignals) Take(mask uint64, look bool) (sig int, code int32) {
	just := uintptr(0)
	if look {
		just = 1
	}
	r, _, _ := syscall6(privateTake, uintptr(mask), just, 0, 0, 0, 0)
	return int(uint32(r)), int32(r >> 32)
}

// OnSync has f called for each sync(2) that a program makes by the SYSCALL
// instruction. Once.
func OnSync(f func()) bool {
	return onEvent(privateSync, func() {
		n, _, _ := syscall6(privateAsked, 0, 0, 0, 0, 0, 0)
		f()
		syscall6(privateSynced, n, 0, 0, 0, 0, 0)
	})
}

// Signal sends a signal to the program.
func Signal(sig int) { syscall6(privateSignal, uintptr(sig), 0, 0, 0, 0, 0) }

// Memory returns the machine's memory in bytes.
func Memory() (total, free uint64) {
	t, _, _ := syscall6(privateMemory, 0, 0, 0, 0, 0, 0)
	f, _, _ := syscall6(privateMemory, 1, 0, 0, 0, 0, 0)
	return uint64(t), uint64(f)
}

// Mapped tells whether the program may read, or write, memory of its own.
func Mapped(addr, size uintptr, write bool) bool {
	access := uintptr(mm.Read)
	if write {
		access |= uintptr(mm.Write)
	}
	r, _, _ := syscall6(privateMapped, addr, size, access, 0, 0, 0)
	return r == 1
}

// TakeLate returns the oldest of what the runtime wrote to files; Late must not be
// 0, and the caller counts it down when the bytes are written.
func TakeLate() (fd int32, data []byte) {
	page, _, _ := syscall6(privateLate, 0, 0, 0, 0, 0, 0)
	if page == 0 {
		return -1, nil
	}
	fd = int32(cpu.Load64(page + lateFD))
	data = append(data, cpu.Bytes(page+lateData, int(cpu.Load64(page+lateSize)))...)
	syscall6(privateFree, page, 0, 0, 0, 0, 0)
	return fd, data
}

// Space is the machine's address space, for mappings of files: see mm.Alias.
type Space struct{}

// frozen is mm.Frozen, beside mmap's protections.
const frozen = uintptr(mm.Frozen)

// Alias maps size bytes as mmap(2) does, with its protection and flags, to show
// the memory at source. What isn't mayWrite never becomes writable.
func (Space) Alias(addr, size, prot, flags, source uintptr, mayWrite bool) (uintptr, syscall.Errno) {
	prot &= 7
	if !mayWrite {
		prot |= frozen
	}
	at, _, errno := syscall6(privateAlias, addr, size, prot, flags, source, 0)
	return at, syscall.Errno(errno)
}

// Source returns the address of the memory that the first alias in
// [addr, addr+size) shows, or 0.
func (Space) Source(addr, size uintptr) uintptr {
	at, _, _ := syscall6(privateSource, addr, size, 0, 0, 0, 0)
	return at
}

// Aliased tells whether anything shows memory in [start, end).
func (Space) Aliased(start, end uintptr) bool {
	r, _, _ := syscall6(privateAliased, start, end, 0, 0, 0, 0)
	return r == 1
}

// SetLimit says that of the memory in [start, end) only what lies before limit
// may be shown, and gives the rest back.
func (Space) SetLimit(start, end, limit uintptr) syscall.Errno {
	_, _, errno := syscall6(privateLimit, start, end, limit, 0, 0, 0)
	return syscall.Errno(errno)
}

// Print writes to the debug console.
func Print(s string) {
	b := []byte(s)
	syscall6(1, 2, cpu.AddressOf(b), uintptr(len(b)), 0, 0, 0)
	runtime.KeepAlive(b)
}

// Announce writes a control message for the machine's driver (package abi): words
// separated by spaces.
func Announce(message string) {
	b := []byte(message + "\n")
	syscall6(privateAnnounce, cpu.AddressOf(b), uintptr(len(b)), 0, 0, 0, 0)
	runtime.KeepAlive(b)
}

// Exit ends the machine with a code from 0 to 255, at once.
func Exit(code int) {
	const exitGroup = 231
	syscall6(exitGroup, uintptr(code), 0, 0, 0, 0, 0)
}

// AtExit has f called, on a goroutine, when the program ends by os.Exit or by the
// return of main; not when it ends by a panic or a signal.
func AtExit(f func()) { addExitHook(exitHook{f, true}) }

// exitHook is internal/runtime/exithook.Hook.
type exitHook struct {
	call      func()
	onFailure bool // also where the exit code is not 0
}

//go:linkname addExitHook internal/runtime/exithook.Add
func addExitHook(exitHook)
