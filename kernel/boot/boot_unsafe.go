package boot

import "unsafe"

// vdsoClockGettime is where the runtime keeps the address of the vDSO's
// routine (runtime/vdso_linux_amd64.go).
//
//go:linkname vdsoClockGettime runtime.vdsoClockgettimeSym
var vdsoClockGettime uintptr

var idleFunc = idleLoop

// idleCode is the address of idleLoop's code.
//
// SAFETY: a func value points to a read-only record that begins with it.
func idleCode() uintptr { return **(**uintptr)(unsafe.Pointer(&idleFunc)) }
