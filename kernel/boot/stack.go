package boot

import (
	"pith/abi"
	"pith/kernel/cpu"
	"pith/kernel/diag"
	"pith/kernel/mm"
)

// Bounds of the first thread's stack. The runtime uses its uppermost 64 KiB.
const (
	stackTop  = 0x7fff_ffff_0000
	stackSize = 1 << 20
)

// Entries of the auxiliary vector (getauxval(3)).
const (
	auxPageSize = 6
	auxRandom   = 25
)

// stackBuilder fills the stack from above: strings first, then the vectors.
type stackBuilder struct {
	sp    uintptr
	args  [1024]uintptr
	nArgs int
	env   [1024]uintptr
	nEnv  int
}

// The builder is too large for the boot's stack.
var builder stackBuilder

func (b *stackBuilder) string(s []byte) uintptr {
	b.sp -= uintptr(len(s)) + 1
	for i := range s {
		cpu.Store8(b.sp+uintptr(i), s[i])
	}
	cpu.Store8(b.sp+uintptr(len(s)), 0)
	return b.sp
}

func (b *stackBuilder) arg(s []byte) {
	if b.nArgs < len(b.args) {
		b.args[b.nArgs] = b.string(s)
		b.nArgs++
	}
}

func (b *stackBuilder) setenv(s []byte) {
	if b.nEnv < len(b.env) {
		b.env[b.nEnv] = b.string(s)
		b.nEnv++
	}
}

func (b *stackBuilder) word(v uint64) {
	b.sp -= 8
	cpu.Store64(b.sp, v)
}

// buildStack writes what Linux puts on a new program's stack (x86-64 psABI,
// section 3.4.1), and returns the address of argc; 0 means no memory.
func (m *Machine) buildStack() uintptr {
	if _, errno := mm.Memory.Mmap(stackTop-stackSize, stackSize, mm.Read|mm.Write, true, false); errno != 0 {
		return 0
	}
	b := &builder
	b.sp = stackTop - 64
	m.pushStrings(b)
	b.sp &^= 15
	random := b.pushRandom()
	vectors := uintptr(b.nArgs+b.nEnv+3)*8 + 4*8 + 16
	b.sp = (b.sp-vectors)&^15 + vectors
	b.word(0) // padding below the auxiliary vector's end
	b.word(0)
	b.word(0) // AT_NULL
	b.word(0)
	b.word(uint64(random))
	b.word(auxRandom)
	b.word(mm.PageSize)
	b.word(auxPageSize)
	b.word(0)
	for i := b.nEnv - 1; i >= 0; i-- {
		b.word(uint64(b.env[i]))
	}
	b.word(0)
	for i := b.nArgs - 1; i >= 0; i-- {
		b.word(uint64(b.args[i]))
	}
	b.word(uint64(b.nArgs))
	return b.sp
}

func (m *Machine) pushStrings(b *stackBuilder) {
	rest := m.Block.Records()
	limited := false
	for {
		typ, payload, next, ok := abi.Next(rest)
		if !ok {
			break
		}
		isString := typ == abi.RecordArg || typ == abi.RecordEnv
		if used := stackTop - b.sp; isString && used+uintptr(len(payload)) > stackSize/2 {
			die("arguments and environment are larger than 512 KiB")
		}
		switch typ {
		case abi.RecordArg:
			b.arg(payload)
		case abi.RecordEnv:
			b.setenv(payload)
			limited = limited || hasPrefix(payload, "GOMEMLIMIT=")
		}
		rest = next
	}
	if b.nArgs == 0 {
		b.arg(cpu.Bytes(cpu.AddressOf(defaultName[:]), len(defaultName)))
	}
	if !limited {
		m.limitMemory(b)
	}
}

var defaultName = [7]byte{'p', 'r', 'o', 'g', 'r', 'a', 'm'}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// limitMemory tells the collector how much memory there is, so that it works
// harder rather than let the machine run out of it.
func (m *Machine) limitMemory(b *stackBuilder) {
	_, free := mm.Memory.Stats()
	const name = "GOMEMLIMIT="
	var text [len(name) + 20]byte
	var buf [20]byte
	size := copy(text[:], name)
	for _, digit := range diag.Decimal(&buf, uint64(free/16*13)) {
		text[size] = digit
		size++
	}
	b.setenv(text[:size])
}

// pushRandom pushes the sixteen bytes that seed the runtime's own generator.
func (b *stackBuilder) pushRandom() uintptr {
	for i := 0; i < 2; i++ {
		v, ok := cpu.Random()
		if !ok {
			// Seeds hash tables only: crypto/rand waits for a true source.
			v = cpu.TSC() * 0x9e3779b97f4a7c15
		}
		b.word(v)
	}
	return b.sp
}
