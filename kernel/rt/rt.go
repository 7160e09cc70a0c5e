// Package rt answers what the Go runtime itself asks of Linux, by the SYSCALL
// instruction: threads, futexes, memory, signals, clocks, and the epoll
// instance of its network poller. System calls that programs make do not come
// here but to package linux, as function calls.
//
// It relies on packages trap, sched, mm, poll and clock. It runs in the lower half:
// interrupts off, on a kernel stack, without allocation or write barriers. It
// must not call anything of the upper half. Semantics are those of Linux's
// manual, section 2; the numbers are linux/amd64's.
package rt

import (
	"sync/atomic"

	"pith/kernel/clock"
	"pith/kernel/cpu"
	"pith/kernel/diag"
	"pith/kernel/mm"
	"pith/kernel/poll"
	"pith/kernel/sched"
	"pith/kernel/trap"
)

// Errors in Linux's numbers.
const (
	ePERM   = 1
	eNOENT  = 2
	eSRCH   = 3
	eINTR   = 4
	eBADF   = 9
	eAGAIN  = 11
	eNOMEM  = 12
	eFAULT  = 14
	eEXIST  = 17
	eINVAL  = 22
	eNOSYS  = 38
	eNFILE  = 23
	ePIPE   = 32
	eTIME   = 110
	eNODEV  = 19
	eACCESS = 13
)

// fail is how a system call returns an error: its number, negative.
func fail(errno int) uint64 { return uint64(int64(-errno)) }

// Init makes this package the one that answers.
func Init() { trap.SetSyscall(dispatch) }

// dispatch answers one system call: number in AX, arguments in DI, SI, DX,
// R10, R8, R9, result in AX.
func dispatch(f *cpu.Frame) {
	nr := f.AX
	a, b, c := uintptr(f.DI), uintptr(f.SI), uintptr(f.DX)
	d, e := uintptr(f.R10), uintptr(f.R8)
	if nr >= FirstPrivate {
		f.AX = private(nr, a, b, c, d, e)
		return
	}
	switch nr {
	case 0:
		f.AX = read(a, b, c)
		again(f, nr)
	case 1:
		f.AX = write(a, b, c)
		again(f, nr)
	case 3:
		f.AX = closeDescriptor(a)
	case 9:
		f.AX = mmap(a, b, c, d)
	case 10:
		f.AX = result(mm.Memory.Protect(a, b, mm.Prot(c&7)))
	case 11:
		f.AX = result(mm.Memory.Munmap(a, b))
	case 13:
		f.AX = sigaction(int(a), b, c)
	case 14:
		f.AX = sigprocmask(int(a), b, c)
	case 15:
		if !trap.Return(f) {
			diag.Print("pith: a signal handler returned to nowhere\n")
			diag.Exit(128 + trap.SIGSEGV)
		}
	case 24:
		sched.Threads.Yield()
		f.AX = 0
	case 25:
		f.AX = mremap(a, b, c, d, e)
	case 27:
		f.AX = mincore(a, b, c)
	case 28:
		f.AX = madvise(a, b, c)
	case 35:
		f.AX = nanosleep(a)
	case 38:
		f.AX = setitimer(a, b, c)
	case 39, 186:
		f.AX = uint64(sched.Current().ID)
		if nr == 39 {
			f.AX = 1
		}
	case 56:
		f.AX = clone(f, a, b, c)
	case 57, 58, 59, 322, 435:
		f.AX = noProcess()
	case 60:
		exitThread()
	case 62:
		f.AX = kill(int(a), int(b))
	case 36:
		f.AX = getitimer(a, b)
	case 72:
		f.AX = fcntl(a, b)
	case 98:
		f.AX = getrusage(int(a), b)
	case 96:
		f.AX = gettimeofday(a, b)
	case 201:
		f.AX = unixTime(a)
	case 95:
		f.AX = umask(a)
	case 102, 104, 107, 108, 110:
		f.AX = 0 // user, group and parent: there is one user, and nobody above
	case 118, 120:
		f.AX = identities(a, b, c)
	case 127:
		f.AX = sigpending(a, b)
	case 128:
		f.AX = sigtimedwait(a, b, c, d)
	case 131:
		f.AX = sigaltstack(a, b)
	case 157:
		f.AX = fail(eINVAL) // prctl: the runtime does without names
	case 162:
		f.AX = syncAll()
	case 158:
		f.AX = archPrctl(f, a, b)
	case 200:
		f.AX = tgkill(int32(a), int(b))
	case 202:
		f.AX = futex(a, b, c, d, e, uintptr(f.R9))
	case 203:
		f.AX = setAffinity(b, c)
	case 204:
		f.AX = affinity(b, c)
	case 218:
		f.AX = uint64(sched.Current().ID)
	case 228:
		f.AX = clockGettime(a, b)
	case 229:
		f.AX = clockGetres(a, b)
	case 230:
		f.AX = clockNanosleep(a, b, c)
	case 231:
		diag.Exit(uint8(a))
	case 233:
		f.AX = epollCtl(a, b, c, d)
	case 234:
		f.AX = tgkill(int32(b), int(c))
	case 281:
		f.AX = epollWait(a, b, c, d)
	case 2, 257:
		f.AX = fail(eNOENT)
	case 290:
		f.AX = poll.EventFD
	case 291:
		f.AX = poll.EpollFD
	case 293:
		f.AX = makePipe(a, b)
	case 309:
		f.AX = getcpu(a, b)
	case 318:
		f.AX = getrandom(a, b)
	case 324:
		f.AX = membarrier(a, b)
	default:
		f.AX = fail(eNOSYS)
	}
}

// identities is getresuid(2) and getresgid(2): there is one user, with number 0.
func identities(real, effective, saved uintptr) uint64 {
	for _, at := range [3]uintptr{real, effective, saved} {
		if !mayWrite(at, 4) {
			return fail(eFAULT)
		}
		cpu.Store32(at, 0)
	}
	return 0
}

func result(errno int) uint64 {
	if errno != 0 {
		return fail(errno)
	}
	return 0
}

// mayRead and mayWrite tell whether the program named its own memory.
func mayRead(addr, size uintptr) bool  { return mm.Memory.Mapped(addr, size, mm.Read) }
func mayWrite(addr, size uintptr) bool { return mm.Memory.Mapped(addr, size, mm.Read|mm.Write) }

func read(fd, addr, n uintptr) uint64 {
	switch {
	case fd == 0:
		return 0
	case fd != poll.EventFD:
		return readPipe(fd, addr, n)
	}
	if n < 8 || !mayWrite(addr, 8) {
		return fail(eINVAL)
	}
	v := poll.Runtime.Drain()
	if v == 0 {
		return fail(eAGAIN)
	}
	cpu.Store64(addr, v)
	return 8
}

func write(fd, addr, n uintptr) uint64 {
	if !mayRead(addr, n) {
		return fail(eFAULT)
	}
	switch fd {
	case 1, 2:
		diag.Drain()
		diag.Write(addr, n)
		return uint64(n)
	case poll.EventFD:
		if n < 8 {
			return fail(eINVAL)
		}
		poll.Runtime.Signal(cpu.Load64(addr))
		return 8
	}
	if fd < poll.EpollFD && stored != nil && stored(int32(fd)) {
		return late.write(fd, addr, n)
	}
	return writePipe(fd, addr, n)
}

// closeDescriptor is the runtime's close: it has opened nothing but its poller and
// pipes.
func closeDescriptor(fd uintptr) uint64 {
	if fd == poll.EventFD || fd == poll.EpollFD {
		return 0
	}
	return closePipe(fd)
}

// fcntl answers for descriptors 0 to 2 before package linux is there.
func fcntl(fd, cmd uintptr) uint64 {
	const getFlags, readWrite = 3, 2
	if fd > 2 {
		return fcntlPipe(fd, cmd)
	}
	if cmd == getFlags {
		return readWrite
	}
	return 0
}

// setUmask is package linux's; it must neither lock nor allocate.
var setUmask func(mask uint32) uint32

// SetUmask gives that function.
func SetUmask(f func(mask uint32) uint32) { setUmask = f }

func umask(mask uintptr) uint64 {
	if setUmask == nil {
		return 0o22
	}
	return uint64(setUmask(uint32(mask)))
}

func archPrctl(f *cpu.Frame, code, addr uintptr) uint64 {
	const setFS = 0x1002
	if code != setFS {
		return fail(eINVAL)
	}
	if !mayWrite(addr-8, 8) {
		return fail(eFAULT)
	}
	sched.Current().SetFS(f, addr)
	return 0
}

// affinity is sched_getaffinity: one bit for each CPU.
func affinity(size, addr uintptr) uint64 {
	const words = sched.MaxCPUs / 64
	if size < 8*words {
		return fail(eINVAL)
	}
	if !mayWrite(addr, 8*words) {
		return fail(eFAULT)
	}
	n := sched.Threads.CPUs()
	cpu.Store64(addr, ^uint64(0)>>(64-n))
	return 8 * words
}

func getrandom(addr, n uintptr) uint64 {
	if !mayWrite(addr, n) {
		return fail(eFAULT)
	}
	for i := uintptr(0); i < n; i += 8 {
		v, ok := cpu.Random()
		if !ok {
			return fail(eAGAIN)
		}
		for j := uintptr(0); j < 8 && i+j < n; j++ {
			cpu.Store8(addr+i+j, byte(v>>(8*j)))
		}
	}
	return uint64(n)
}

// Flags of mmap(2).
const (
	mapFixed     = 0x10
	mapAnonymous = 0x20
	mapNoReplace = 0x100000
)

// sparse is what the runtime maps at once, writable, without the intent to use
// it all: its index of the heap is 32 MiB, of which it touches some pages.
const sparse = 64 << 20

func mmap(addr, size, prot, flags uintptr) uint64 {
	if flags&mapAnonymous == 0 {
		return fail(eNODEV)
	}
	total, free := mm.Memory.Stats()
	if prot&uintptr(mm.Write) != 0 && size > total+sparse { // as Linux, which counts what may be written to only
		diag.OutOfMemory(uint64(size), " bytes at once", 0, uint64(total-free), uint64(total))
		return fail(eNOMEM)
	}
	at, errno := mm.Memory.Mmap(addr, size, mm.Prot(prot&7), flags&mapFixed != 0, flags&mapNoReplace != 0)
	if errno != 0 {
		return fail(errno)
	}
	return uint64(at)
}

// Advice of madvise(2).
const (
	adviceDontNeed      = 4
	adviceFree          = 8
	adviceDontFork      = 10
	adviceDoFork        = 11
	adviceHugePage      = 14
	adviceCold          = 20
	advicePageOut       = 21
	advicePopulateRead  = 22
	advicePopulateWrite = 23
)

func madvise(addr, size, advice uintptr) uint64 {
	switch {
	case addr%mm.PageSize != 0:
		return fail(eINVAL)
	case size == 0:
		return 0
	}
	switch advice {
	case adviceDontNeed, adviceFree:
		return result(mm.Memory.Discard(addr, size))
	case advicePopulateRead:
		return populate(addr, size, mm.Read)
	case advicePopulateWrite:
		return populate(addr, size, mm.Write)
	case 0, 1, 2, 3, adviceDontFork, adviceDoFork, adviceHugePage, 15, 16, 17, 18, 19, adviceCold, advicePageOut:
		// Large pages are used where they fit in any case, nothing is ever paged
		// out, forked or dumped.
		if !mm.Memory.Mapped(addr, size, 0) {
			return fail(eNOMEM)
		}
		return 0
	}
	return fail(eINVAL)
}

// populate backs memory before it is used.
func populate(addr, size uintptr, access mm.Prot) uint64 {
	if !mm.Memory.Mapped(addr, size, 0) {
		return fail(eNOMEM)
	}
	for at := addr; at < addr+size; at += mm.PageSize {
		switch mm.Memory.Fault(at, access == mm.Write, false) {
		case mm.Denied:
			return fail(eINVAL)
		case mm.Beyond:
			return fail(eFAULT)
		case mm.OutOfMemory:
			return fail(eNOMEM)
		}
	}
	return 0
}

// Flags of mremap(2).
const (
	remapMayMove   = 1
	remapFixed     = 2
	remapDontUnmap = 4
)

func mremap(from, old, want, flags, to uintptr) uint64 {
	if flags&^(remapMayMove|remapFixed|remapDontUnmap) != 0 {
		return fail(eINVAL)
	}
	if flags&remapFixed == 0 {
		to = 0
	}
	at, errno := mm.Memory.Remap(from, old, want, to, flags&remapMayMove != 0, flags&remapFixed != 0, flags&remapDontUnmap != 0)
	if errno != 0 {
		return fail(errno)
	}
	return uint64(at)
}

// mincore: all that is mapped is in memory, for there is no other place.
func mincore(addr, size, vector uintptr) uint64 {
	pages := (size + mm.PageSize - 1) / mm.PageSize
	switch {
	case addr%mm.PageSize != 0:
		return fail(eINVAL)
	case size > 0 && !mm.Memory.Mapped(addr, size, 0):
		return fail(eNOMEM)
	case pages > 0 && !mayWrite(vector, pages):
		return fail(eFAULT)
	}
	for i := uintptr(0); i < pages; i++ {
		cpu.Store8(vector+i, 1)
	}
	return 0
}

// Flags of clone(2).
const (
	clonePidfd  = 0x1000
	cloneThread = 0x10000 // a thread of Go's has it
)

func clone(f *cpu.Frame, flags, stack, parentTID uintptr) uint64 {
	const parentSetTID = 0x100000
	if flags&clonePidfd != 0 {
		return fail(eNOSYS) // package os asks whether it can be done: nothing to tell of
	}
	if flags&cloneThread == 0 {
		return noProcess()
	}
	child := *f
	child.AX, child.TLS = 0, 0
	if stack != 0 {
		child.SP = uint64(stack)
	}
	r := sched.Threads.Spawn(&child)
	if r == 0 {
		return fail(eAGAIN)
	}
	id := r.Thread().ID
	if flags&parentSetTID != 0 && mayWrite(parentTID, 4) {
		cpu.Store32(parentTID, uint32(id))
	}
	return uint64(id)
}

// noProcess refuses what would start another process, and says so once.
func noProcess() uint64 {
	if refused.Swap(1) == 0 {
		diag.Print("pith: fork and exec are not there on purpose: a unikernel runs one program\n")
	}
	return fail(ePERM)
}

var refused atomic.Uint32

func exitThread() { sched.Threads.Exit() }

// mostUsed is the most memory that was in use when somebody asked, in bytes.
var mostUsed atomic.Uint64

// getrusage reports CPU time and the most memory that was seen in use; the
// rest of struct rusage is zero. There are no children.
func getrusage(who int, addr uintptr) uint64 {
	const size, maxRSS = 144, 32
	const self, children, thread = 0, -1, 1
	if !mayWrite(addr, size) {
		return fail(eFAULT)
	}
	var ns int64
	switch int32(who) {
	case self:
		ns = sched.Threads.ProcessTime()
	case thread:
		ns = sched.Threads.ThreadTime()
	case children:
		cpu.Zero(addr, size)
		return 0
	default:
		return fail(eINVAL)
	}
	total, free := mm.Memory.Stats()
	used := uint64(total - free)
	if used > mostUsed.Load() {
		mostUsed.Store(used)
	}
	cpu.Zero(addr, size)
	cpu.Store64(addr, uint64(ns/1e9))
	cpu.Store64(addr+8, uint64(ns%1e9/1000))
	cpu.Store64(addr+maxRSS, mostUsed.Load()/1024)
	return 0
}

// getitimer: no timer runs but the profiler's, which nobody asks for.
func getitimer(which, addr uintptr) uint64 {
	const size = 32
	switch {
	case which > 2:
		return fail(eINVAL)
	case !mayWrite(addr, size):
		return fail(eFAULT)
	}
	cpu.Zero(addr, size)
	return 0
}

// gettimeofday writes the wall clock as a struct timeval; time zones are none.
func gettimeofday(addr, zone uintptr) uint64 {
	if addr != 0 {
		if !mayWrite(addr, 16) {
			return fail(eFAULT)
		}
		ns := clock.Wall()
		cpu.Store64(addr, uint64(ns/1e9))
		cpu.Store64(addr+8, uint64(ns%1e9/1000))
	}
	if zone != 0 {
		if !mayWrite(zone, 8) {
			return fail(eFAULT)
		}
		cpu.Store64(zone, 0)
	}
	return 0
}

// unixTime is time(2).
func unixTime(addr uintptr) uint64 {
	seconds := uint64(clock.Wall() / 1e9)
	if addr != 0 {
		if !mayWrite(addr, 8) {
			return fail(eFAULT)
		}
		cpu.Store64(addr, seconds)
	}
	return seconds
}

// splitTime writes nanoseconds as a struct timespec.
func splitTime(addr uintptr, ns int64) {
	cpu.Store64(addr, uint64(ns/1e9))
	cpu.Store64(addr+8, uint64(ns%1e9))
}

func clockGettime(id, addr uintptr) uint64 {
	if !mayWrite(addr, 16) {
		return fail(eFAULT)
	}
	switch id {
	case 0, 5, 8, 11: // CLOCK_TAI too: nobody has told of leap seconds
		splitTime(addr, clock.Wall())
	case 1, 4, 6, 7, 9:
		splitTime(addr, clock.Now())
	case 2:
		splitTime(addr, sched.Threads.ProcessTime())
	case 3:
		splitTime(addr, sched.Threads.ThreadTime())
	default:
		return fail(eINVAL)
	}
	return 0
}

func clockGetres(id, addr uintptr) uint64 {
	const last = 11
	if id > last || id == 10 {
		return fail(eINVAL)
	}
	if addr != 0 {
		if !mayWrite(addr, 16) {
			return fail(eFAULT)
		}
		splitTime(addr, 1)
	}
	return 0
}
