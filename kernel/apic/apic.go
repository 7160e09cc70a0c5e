// Package apic drives the interrupt controllers: each CPU's local APIC with
// its timer and inter-processor interrupts, and the I/O APICs that devices'
// lines go to (SDM 3, chapter 11; 82093AA data sheet).
//
// It relies on packages cpu and mm. It must not know what an interrupt means.
// Nothing allocates or blocks; all may be called with interrupts off.
package apic

import (
	"pith/kernel/cpu"
	"pith/kernel/mm"
)

// Vectors with a fixed meaning. Devices get those from DeviceVector up.
const (
	DeviceVector  = 0x30
	LastDevice    = 0xef
	TimerVector   = 0xf0
	WakeVector    = 0xf1
	FlushVector   = 0xf2
	SpuriousVec   = 0xff
	regID         = 0x20
	regTPR        = 0x80
	regEOI        = 0xb0
	regSpurious   = 0xf0
	regICRLow     = 0x300
	regICRHigh    = 0x310
	regLVTTimer   = 0x320
	regLVTLint0   = 0x350
	regLVTLint1   = 0x360
	regLVTError   = 0x370
	regInitial    = 0x380
	regCurrent    = 0x390
	regDivide     = 0x3e0
	msrX2         = 0x800
	enableX2      = 1 << 10
	deliverInit   = 5 << 8
	deliverStart  = 6 << 8
	levelAssert   = 1 << 14
	pending       = 1 << 12
	masked        = 1 << 16
	divideByOne   = 0xb
	ioapicDefault = 0xfec00000
)

var (
	base uintptr // the local APIC's registers; 0 where x2APIC is in use
	x2   bool
)

func read(reg uint32) uint32 {
	if x2 {
		return uint32(cpu.ReadMSR(msrX2 + reg>>4))
	}
	return cpu.Load32(base + uintptr(reg))
}

func write(reg, v uint32) {
	if x2 {
		cpu.WriteMSR(msrX2+reg>>4, uint64(v))
		return
	}
	cpu.Store32(base+uintptr(reg), v)
}

// Init finds the local APIC. Once, on the first CPU, before InitCPU.
func Init() bool {
	_, _, c, _ := cpu.CPUID(1, 0)
	if c&(1<<21) != 0 {
		x2 = true
		return true
	}
	base = mm.Memory.MapDevice(uintptr(cpu.ReadMSR(cpu.MSRAPICBase))&0xf_ffff_f000, mm.PageSize)
	return base != 0
}

// InitCPU turns the running CPU's local APIC on and returns its number.
func InitCPU() uint32 {
	if x2 {
		cpu.WriteMSR(cpu.MSRAPICBase, cpu.ReadMSR(cpu.MSRAPICBase)|enableX2|1<<11)
	}
	write(regTPR, 0)
	write(regLVTLint0, masked)
	write(regLVTLint1, masked)
	write(regLVTError, masked)
	write(regDivide, divideByOne)
	write(regLVTTimer, TimerVector) // one shot
	write(regSpurious, 1<<8|SpuriousVec)
	if x2 {
		return read(regID)
	}
	return read(regID) >> 24
}

// EOI tells the local APIC that the interrupt is dealt with.
func EOI() { write(regEOI, 0) }

// SetTimer asks for one timer interrupt after a count of timer ticks.
func SetTimer(ticks uint32) { write(regInitial, ticks) }

// Elapsed returns how far the timer has counted down from what SetTimer set.
func Elapsed(from uint32) uint32 { return from - read(regCurrent) }

// Send raises a vector on another CPU.
func Send(apicID uint32, vector uint32) { command(apicID, vector|levelAssert) }

// SendInit and SendStart are the steps that start a CPU (SDM 3, 9.4.4). page
// is the number of the 4 KiB page below 1 MiB that it begins in.
func SendInit(apicID uint32)               { command(apicID, deliverInit|levelAssert) }
func SendStart(apicID uint32, page uint32) { command(apicID, deliverStart|levelAssert|page) }

func command(apicID, low uint32) {
	if x2 {
		cpu.WriteMSR(msrX2+regICRLow>>4, uint64(apicID)<<32|uint64(low))
		return
	}
	for read(regICRLow)&pending != 0 {
		cpu.Pause()
	}
	write(regICRHigh, apicID<<24)
	write(regICRLow, low)
}

// ioapic is one I/O APIC: its registers and the first line that it serves.
type ioapic struct {
	regs  uintptr
	first uint32
	lines uint32
}

var (
	ioapics [8]ioapic
	nIOAPIC int
)

// AddIOAPIC maps an I/O APIC and masks all its lines.
func AddIOAPIC(phys uintptr, first uint32) {
	if nIOAPIC == len(ioapics) {
		return
	}
	regs := mm.Memory.MapDevice(phys, mm.PageSize)
	if regs == 0 {
		return
	}
	io := &ioapics[nIOAPIC]
	io.regs, io.first = regs, first
	io.lines = io.read(1)>>16&0xff + 1
	for line := uint32(0); line < io.lines; line++ {
		io.write(0x10+2*line, masked)
	}
	nIOAPIC++
}

// HaveIOAPIC tells whether any was added.
func HaveIOAPIC() bool { return nIOAPIC > 0 }

// DefaultIOAPIC is where PCs without tables have theirs.
const DefaultIOAPIC = ioapicDefault

func (io *ioapic) read(reg uint32) uint32 {
	cpu.Store32(io.regs, reg)
	return cpu.Load32(io.regs + 0x10)
}

func (io *ioapic) write(reg, v uint32) {
	cpu.Store32(io.regs, reg)
	cpu.Store32(io.regs+0x10, v)
}

// Route sends a line (a global system interrupt) to a vector of one CPU. level
// selects level triggering, low active-low polarity. false: no such line.
func Route(line, vector, apicID uint32, level, low bool) bool {
	for i := 0; i < nIOAPIC; i++ {
		io := &ioapics[i]
		if line < io.first || line >= io.first+io.lines {
			continue
		}
		v := vector
		if level {
			v |= 1 << 15
		}
		if low {
			v |= 1 << 13
		}
		io.write(0x11+2*(line-io.first), apicID<<24)
		io.write(0x10+2*(line-io.first), v)
		return true
	}
	return false
}

// MaskLegacy silences the two 8259s of a PC; writing to them where there are
// none does nothing.
func MaskLegacy() {
	cpu.Out8(0xa1, 0xff)
	cpu.Out8(0x21, 0xff)
}
