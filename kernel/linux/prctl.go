package linux

import (
	"sync"
	"sync/atomic"
	"syscall"
)

// Operations of prctl(2).
const (
	prSetDeathSignal = 1
	prGetDeathSignal = 2
	prGetDumpable    = 3
	prSetDumpable    = 4
	prGetKeepCaps    = 7
	prSetKeepCaps    = 8
	prSetName        = 15
	prGetName        = 16
	prGetSeccomp     = 21
	prCapBoundRead   = 23
	prCapBoundDrop   = 24
	prGetSecureBits  = 27
	prSetSecureBits  = 28
	prSetTimerSlack  = 29
	prGetTimerSlack  = 30
	prSetSubreaper   = 36
	prGetSubreaper   = 37
	prSetNoNewPrivs  = 38
	prGetNoNewPrivs  = 39
	prSetHugePages   = 41
	prGetHugePages   = 42
	prCapAmbient     = 47
)

// traits is what prctl keeps and has no other effect: there is nobody to trace
// the process, no program to be executed, no parent and no child.
var traits = struct {
	dumpable, keepCaps, secureBits, timerSlack, subreaper, noNewPrivs, noHugePages, deathSignal atomic.Uint32

	mu   sync.Mutex
	name string // what PR_SET_NAME set; "" if nothing did
}{}

func init() {
	traits.dumpable.Store(1)
	traits.timerSlack.Store(50_000) // ns
}

func sysPrctl(c call) (uintptr, Errno) {
	switch c.a1 {
	case prSetDumpable:
		return setFlag(&traits.dumpable, c.a2)
	case prGetDumpable:
		return uintptr(traits.dumpable.Load()), 0
	case prSetKeepCaps:
		return setFlag(&traits.keepCaps, c.a2)
	case prGetKeepCaps:
		return uintptr(traits.keepCaps.Load()), 0
	case prSetName:
		return c.setThreadName()
	case prGetName:
		return c.threadName()
	case prGetSeccomp:
		return 0, 0
	case prCapBoundRead:
		return capability(c.a2, 1)
	case prCapBoundDrop:
		return 0, syscall.EPERM
	case prCapAmbient:
		return ambient(c)
	case prGetSecureBits:
		return uintptr(traits.secureBits.Load()), 0
	case prSetSecureBits:
		traits.secureBits.Store(uint32(c.a2))
		return 0, 0
	case prSetTimerSlack:
		traits.timerSlack.Store(uint32(c.a2))
		return 0, 0
	case prGetTimerSlack:
		return uintptr(traits.timerSlack.Load()), 0
	}
	return c.prctlMore()
}

// prctlMore is the operations that take no more arguments than they use.
func (c call) prctlMore() (uintptr, Errno) {
	one, none := c.a3|c.a4|c.a5 == 0, c.a2|c.a3|c.a4|c.a5 == 0
	switch {
	case c.a1 == prSetDeathSignal && c.a2 <= 64:
		traits.deathSignal.Store(uint32(c.a2))
		return 0, 0
	case c.a1 == prGetDeathSignal:
		signal := int32(traits.deathSignal.Load())
		return 0, put(c.address(c.a2), &signal)
	case c.a1 == prSetSubreaper:
		traits.subreaper.Store(boolean(c.a2))
		return 0, 0
	case c.a1 == prGetSubreaper:
		on := int32(traits.subreaper.Load())
		return 0, put(c.address(c.a2), &on)
	case c.a1 == prSetNoNewPrivs && one && c.a2 == 1:
		traits.noNewPrivs.Store(1)
		return 0, 0
	case c.a1 == prGetNoNewPrivs && none:
		return uintptr(traits.noNewPrivs.Load()), 0
	case c.a1 == prSetHugePages && one:
		traits.noHugePages.Store(boolean(c.a2))
		return 0, 0
	case c.a1 == prGetHugePages && none:
		return uintptr(traits.noHugePages.Load()), 0
	}
	return 0, syscall.EINVAL
}

func boolean(v uintptr) uint32 {
	if v != 0 {
		return 1
	}
	return 0
}

func setFlag(f *atomic.Uint32, v uintptr) (uintptr, Errno) {
	if v > 1 {
		return 0, syscall.EINVAL
	}
	f.Store(uint32(v))
	return 0, 0
}

// lastCapability is the highest capability of Linux 6.1.
const lastCapability = 40

func capability(number, answer uintptr) (uintptr, Errno) {
	if number > lastCapability {
		return 0, syscall.EINVAL
	}
	return answer, 0
}

// ambient answers PR_CAP_AMBIENT: no capability is in that set, and what is
// executed never gets any.
func ambient(c call) (uintptr, Errno) {
	const isSet, raise, lower, clearAll = 1, 2, 3, 4
	switch c.a2 {
	case isSet, lower:
		return capability(c.a3, 0)
	case clearAll:
		return 0, 0
	case raise:
		return 0, syscall.EPERM
	}
	return 0, syscall.EINVAL
}

const nameSize = 16 // of a thread's name, with its NUL

// setThreadName keeps one name for all threads: which of them a goroutine runs
// on is the runtime's choice.
func (c call) setThreadName() (uintptr, Errno) {
	var p [nameSize]byte
	a := c.address(c.a2)
	n := 0
	for ; n < nameSize-1; n++ {
		if errno := copyIn(p[n:n+1], a.plus(uintptr(n))); errno != 0 {
			return 0, errno
		}
		if p[n] == 0 {
			break
		}
	}
	traits.mu.Lock()
	traits.name = string(p[:n])
	traits.mu.Unlock()
	return 0, 0
}

func (c call) threadName() (uintptr, Errno) {
	var p [nameSize]byte
	copy(p[:nameSize-1], command())
	return 0, put(c.address(c.a2), &p)
}
