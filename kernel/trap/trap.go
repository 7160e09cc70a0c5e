// Package trap is every way into the kernel and out of it: system calls, page
// faults and other exceptions, interrupts; and signals, which are delivered on
// the way out.
//
// It relies on packages cpu, mm, apic, sched and poll. It must not know what a
// system call does: package rt hands it the function. All of it runs with
// interrupts off on the kernel stack of the interrupted thread; nothing allocates
// from Go's heap or stores a Go pointer.
//
// Everything runs in ring 0, so that an entry changes no privilege. SYSCALL
// leaves the stack pointer alone; the entry takes the thread's kernel stack
// from the CPU's Local. Exceptions and interrupts arrive on a small stack of
// the CPU (IST 1), because a goroutine's own may be too small, and move to the
// kernel stack at once. An entry from kernel code (which only happens while a
// CPU idles, or touches the program's memory, or by a bug) stays on its stack.
// Sources: Intel SDM 3, chapter 6; SDM 2, SYSCALL; Linux's x86-64 psABI.
package trap

import (
	"pith/kernel/apic"
	"pith/kernel/cpu"
	"pith/kernel/mm"
	"pith/kernel/poll"
	"pith/kernel/sched"
)

// Exceptions (SDM 3, table 6-1).
const (
	divideError   = 0
	debugTrap     = 1
	nmi           = 2
	breakpoint    = 3
	overflow      = 4
	invalidOpcode = 6
	doubleFault   = 8
	protection    = 13
	pageFault     = 14
	x87Error      = 16
	alignment     = 17
	machineCheck  = 18
	simdError     = 19
)

// Names of the exceptions, by vector.
var names = [32]string{
	"divide error", "debug", "NMI", "breakpoint", "overflow", "bound range", "invalid opcode", "no FPU",
	"double fault", "FPU overrun", "invalid TSS", "segment not present", "stack fault", "general protection",
	"page fault", "reserved", "x87 error", "alignment check", "machine check", "SIMD error", "virtualization",
	"control protection",
}

// tables is a CPU's descriptor tables and its stacks for exceptions.
type tables struct {
	gdt   [5]uint64
	tss   [26]uint32 // SDM 3, figure 8-11
	gdtr  [10]byte
	idtr  [10]byte
	stack [2048]byte // IST 1
	nmi   [4096]byte // IST 2: NMI, double fault, machine check
}

// gate is one entry of the interrupt descriptor table (SDM 3, figure 6-8).
type gate struct{ low, high uint64 }

var (
	idt    [256]gate
	perCPU [sched.MaxCPUs]uintptr // addresses of tables
)

// SetSyscall says what answers system calls. Once, before the first.
func SetSyscall(f func(frame *cpu.Frame)) {
	syscallPC = codeOf(f)
}

// The places that the assembly calls, by the address of their code: calling
// through a symbol would go by a wrapper that takes g from thread-local storage,
// which belongs to the program here.
var (
	syscallPC uintptr
	handlePC  uintptr
	begunPC   uintptr
	leavingPC uintptr

	extendedMask uint64 // XSAVE's mask; 0 where only FXSAVE is offered
)

// Init builds the interrupt descriptor table. Once, on the first CPU.
func Init() {
	handlePC = codeOf(handle)
	begunPC = codeOfNone(begun)
	leavingPC = codeOf(leaving)
	sched.Threads.StartPC = startPC()
	sched.Threads.OnProfile = profileTick
	extendedMask = cpu.ExtendedMask()
	base := stubs()
	for v := range idt {
		ist := uint64(1)
		if v == nmi || v == doubleFault || v == machineCheck {
			ist = 2
		}
		addr := uint64(base) + uint64(v)*8
		idt[v].low = addr&0xffff | cpu.CodeSelector<<16 | ist<<32 | 0x8e<<40 | addr>>16&0xffff<<48
		idt[v].high = addr >> 32
	}
}

// InitCPU loads the descriptor tables and the SYSCALL registers of the running
// CPU, whose Local it is given. false means no memory.
func InitCPU(l *cpu.Local) bool {
	pages := mm.Memory.AllocPages(1)
	if pages == 0 {
		return false
	}
	at := mm.Virtual(pages)
	perCPU[l.ID] = at
	fill((*tables)(cpu.Pointer(at)), at)
	cpu.WriteMSR(cpu.MSRGSBase, uint64(l.Self))
	const (
		syscallEnable = 1 << 0
		longMode      = 1 << 8
		noExecute     = 1 << 11
	)
	cpu.WriteMSR(cpu.MSREFER, cpu.ReadMSR(cpu.MSREFER)|syscallEnable|longMode|noExecute)
	cpu.WriteMSR(cpu.MSRSTAR, cpu.CodeSelector<<32)
	cpu.WriteMSR(cpu.MSRLSTAR, uint64(syscallAddress()))
	cpu.WriteMSR(cpu.MSRFMask, cpu.FlagInterrupt|cpu.FlagTrap|cpu.FlagDirection|cpu.FlagAlign)
	return true
}

func begun() { sched.Threads.Begun() }

// handle is where every exception and interrupt arrives.
func handle(f *cpu.Frame) {
	v := f.Vector
	switch {
	case v >= apic.DeviceVector && v <= apic.LastDevice:
		deviceInterrupt(int(v) - apic.DeviceVector)
		apic.EOI()
	case v == apic.TimerVector:
		apic.EOI()
		sched.Threads.Tick()
	case v == apic.WakeVector:
		apic.EOI()
		sched.Threads.Rearm()
	case v == apic.FlushVector:
		apic.EOI()
		sched.Threads.AnswerFlush()
	case v == apic.SpuriousVec:
	default:
		exception(f)
	}
	if f.SP&cpu.HighBit != 0 {
		return // back into the kernel
	}
	if sched.Threads.Preempt() {
		t := sched.Current()
		cpu.SaveFPU(t.FPU)
		sched.Threads.Reschedule()
		t = sched.Current()
		t.RestoreFPU = t.FPU
	}
	deliver(f, true)
}

// leaving is the last step of a system call.
func leaving(f *cpu.Frame) { deliver(f, false) }

// device is what an interrupt vector belongs to. A virtio device on MMIO wants
// its interrupt status read and acknowledged (virtio 1.2, section 4.2.3.3).
type device struct {
	used        bool
	status, ack uintptr // register addresses; 0 for message-signalled interrupts
	count       uint64
}

var devices [apic.LastDevice - apic.DeviceVector + 1]device

// NewDevice takes a free vector for a device. fd is the descriptor that
// becomes readable at each interrupt. ok is false when all vectors are in use.
func NewDevice(status, ack uintptr) (vector uint32, fd uint32, ok bool) {
	for i := range devices {
		if !devices[i].used {
			devices[i].used, devices[i].status, devices[i].ack = true, status, ack
			return apic.DeviceVector + uint32(i), poll.FirstIRQFD + uint32(i), true
		}
	}
	return 0, 0, false
}

func deviceInterrupt(i int) {
	d := &devices[i]
	d.count++
	if d.status != 0 {
		if s := cpu.Load32(d.status); s != 0 {
			cpu.Store32(d.ack, s)
		}
	}
	poll.Runtime.Interrupt(poll.FirstIRQFD + uint32(i))
}

// exception deals with what the running code caused itself.
func exception(f *cpu.Frame) {
	if f.Vector == pageFault {
		if pageFaulted(f) {
			return
		}
	}
	if f.SP&cpu.HighBit != 0 || f.Vector == doubleFault || f.Vector == nmi || f.Vector == machineCheck {
		fatal(f)
	}
	signalFault(f)
}

// Bits of a page fault's error code (SDM 3, figure 4-12).
const (
	faultPresent = 1 << 0
	faultWrite   = 1 << 1
	faultFetch   = 1 << 4
)

// pageFaulted backs memory on its first use.
func pageFaulted(f *cpu.Frame) bool {
	addr := cpu.ReadCR2()
	if addr >= mm.DirectMap {
		return false
	}
	switch mm.Memory.Fault(addr, f.Error&faultWrite != 0, f.Error&faultFetch != 0) {
	case mm.Resolved:
		return true
	case mm.OutOfMemory:
		outOfMemory(f, addr)
	}
	return false
}
