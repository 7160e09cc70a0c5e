package qemu

import "testing"

func TestQueuePairsOfHost(t *testing.T) {
	h := emulated()
	for own, want := range map[string]int{"tcg": 1, "kvm": 4, "xen": 1} {
		h.Getenv = func(string) string { return own }
		if got := QueuePairs(h, 4); got != want {
			t.Errorf("PITH_ACCEL=%s: %d queue pairs for 4 CPUs, want %d", own, got, want)
		}
	}
}
