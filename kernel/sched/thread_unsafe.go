package sched

import (
	"unsafe"

	"pith/kernel/cpu"
)

const threadSize = unsafe.Sizeof(Thread{})

// SAFETY: threads live in the direct map, where nothing moves or frees them
// behind the kernel's back.
func (t *Thread) address() uintptr { return uintptr(unsafe.Pointer(t)) }

func spOf(t *Thread) uintptr { return uintptr(unsafe.Pointer(&t.sp)) }

func localAddress(l *cpu.Local) uintptr { return uintptr(unsafe.Pointer(l)) }

// RestoreFPUOffset is where package trap's assembly finds Thread.RestoreFPU;
// the two declarations fail to compile if that is wrong.
const RestoreFPUOffset = 544

const (
	_ = uint(unsafe.Offsetof(Thread{}.RestoreFPU) - RestoreFPUOffset)
	_ = uint(RestoreFPUOffset - unsafe.Offsetof(Thread{}.RestoreFPU))
)
