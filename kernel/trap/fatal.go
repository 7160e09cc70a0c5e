package trap

import (
	"sync/atomic"

	"pith/kernel/cpu"
	"pith/kernel/diag"
	"pith/kernel/mm"
	"pith/kernel/sched"
)

// Exit codes of ends that the program did not choose.
const (
	exitKernelFault = 70
	exitOutOfMemory = 137
)

var dying atomic.Uint32

// onlyOne lets the first CPU that dies speak and stops all others.
func onlyOne() {
	if dying.Swap(1) != 0 {
		cpu.Halt()
	}
}

// fatal reports a fault that nobody handles, and ends the machine.
func fatal(f *cpu.Frame) {
	onlyOne()
	cr2 := cpu.ReadCR2()
	if f.SP&cpu.HighBit != 0 {
		diag.Print("\npith: fault in the kernel itself: ")
	} else {
		diag.Print("\npith: fault without a handler: ")
	}
	if f.Vector < 32 {
		diag.Print(names[f.Vector])
	} else {
		diag.Print("vector ")
		diag.Dec(f.Vector)
	}
	register(", error ", f.Error)
	if f.Vector == pageFault {
		register(", address ", uint64(cr2))
	}
	diag.Print("\n")
	registers(f)
	backtrace(uintptr(f.IP), uintptr(f.BP))
	diag.Exit(exitKernelFault)
}

func register(name string, v uint64) {
	diag.Print(name)
	diag.Hex(v)
}

func registers(f *cpu.Frame) {
	register("rip ", f.IP)
	register(" rsp ", f.SP)
	register(" rbp ", f.BP)
	register(" flags ", f.Flags)
	register(" cpu ", uint64(cpu.This().ID))
	register(" thread ", uint64(sched.Current().ID))
	register("\nrax ", f.AX)
	register(" rbx ", f.BX)
	register(" rcx ", f.CX)
	register(" rdx ", f.DX)
	register(" rsi ", f.SI)
	register(" rdi ", f.DI)
	register("\nr8 ", f.R8)
	register(" r9 ", f.R9)
	register(" r10 ", f.R10)
	register(" r11 ", f.R11)
	register(" r12 ", f.R12)
	register(" r13 ", f.R13)
	register(" r14 ", f.R14)
	register(" r15 ", f.R15)
	diag.Print("\n")
}

// maxDepth bounds a backtrace.
const maxDepth = 48

// backtrace prints the functions on a stack, by frame pointers.
func backtrace(pc, bp uintptr) {
	for depth := 0; depth < maxDepth; depth++ {
		name := functionName(pc)
		if name == "" {
			return
		}
		diag.Print("  ")
		diag.Print(name)
		register(" ", uint64(pc))
		diag.Print("\n")
		if bp == 0 || bp&7 != 0 || !readable(bp) {
			return
		}
		next := uintptr(cpu.Load64(bp))
		pc = uintptr(cpu.Load64(bp+8)) - 1
		if next <= bp {
			next = 0
		}
		bp = next
	}
}

func readable(addr uintptr) bool {
	return addr >= mm.DirectMap && addr < mm.DirectMap+1<<40 || mm.Memory.Mapped(addr, 16, mm.Read)
}

// outOfMemory ends the machine because a page that was promised can't be
// backed.
func outOfMemory(f *cpu.Frame, addr uintptr) {
	onlyOne()
	total, free := mm.Memory.Stats()
	diag.Print("\n")
	diag.OutOfMemory(mm.PageSize, " more bytes", uint64(addr), uint64(total-free), uint64(total))
	backtrace(uintptr(f.IP), uintptr(f.BP))
	diag.Exit(exitOutOfMemory)
}
