// Package cpu holds what only the processor can do: registers, ports, model
// specific registers, barriers, and the record that each CPU keeps of itself.
//
// It relies on nothing. It must not allocate, block, or know what a thread or
// a page is. Every function may be called from an interrupt. The manual named
// in comments is Intel's Software Developer's Manual (SDM), volume and section.
package cpu

// Selectors of the segments in every CPU's descriptor table.
const (
	CodeSelector = 0x08
	DataSelector = 0x10
	TaskSelector = 0x18
)

// Model specific registers (SDM 4, table 2-2).
const (
	MSRAPICBase = 0x1b
	MSREFER     = 0xc0000080
	MSRSTAR     = 0xc0000081
	MSRLSTAR    = 0xc0000082
	MSRFMask    = 0xc0000084
	MSRFSBase   = 0xc0000100
	MSRGSBase   = 0xc0000101
)

// Bits of the RFLAGS register.
const (
	FlagTrap      = 1 << 8
	FlagInterrupt = 1 << 9
	FlagDirection = 1 << 10
	FlagAlign     = 1 << 18
)

// Frame is what an entry into the kernel saves of the interrupted context, in
// the order of the stack. The 256 bytes below it hold the low halves of X0 to
// X15 where the entry was a trap or an interrupt.
type Frame struct {
	// TLS is the program's g, from the word below FS. While the kernel works
	// for a thread, the thread's own kernel g stands there, since compiled code
	// takes g from it behind each call of assembly.
	TLS, _                                 uint64
	R15, R14, R13, R12, R11, R10, R9, R8   uint64
	DI, SI, BP, DX, CX, BX, AX             uint64
	Vector, Error, IP, CS, Flags, SP, StkS uint64
}

// FrameSize is Frame's size in bytes.
const FrameSize = 24 * 8

// Local is what a CPU knows of itself; its GS register points there. Entry
// code in package trap uses the offsets of the first fields.
type Local struct {
	Self        uintptr
	KernelStack uintptr // top of the current thread's kernel stack
	UserStack   uintptr // scratch of the SYSCALL entry
	Thread      uintptr // the current thread, which is also its kernel g
	ID          uint32  // counted from 0
	APICID      uint32
	_           [32]byte
}

// HighBit marks addresses of the upper half, where the kernel's stacks are.
const HighBit = 1 << 63

// State of the extended registers, found by InitFPU.
var (
	HasXSave bool
	FPUSize  uintptr // bytes that SaveFPU writes, at most
	fpuMask  uint64
)

// Feature words that several packages ask for.
var (
	HasRDRAND, HasRDSEED bool
	Hypervisor           [12]byte // signature of CPUID leaf 0x40000000
)

// InitFPU turns on the x87, SSE, AVX and AVX-512 state that the processor
// offers (SDM 1, section 13). To be called once on each CPU.
func InitFPU() {
	cr0 := ReadCR0()
	WriteCR0(cr0&^(1<<2|1<<3) | 1<<1 | 1<<5) // EM, TS off; MP, NE on
	cr4 := ReadCR4() | 1<<9 | 1<<10          // OSFXSR, OSXMMEXCPT
	_, _, c, _ := CPUID(1, 0)
	if c&(1<<26) == 0 {
		FPUSize = 512
		WriteCR4(cr4)
		return
	}
	WriteCR4(cr4 | 1<<18) // OSXSAVE
	low, _, _, high := CPUID(13, 0)
	offered := uint64(high)<<32 | uint64(low)
	mask := offered & 7 // x87, SSE, AVX
	if offered&0xe0 == 0xe0 {
		mask |= 0xe0 // the three parts of AVX-512 only make sense together
	}
	WriteXCR0(mask)
	_, size, _, _ := CPUID(13, 0)
	HasXSave, FPUSize, fpuMask = true, uintptr(size), mask
}

// InitFeatures fills in the feature words. Once, on the first CPU.
func InitFeatures() {
	_, _, c, _ := CPUID(1, 0)
	HasRDRAND = c&(1<<30) != 0
	underHypervisor := c&(1<<31) != 0
	if max, _, _, _ := CPUID(0, 0); max >= 7 {
		_, b, _, _ := CPUID(7, 0)
		HasRDSEED = b&(1<<18) != 0
	}
	if !underHypervisor {
		return
	}
	_, b, c, d := CPUID(0x40000000, 0)
	for i := 0; i < 4; i++ {
		Hypervisor[i] = byte(b >> (8 * i))
		Hypervisor[4+i] = byte(c >> (8 * i))
		Hypervisor[8+i] = byte(d >> (8 * i))
	}
}

// ExtendedMask is the mask for XSAVE, 0 where only FXSAVE is offered.
func ExtendedMask() uint64 { return fpuMask }

// SaveFPU writes the extended registers to area, which must be zeroed
// once, 64-byte aligned and FPUSize bytes long.
func SaveFPU(area uintptr) {
	if HasXSave {
		xsave(area, fpuMask)
		return
	}
	fxsave(area)
}

// RestoreFPU loads what SaveFPU wrote. The compiler's own use of X registers
// makes this only useful right before a return to the interrupted code.
func RestoreFPU(area uintptr) {
	if HasXSave {
		xrstor(area, fpuMask)
		return
	}
	fxrstor(area)
}

// Random returns 64 bits from the processor's own generator, with RDSEED
// preferred. ok is false where it has none or it stays empty.
func Random() (v uint64, ok bool) {
	for try := 0; try < 32; try++ {
		if HasRDSEED {
			v, ok = rdseed()
		} else if HasRDRAND {
			v, ok = rdrand()
		} else {
			return 0, false
		}
		if ok {
			return v, true
		}
		Pause()
	}
	return 0, false
}
