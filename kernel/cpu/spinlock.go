package cpu

import "sync/atomic"

// SpinLock is a lock for the kernel's lower half, to be taken with interrupts
// off. While a CPU waits it runs OnSpin, so that a holder that waits for an
// answer from all CPUs gets one.
type SpinLock struct{ held atomic.Uint32 }

// OnSpin is run by every CPU that waits for a lock; set once at boot.
var OnSpin func()

// Lock waits until the lock is free and takes it.
func (l *SpinLock) Lock() {
	for !l.held.CompareAndSwap(0, 1) {
		for l.held.Load() != 0 {
			Pause()
			if OnSpin != nil {
				OnSpin()
			}
		}
	}
}

// Unlock frees the lock.
func (l *SpinLock) Unlock() { l.held.Store(0) }
