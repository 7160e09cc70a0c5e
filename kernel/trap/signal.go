package trap

import (
	"pith/kernel/cpu"
	"pith/kernel/diag"
	"pith/kernel/mm"
	"pith/kernel/sched"
)

// Signals that the kernel raises itself or knows a default for, in Linux's
// numbers (signal(7)).
const (
	SIGILL   = 4
	SIGTRAP  = 5
	SIGABRT  = 6
	SIGBUS   = 7
	SIGFPE   = 8
	SIGKILL  = 9
	SIGSEGV  = 11
	SIGTERM  = 15
	SIGCHLD  = 17
	SIGCONT  = 18
	SIGURG   = 23
	SIGPROF  = 27
	SIGWINCH = 28
	sigStop  = 19
	lastSig  = 64

	// Unblockable is the mask of the signals that no thread can block.
	Unblockable = 1<<(SIGKILL-1) | 1<<(sigStop-1)
)

// Values of si_code (sigaction(2)).
const (
	CodeUser   = 0
	CodeKernel = 0x80
	CodeThread = -6
	segvMap    = 1
	segvAccess = 2
	fpeIntDiv  = 1
	fpeFltInv  = 7
	illOperand = 2
	busAlign   = 1
	busAddress = 2
)

// Flags and values of struct sigaction.
const (
	saOnStack    = 0x08000000
	saNoDefer    = 0x40000000
	handlerDflt  = 0
	handlerIgn   = 1
	altOnStack   = 1
	altDisable   = 2
	minAltStack  = 2048
	redZone      = 128
	ucontextSize = 304 + 128
	siginfoSize  = 128
)

// Action is struct kernel_sigaction.
type Action struct {
	Handler, Flags, Restorer uintptr
	Mask                     uint64
}

var actions [lastSig + 1]Action

// ActionOf returns a pointer to a signal's action, nil if there is no such
// signal. The caller holds the scheduler's lock.
func ActionOf(sig int) *Action {
	if sig < 1 || sig > lastSig {
		return nil
	}
	return &actions[sig]
}

func bit(sig int) uint64 { return 1 << (sig - 1) }

// Raise sends a signal to one thread. The caller holds the scheduler's lock.
func Raise(t *sched.Thread, sig int, code int32) {
	t.Pending |= bit(sig)
	t.Code[sig] = code
	if t.Blocked&bit(sig) == 0 {
		sched.Threads.Interrupt(t)
	}
}

// RaiseAny sends a signal to any thread that does not block it, as for one
// sent to the process. The caller holds the scheduler's lock.
func RaiseAny(sig int, code int32) {
	var chosen *sched.Thread
	sched.Threads.Each(func(t *sched.Thread) {
		if t.Idle() {
			return
		}
		if chosen == nil || chosen.Blocked&bit(sig) != 0 && t.Blocked&bit(sig) == 0 {
			chosen = t
		}
	})
	if chosen != nil {
		Raise(chosen, sig, code)
	}
}

// Take takes one of the signals in a mask that a thread has pending; 0 is none.
// The caller holds the scheduler's lock.
func Take(t *sched.Thread, mask uint64) (sig int, code int32) {
	for sig := 1; sig <= lastSig; sig++ {
		if t.Pending&mask&bit(sig) != 0 {
			t.Pending &^= bit(sig)
			return sig, t.Code[sig]
		}
	}
	return 0, 0
}

// deliver starts the handler of a pending signal, one at a time: the next
// follows when that handler is entered or done. trapped says that the frame
// is an exception's or interrupt's, with live X registers.
func deliver(f *cpu.Frame, trapped bool) {
	t := sched.Current()
	if t.Pending&^t.Blocked == 0 || t.Idle() {
		return
	}
	for sig := 1; sig <= lastSig; sig++ {
		if t.Pending&^t.Blocked&bit(sig) == 0 {
			continue
		}
		t.Pending &^= bit(sig)
		if act := &actions[sig]; act.Handler > handlerIgn {
			push(f, t, sig, t.Code[sig], 0, trapped)
			return
		} else if act.Handler == handlerDflt && !ignoredByDefault(sig) {
			diag.Print("pith: ended by signal ")
			diag.Dec(uint64(sig))
			diag.Print("\n")
			diag.Exit(uint8(128 + sig))
		}
	}
}

func ignoredByDefault(sig int) bool {
	return sig == SIGCHLD || sig == SIGCONT || sig == SIGURG || sig == SIGWINCH
}

// signalFault turns an exception of the program into its signal.
func signalFault(f *cpu.Frame) {
	sig, code, addr := SIGSEGV, int32(CodeKernel), uintptr(0)
	switch f.Vector {
	case pageFault:
		addr, code = cpu.ReadCR2(), segvMap
		switch {
		case mm.Memory.Behind(addr, wanted(f.Error)):
			sig, code = SIGBUS, busAddress
		case mm.Memory.Mapped(addr, 1, 0):
			code = segvAccess
		}
	case divideError:
		sig, code, addr = SIGFPE, fpeIntDiv, uintptr(f.IP)
	case x87Error, simdError:
		sig, code, addr = SIGFPE, fpeFltInv, uintptr(f.IP)
	case invalidOpcode:
		sig, code, addr = SIGILL, illOperand, uintptr(f.IP)
	case breakpoint, debugTrap:
		sig = SIGTRAP
	case alignment:
		sig, code = SIGBUS, busAlign
	}
	t := sched.Current()
	if actions[sig].Handler <= handlerIgn || t.Blocked&bit(sig) != 0 {
		fatal(f)
	}
	push(f, t, sig, code, addr, true)
}

// wanted is the access that a page fault was about.
func wanted(code uint64) mm.Prot {
	switch {
	case code&faultWrite != 0:
		return mm.Write
	case code&faultFetch != 0:
		return mm.Exec
	}
	return mm.Read
}

// Offsets in struct ucontext and struct sigcontext (Linux,
// arch/x86/include/uapi/asm/sigcontext.h).
const (
	ucStack   = 16
	ucRegs    = 40
	ucFPState = ucRegs + 184
	ucMask    = 296
	regCount  = 23
)

// push makes the frame's context enter a signal handler, on the alternate
// stack where the action asks for it, with the old context saved there.
func push(f *cpu.Frame, t *sched.Thread, sig int, code int32, addr uintptr, trapped bool) {
	act := &actions[sig]
	sp := uintptr(f.SP) - redZone
	if onAlt := sp-t.AltStack < t.AltSize; act.Flags&saOnStack != 0 && t.AltSize != 0 && !onAlt {
		sp = t.AltStack + t.AltSize
	}
	fpu := (sp - cpu.FPUSize) &^ 63
	base := (fpu-8-ucontextSize-siginfoSize)&^15 - 8
	if !mm.Memory.Mapped(base, sp-base, mm.Write) {
		diag.Print("pith: no memory for a signal's stack\n")
		fatal(f)
	}
	cpu.Zero(base, fpu-base)
	if cpu.HasXSave {
		cpu.Zero(fpu+areaHeader, 64) // XRSTOR faults on a header with garbage
	}
	saveExtended(f, t, fpu, trapped)
	uc := base + 8
	info := uc + ucontextSize
	cpu.Store64(base, uint64(act.Restorer))
	cpu.Store64(uc+ucStack, uint64(t.AltStack))
	cpu.Store32(uc+ucStack+8, t.AltFlags)
	cpu.Store64(uc+ucStack+16, uint64(t.AltSize))
	regs := [regCount]uint64{f.R8, f.R9, f.R10, f.R11, f.R12, f.R13, f.R14, f.R15, f.DI, f.SI, f.BP, f.BX,
		f.DX, f.AX, f.CX, f.SP, f.IP, f.Flags, 0x33, f.Error, f.Vector, t.Blocked, uint64(addr)}
	for i := range regs {
		cpu.Store64(uc+ucRegs+uintptr(i)*8, regs[i])
	}
	cpu.Store64(uc+ucFPState, uint64(fpu))
	cpu.Store64(uc+ucMask, t.Blocked)
	cpu.Store32(info, uint32(sig))
	cpu.Store32(info+8, uint32(code))
	if code == CodeUser || code == CodeThread {
		cpu.Store32(info+16, 1) // sent by ourselves: process 1, user 0
	} else {
		cpu.Store64(info+16, uint64(addr))
	}
	t.Blocked |= act.Mask
	if act.Flags&saNoDefer == 0 {
		t.Blocked |= bit(sig)
	}
	f.IP, f.SP = uint64(act.Handler), uint64(base)
	f.DI, f.SI, f.DX, f.AX = uint64(sig), uint64(info), uint64(uc), 0
	f.Flags &^= cpu.FlagTrap | cpu.FlagDirection
}

// Where XSAVE's layout has the X registers' low halves and its header's mask
// of components present (SDM 1, section 13.4).
const (
	areaX      = 160
	areaHeader = 512
	componentX = 1 << 1
)

// saveExtended writes the context's extended registers to area.
func saveExtended(f *cpu.Frame, t *sched.Thread, area uintptr, trapped bool) {
	if t.RestoreFPU != 0 {
		// They are not loaded yet: this thread has just been switched to, or
		// left another handler. Its record has them, save for the low halves
		// that the entry keeps.
		cpu.Copy(area, t.RestoreFPU, cpu.FPUSize)
		t.RestoreFPU = 0
		if trapped {
			cpu.Copy(area+areaX, saved(f), 256)
			if extendedMask != 0 {
				cpu.Store64(area+areaHeader, cpu.Load64(area+areaHeader)|componentX)
			}
		}
		return
	}
	if trapped {
		capture(saved(f), area, extendedMask)
		return
	}
	cpu.SaveFPU(area)
}

// Return undoes push at a handler's end (rt_sigreturn): the frame becomes the
// saved context. false means that the stack does not hold one.
func Return(f *cpu.Frame) bool {
	uc := uintptr(f.SP)
	if !mm.Memory.Mapped(uc, ucontextSize, mm.Read) {
		return false
	}
	at := func(i uintptr) uint64 { return cpu.Load64(uc + ucRegs + i*8) }
	f.R8, f.R9, f.R10, f.R11 = at(0), at(1), at(2), at(3)
	f.R12, f.R13, f.R14, f.R15 = at(4), at(5), at(6), at(7)
	f.DI, f.SI, f.BP, f.BX = at(8), at(9), at(10), at(11)
	f.DX, f.AX, f.CX, f.SP, f.IP = at(12), at(13), at(14), at(15), at(16)
	f.Flags = at(17)&0xcd5 | 2 | cpu.FlagInterrupt
	t := sched.Current()
	t.Blocked = cpu.Load64(uc+ucMask) &^ Unblockable
	area := uintptr(cpu.Load64(uc + ucFPState))
	if !mm.Memory.Mapped(area, cpu.FPUSize, mm.Read) || area&63 != 0 {
		return false
	}
	// A copy, since the next signal may be written over this one at once.
	cpu.Copy(t.FPU, area, cpu.FPUSize)
	t.RestoreFPU = t.FPU
	return true
}

// SetAltStack is sigaltstack(2) for the running thread, by Linux's stack_t.
func SetAltStack(t *sched.Thread, base, size uintptr, flags uint32) {
	if flags&altDisable != 0 {
		base, size = 0, 0
	}
	t.AltStack, t.AltSize, t.AltFlags = base, size, flags
}

// profileTick is the scheduler's call at each profiling tick of a thread.
func profileTick(t *sched.Thread) {
	t.Pending |= bit(SIGPROF)
	t.Code[SIGPROF] = CodeKernel
}
