package cpu

// The routines of cpu_amd64.s. None allocates or blocks.

// In8 and its kin read and write I/O ports.
//
//go:noescape
func In8(port uint16) uint8

//go:noescape
func In16(port uint16) uint16

//go:noescape
func In32(port uint16) uint32

//go:noescape
func Out8(port uint16, v uint8)

//go:noescape
func Out16(port uint16, v uint16)

//go:noescape
func Out32(port uint16, v uint32)

// OutBytes writes n bytes at p to one port (REP OUTSB).
//
//go:noescape
func OutBytes(port uint16, p uintptr, n uintptr)

// CPUID runs the instruction for a leaf and subleaf.
//
//go:noescape
func CPUID(leaf, sub uint32) (a, b, c, d uint32)

// ReadMSR and WriteMSR access model specific registers.
//
//go:noescape
func ReadMSR(msr uint32) uint64

//go:noescape
func WriteMSR(msr uint32, v uint64)

//go:noescape
func ReadCR0() uint64

//go:noescape
func WriteCR0(v uint64)

//go:noescape
func ReadCR2() uintptr

//go:noescape
func ReadCR3() uint64

//go:noescape
func WriteCR3(v uint64)

//go:noescape
func ReadCR4() uint64

//go:noescape
func WriteCR4(v uint64)

//go:noescape
func WriteXCR0(v uint64)

// Invlpg drops the translation of one page from this CPU's TLB.
//
//go:noescape
func Invlpg(addr uintptr)

// TSC reads the time-stamp counter, not before earlier loads are done.
//
//go:noescape
func TSC() uint64

// Pause eases a spinning loop.
//
//go:noescape
func Pause()

// WaitForInterrupt enables interrupts and halts in one step, so that none can
// slip in between, and disables them again.
//
//go:noescape
func WaitForInterrupt()

// Halt stops this CPU for good.
//
//go:noescape
func Halt()

// This returns the Local of the running CPU.
//
//go:noescape
func This() *Local

// Zero clears n bytes at p, n a multiple of 8.
//
//go:noescape
func Zero(p, n uintptr)

// Copy copies n bytes upward.
//
//go:noescape
func Copy(dst, src, n uintptr)

// LoadTables loads the descriptor tables and reloads the segments. The
// arguments point to 10-byte table registers; task is a selector.
//
//go:noescape
func LoadTables(gdtr, idtr uintptr, task uint16)

//go:noescape
func xsave(area uintptr, mask uint64)

//go:noescape
func xrstor(area uintptr, mask uint64)

//go:noescape
func fxsave(area uintptr)

//go:noescape
func fxrstor(area uintptr)

//go:noescape
func rdrand() (v uint64, ok bool)

//go:noescape
func rdseed() (v uint64, ok bool)
