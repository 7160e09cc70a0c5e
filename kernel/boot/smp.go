package boot

import (
	"sync/atomic"

	"pith/kernel/apic"
	"pith/kernel/clock"
	"pith/kernel/cpu"
	"pith/kernel/mm"
	"pith/kernel/sched"
	"pith/kernel/trap"
)

// Another CPU begins in real mode at a page below 1 MiB. The trampoline takes
// it to long mode and to its idle thread, all in one step (SDM 3, 9.8.5 allows
// paging and protection to be turned on together).
const (
	trampolinePage = 0x8000
	mailbox        = 0x100 // offsets within the page
	mailRoot       = mailbox
	mailStack      = mailbox + 8
	mailThread     = mailbox + 16
	mailLocal      = mailbox + 24
	mailEntry      = mailbox + 32
	mailRegister   = mailbox + 48
	mailTable      = mailbox + 64
)

var trampoline = [...]byte{
	0xfa,       // CLI
	0x31, 0xc0, // XOR AX, AX
	0x8e, 0xd8, // MOV DS, AX
	0x66, 0xb8, 0xa0, 0, 0, 0, // MOV EAX, PAE|PGE
	0x0f, 0x22, 0xe0, // MOV CR4, EAX
	0x66, 0xa1, mailRoot & 0xff, (trampolinePage + mailRoot) >> 8, // MOV EAX, [root]
	0x0f, 0x22, 0xd8, // MOV CR3, EAX
	0x66, 0xb9, 0x80, 0, 0, 0xc0, // MOV ECX, EFER
	0x66, 0xb8, 0x00, 0x09, 0, 0, // MOV EAX, LME|NXE
	0x66, 0x31, 0xd2, // XOR EDX, EDX
	0x0f, 0x30, // WRMSR
	0x66, 0xb8, 0x33, 0x00, 0x01, 0x80, // MOV EAX, PG|WP|NE|ET|MP|PE
	0x0f, 0x22, 0xc0, // MOV CR0, EAX
	0x0f, 0x01, 0x16, mailRegister & 0xff, (trampolinePage + mailRegister) >> 8, // LGDT
	0x66, 0xea, longStart, trampolinePage >> 8, 0, 0, 8, 0, // JMP 8:next
	0x48, 0x8b, 0x24, 0x25, mailStack & 0xff, (trampolinePage + mailStack) >> 8, 0, 0, // next: MOV RSP, [stack]
	0x4c, 0x8b, 0x34, 0x25, mailThread & 0xff, (trampolinePage + mailThread) >> 8, 0, 0, // MOV R14, [thread]
	0x48, 0x8b, 0x3c, 0x25, mailLocal & 0xff, (trampolinePage + mailLocal) >> 8, 0, 0, // MOV RDI, [local]
	0x48, 0x8b, 0x04, 0x25, mailEntry & 0xff, (trampolinePage + mailEntry) >> 8, 0, 0, // MOV RAX, [entry]
	0xff, 0xe0, // JMP RAX
}

// longStart is where the jump into long mode goes, checked against the bytes
// above by a test.
const longStart = 0x3c

// started counts the CPUs that arrived.
var started atomic.Uint32

// startOthers starts every CPU that the tables, or else the instance block,
// name.
func (m *Machine) startOthers() {
	n := m.Info.CPUs
	if n == 0 {
		for i := uint32(0); i < min(m.Block.CPUs, sched.MaxCPUs); i++ {
			m.Info.APICIDs[i] = i
		}
		n = int(m.Block.CPUs)
	}
	if n < 2 || !mm.Memory.MapLow(trampolinePage) {
		return
	}
	page := mm.Virtual(trampolinePage)
	for i := range trampoline {
		cpu.Store8(page+uintptr(i), trampoline[i])
	}
	cpu.Store64(page+mailRoot, uint64(mm.Memory.Root()))
	cpu.Store64(page+mailEntry, uint64(secondaryPC()))
	cpu.Store16(page+mailRegister, 23)
	cpu.Store64(page+mailRegister+2, trampolinePage+mailTable)
	for i := range gdt {
		cpu.Store64(page+mailTable+uintptr(i)*8, gdt[i])
	}
	self := sched.Threads.APICID(0)
	for i := 0; i < min(n, sched.MaxCPUs); i++ {
		if id := m.Info.APICIDs[i]; id != self {
			startCPU(page, id)
		}
	}
	mm.Memory.UnmapLow(trampolinePage)
}

// Delays of starting a CPU, in ns. Emulated CPUs need none of the ten
// milliseconds that the manual gives real ones after INIT.
const (
	initDelay = 10_000
	resend    = 2_000_000
	giveUp    = 20_000_000_000 // a busy host may not run an emulated CPU for long
)

func startCPU(page uintptr, id uint32) {
	l, ok := sched.Threads.AddCPU(id)
	if !ok {
		return
	}
	cpu.Store64(page+mailStack, uint64(l.KernelStack))
	cpu.Store64(page+mailThread, uint64(l.Thread))
	cpu.Store64(page+mailLocal, uint64(l.Self))
	before := started.Load()
	apic.SendInit(id)
	spin(initDelay, before)
	apic.SendStart(id, trampolinePage>>12)
	if !spin(resend, before) {
		apic.SendStart(id, trampolinePage>>12)
		if !spin(giveUp, before) {
			die("a CPU did not start")
		}
	}
}

// spin waits ns, or until another CPU has started.
func spin(ns int64, before uint32) bool {
	for end := clock.Now() + ns; clock.Now() < end; cpu.Pause() {
		if started.Load() != before {
			return true
		}
	}
	return false
}

// secondary is another CPU's first Go code, on its idle thread.
func secondary(l *cpu.Local) {
	cpu.InitFPU()
	if !trap.InitCPU(l) {
		die("not enough memory for another CPU")
	}
	apic.InitCPU()
	sched.Threads.Online()
	started.Add(1)
	sched.Threads.Idle()
}
