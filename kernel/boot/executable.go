package boot

import (
	"pith/abi"
	"pith/kernel/cpu"
)

// Executable calls f for each loaded segment of the image's file: where it lies
// in the file, and its bytes in place. The variables are as they are now, and
// there are no sections. It is called by the upper half and allocates.
func Executable(f func(offset int64, data []byte)) {
	for _, s := range loaded() {
		f(int64(s.offset), cpu.Bytes(s.start, int(s.size)))
	}
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
