package boot

import (
	"pith/abi"
	"pith/kernel/cpu"
)

// maxExecutable bounds the copy of the image, in bytes.
const maxExecutable = 256 << 20

// Executable makes a copy of the image's file from its loaded segments: the
// variables are as they are now, and there are no sections. It is called by the
// upper half and allocates.
func Executable() []byte {
	var file []byte
	for _, s := range loaded() {
		if s.offset+s.size > maxExecutable {
			return nil
		}
		if missing := int(s.offset+s.size) - len(file); missing > 0 {
			file = append(file, make([]byte, missing)...)
		}
		copy(file[s.offset:], cpu.Bytes(s.start, int(s.size)))
	}
	return file
}

// part is a piece of the image's file in memory.
type part struct{ start, offset, size uintptr }

func loaded() (parts []part) {
	eachHeader(func(ph uintptr) {
		if cpu.Load32(ph) != segmentLoad {
			return
		}
		start := uintptr(cpu.Load64(ph + 16))
		if cpu.Load32(ph+4)&abi.FlagPacked != 0 {
			start = at(uintptr(cpu.Load64(ph + 24))) // it is mapped nowhere else
		}
		parts = append(parts, part{start, uintptr(cpu.Load64(ph + 8)), uintptr(cpu.Load64(ph + 32))})
	})
	return parts
}
