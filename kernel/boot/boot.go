// Package boot brings a machine from its first instruction to the Go
// runtime's: page tables, memory, time, interrupts, all CPUs, and the stack that
// Linux would give a program.
//
// It relies on every package of the lower half and is the only one that knows
// them all. It must not outlive the start: once the runtime runs, nothing here
// is called again. No Go heap is there yet.
// Sources: Xen's PVH start-of-day ABI (docs/misc/pvh.pandoc,
// xen/include/public/arch-x86/hvm/start_info.h), Intel SDM 3, chapter 9.
package boot

import (
	"pith/abi"
	"pith/kernel/acpi"
	"pith/kernel/apic"
	"pith/kernel/clock"
	"pith/kernel/cpu"
	"pith/kernel/diag"
	"pith/kernel/mm"
	"pith/kernel/rt"
	"pith/kernel/sched"
	"pith/kernel/trap"
)

// Memory that the entry uses before there is any management of it.
var (
	tables      [7 * mm.PageSize]byte // six page tables, aligned within
	bootStack   [32768]byte
	bootG       [64]uintptr
	gdt         = [3]uint64{0, 0x00af9b000000ffff, 0x00cf93000000ffff}
	gdtRegister = [10]byte{23, 0}

	startFunc     = start
	secondaryFunc = secondary
)

// entry is the image's entry point, in assembly.
func entry()

//go:noescape
func textStart() uintptr

//go:noescape
func secondaryPC() uintptr

// Machine is what the loader and the firmware said.
type Machine struct {
	Info     acpi.Info
	Block    Block // the instance block
	Pack     Pack  // the image's files
	CmdLine  uintptr
	CmdSize  uintptr
	ram      mm.Ranges
	reserved mm.Ranges
	rsdp     uintptr
}

// Here is the machine that this kernel runs on.
var Here Machine

// OnMetal tells whether the program runs as a machine of its own, and not as a
// process of another kernel.
var OnMetal bool

// start is the first Go code, with the address of PVH's start information. Each
// line is a step; none comes back.
func start(info uintptr) {
	OnMetal = true
	diag.Init()
	cpu.InitFeatures()
	cpu.InitFPU()
	m := &Here
	m.read(info)
	m.takeMemory()
	Stamp(1, "memory")
	m.findFirmware()
	m.startInterrupts()
	clock.Begin()
	m.startFirstCPU()
	clock.Init()
	Stamp(2, "clock")
	m.setWall()
	m.startOthers()
	Stamp(3, "cpus")
	rt.Init()
	m.printMap()
	m.runProgram()
}

// die ends a start that can't go on.
func die(why string) {
	diag.Print("pith: ")
	diag.Print(why)
	diag.Print("\n")
	diag.Exit(1)
}

func (m *Machine) takeMemory() {
	var segments [16]mm.Segment
	n := readSegments(&segments)
	m.findPack()
	if !mm.Memory.Init(&m.ram, &m.reserved, segments[:n]) {
		die("not enough memory to start")
	}
	reserveLazy()
}

func (m *Machine) findFirmware() {
	m.rsdp = acpi.Find(m.rsdp)
	acpi.Read(m.rsdp, &m.Info)
}

func (m *Machine) startInterrupts() {
	apic.MaskLegacy()
	if !apic.Init() {
		die("no local APIC")
	}
	for i := 0; i < m.Info.NIOAPIC; i++ {
		apic.AddIOAPIC(m.Info.IOAPICs[i].Phys, m.Info.IOAPICs[i].First)
	}
	if !apic.HaveIOAPIC() {
		apic.AddIOAPIC(apic.DefaultIOAPIC, 0)
	}
	apic.InitCPU()
	trap.Init()
}

// setWall takes the wall clock from the host: what it wrote into the instance
// block as the machine began, when the counter was near zero, else the battery clock.
func (m *Machine) setWall() {
	if at := m.Block.Time; at != 0 {
		clock.SetWall(at, 0)
		return
	}
	if wall, ok := clock.RTC(); ok {
		clock.SetWall(wall, clock.Now())
	}
}

func (m *Machine) startFirstCPU() {
	l, ok := sched.Threads.AddCPU(apic.InitCPU())
	if !ok || !trap.InitCPU(l) {
		die("not enough memory for the first CPU")
	}
	mm.Memory.SetFlush(flushOthers)
	cpu.OnSpin = answerFlush
	sched.Threads.Online()
}

func flushOthers() { sched.Threads.FlushOthers() }
func answerFlush() { sched.Threads.AnswerFlush() }

// runProgram makes the first thread, which enters the Go runtime, and turns
// into this CPU's idle thread.
func (m *Machine) runProgram() {
	sp := m.buildStack()
	if sp == 0 {
		die("not enough memory for the program's arguments")
	}
	f := cpu.Frame{
		IP: uint64(runtimeEntry()), CS: cpu.CodeSelector, StkS: cpu.DataSelector,
		Flags: cpu.FlagInterrupt | 2, SP: uint64(sp),
	}
	if sched.Threads.Spawn(&f) == 0 {
		die("not enough memory for the first thread")
	}
	Stamp(4, "runtime")
	idle()
}

// Stamp notes how far the start is; the machine's driver shows it on request.
func Stamp(n uint64, name string) {
	if Here.Block.Trace {
		diag.Control(abi.ControlStamp, name, n, uint64(clock.Now()))
	}
}
