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
	"syscall"

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

// Numbers that package syscall doesn't have.
const (
	sysGetcpu     = 309
	sysGetrandom  = 318
	sysExecveat   = 322
	sysMembarrier = 324
	sysClone3     = 435
)

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
	case syscall.SYS_READ:
		f.AX = read(a, b, c)
		again(f, nr)
	case syscall.SYS_WRITE:
		f.AX = write(a, b, c)
		again(f, nr)
	case syscall.SYS_CLOSE:
		f.AX = closeDescriptor(a)
	case syscall.SYS_MMAP:
		f.AX = mmap(a, b, c, d)
	case syscall.SYS_MPROTECT:
		f.AX = result(mm.Memory.Protect(a, b, mm.Prot(c&7)))
	case syscall.SYS_MUNMAP:
		f.AX = result(mm.Memory.Munmap(a, b))
	case syscall.SYS_RT_SIGACTION:
		f.AX = sigaction(int(a), b, c)
	case syscall.SYS_RT_SIGPROCMASK:
		f.AX = sigprocmask(int(a), b, c)
	case syscall.SYS_RT_SIGRETURN:
		if !trap.Return(f) {
			diag.Print("pith: a signal handler returned to nowhere\n")
			diag.Exit(128 + trap.SIGSEGV)
		}
	case syscall.SYS_SCHED_YIELD:
		sched.Threads.Yield()
		f.AX = 0
	case syscall.SYS_MREMAP:
		f.AX = mremap(a, b, c, d, e)
	case syscall.SYS_MINCORE:
		f.AX = mincore(a, b, c)
	case syscall.SYS_MADVISE:
		f.AX = madvise(a, b, c)
	case syscall.SYS_NANOSLEEP:
		f.AX = nanosleep(a)
	case syscall.SYS_SETITIMER:
		f.AX = setitimer(a, b, c)
	case syscall.SYS_GETPID:
		f.AX = 1
	case syscall.SYS_GETTID, syscall.SYS_SET_TID_ADDRESS:
		f.AX = uint64(sched.Current().ID)
	case syscall.SYS_CLONE:
		f.AX = clone(f, a, b, c)
	case syscall.SYS_FORK, syscall.SYS_VFORK, syscall.SYS_EXECVE, sysExecveat, sysClone3:
		f.AX = noProcess()
	case syscall.SYS_EXIT:
		exitThread()
	case syscall.SYS_KILL:
		f.AX = kill(int(a), int(b))
	case syscall.SYS_GETITIMER:
		f.AX = getitimer(a, b)
	case syscall.SYS_FCNTL:
		f.AX = fcntl(a, b)
	case syscall.SYS_GETRUSAGE:
		f.AX = getrusage(int(a), b)
	case syscall.SYS_GETTIMEOFDAY:
		f.AX = gettimeofday(a, b)
	case syscall.SYS_TIME:
		f.AX = unixTime(a)
	case syscall.SYS_UMASK:
		f.AX = umask(a)
	case syscall.SYS_GETUID, syscall.SYS_GETGID, syscall.SYS_GETEUID, syscall.SYS_GETEGID, syscall.SYS_GETPPID:
		f.AX = 0 // user, group and parent: there is one user, and nobody above
	case syscall.SYS_GETRESUID, syscall.SYS_GETRESGID:
		f.AX = identities(a, b, c)
	case syscall.SYS_RT_SIGPENDING:
		f.AX = sigpending(a, b)
	case syscall.SYS_RT_SIGTIMEDWAIT:
		f.AX = sigtimedwait(a, b, c, d)
	case syscall.SYS_SIGALTSTACK:
		f.AX = sigaltstack(a, b)
	case syscall.SYS_PRCTL:
		f.AX = fail(eINVAL) // prctl: the runtime does without names
	case syscall.SYS_SYNC:
		f.AX = syncAll()
	case syscall.SYS_ARCH_PRCTL:
		f.AX = archPrctl(f, a, b)
	case syscall.SYS_TKILL:
		f.AX = tgkill(int32(a), int(b))
	case syscall.SYS_FUTEX:
		f.AX = futex(a, b, c, d, e, uintptr(f.R9))
	case syscall.SYS_SCHED_SETAFFINITY:
		f.AX = setAffinity(b, c)
	case syscall.SYS_SCHED_GETAFFINITY:
		f.AX = affinity(b, c)
	case syscall.SYS_CLOCK_GETTIME:
		f.AX = clockGettime(a, b)
	case syscall.SYS_CLOCK_GETRES:
		f.AX = clockGetres(a, b)
	case syscall.SYS_CLOCK_NANOSLEEP:
		f.AX = clockNanosleep(a, b, c)
	case syscall.SYS_EXIT_GROUP:
		diag.Exit(uint8(a))
	case syscall.SYS_EPOLL_CTL:
		f.AX = epollCtl(a, b, c, d)
	case syscall.SYS_TGKILL:
		f.AX = tgkill(int32(b), int(c))
	case syscall.SYS_EPOLL_PWAIT:
		f.AX = epollWait(a, b, c, d)
	case syscall.SYS_OPEN, syscall.SYS_OPENAT:
		f.AX = fail(eNOENT)
	case syscall.SYS_EVENTFD2:
		f.AX = poll.EventFD
	case syscall.SYS_EPOLL_CREATE1:
		f.AX = poll.EpollFD
	case syscall.SYS_PIPE2:
		f.AX = makePipe(a, b)
	case sysGetcpu:
		f.AX = getcpu(a, b)
	case sysGetrandom:
		f.AX = getrandom(a, b)
	case sysMembarrier:
		f.AX = membarrier(a, b)
	default:
		f.AX = fail(eNOSYS)
	}
}

func result(errno int) uint64 {
	if errno != 0 {
		return fail(errno)
	}
	return 0
}

// mayRead and mayWrite tell whether the program named its own memory.
func mayRead(addr, size uintptr) bool { return mm.Memory.Mapped(addr, size, mm.Read) }

func mayWrite(addr, size uintptr) bool { return mm.Memory.Mapped(addr, size, mm.Read|mm.Write) }

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
