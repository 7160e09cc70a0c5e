package qemu

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"pith/abi"
)

// guest is machine code of a tiny guest for tests of the driver: it needs no
// kernel. Entered in 32-bit protected mode without a stack.
type guest []byte

// out8 writes the bytes of s to an I/O port.
func (g guest) out8(port uint16, s string) guest {
	g = append(g, 0x66, 0xba, byte(port), byte(port>>8)) // mov dx, port
	for i := range len(s) {
		g = append(g, 0xb0, s[i], 0xee) // mov al, s[i]; out dx, al
	}
	return g
}

// exit writes to isa-debug-exit.
func (g guest) exit(value uint32) guest {
	g = append(g, 0x66, 0xba, abi.PortExit, 0)
	g = append(g, 0xb8)
	g = binary.LittleEndian.AppendUint32(g, value) // mov eax, value
	return append(g, 0xef).hang()                  // out dx, eax
}

// hang stops the CPU for good.
func (g guest) hang() guest { return append(g, 0xfa, 0xf4, 0xeb, 0xfd) } // cli; l: hlt; jmp l

// tripleFault resets the machine: an undefined instruction without an
// interrupt table.
func (g guest) tripleFault() guest { return append(g, 0x0f, 0x0b) } // ud2

// moduleHead prints the first n bytes of the first PVH module.
func (g guest) moduleHead(n uint32) guest {
	g = append(g, 0x8b, 0x73, 0x10) // mov esi, [ebx+16]: the list of modules
	g = append(g, 0x8b, 0x36)       // mov esi, [esi]: the first one's address
	g = append(g, 0xb9)
	g = binary.LittleEndian.AppendUint32(g, n) // mov ecx, n
	g = append(g, 0x66, 0xba, abi.PortConsole, 0)
	return append(g, 0xfc, 0xf3, 0x6e) // cld; rep outsb
}

const guestBase = 1 << 20

// write makes an ELF file with a PVH note of the guest.
// Source: System V ABI, i386 supplement, chapters 4 and 5.
func (g guest) write(t testing.TB) string {
	t.Helper()
	const header, programHeader = 52, 32
	le := binary.LittleEndian
	note := le.AppendUint32(nil, 4)
	note = le.AppendUint32(note, 4)
	note = le.AppendUint32(note, abi.NotePVH)
	note = append(note, "Xen\x00"...)
	codeAt := uint32(header + 2*programHeader + 20)
	note = le.AppendUint32(note, guestBase+codeAt)

	f := append([]byte("\x7fELF\x01\x01\x01"), make([]byte, 9)...)
	f = le.AppendUint16(f, 2) // executable
	f = le.AppendUint16(f, 3) // 386
	for _, v := range []uint32{1, guestBase + codeAt, header, 0, 0} {
		f = le.AppendUint32(f, v)
	}
	for _, v := range []uint16{header, programHeader, 2, 40, 0, 0} {
		f = le.AppendUint16(f, v)
	}
	size := codeAt + uint32(len(g))
	for _, v := range []uint32{
		1, 0, guestBase, guestBase, size, size, 5, 4096,
		4, codeAt - 20, guestBase + codeAt - 20, guestBase + codeAt - 20, 20, 20, 4, 4,
	} {
		f = le.AppendUint32(f, v)
	}
	f = append(append(f, note...), g...)
	path := filepath.Join(t.TempDir(), "guest.elf")
	if err := os.WriteFile(path, f, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
