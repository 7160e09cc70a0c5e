package linktest

import (
	"bytes"
	"testing"

	"pith/kernel/link"
)

func put(c *Card, size int, fill byte) bool {
	b := c.fill(bytes.Repeat([]byte{fill}, size))
	return c.Transmit(0, b, link.Offload{})
}

func drain(c *Card) (got [][]byte) {
	c.Poll(0, 1<<20, func(f *link.Buffer, _ link.Offload) {
		got = append(got, flatten(f))
		f.Free()
	})
	return got
}

func TestFramesAreSeenOnlyAfterFlush(t *testing.T) {
	a, b := Pair(Options{})
	put(a, 100, 1)
	if got := drain(b); len(got) != 0 {
		t.Fatalf("received %d frames before Flush", len(got))
	}
	a.Flush(0)
	got := drain(b)
	if len(got) != 1 || len(got[0]) != 100 || got[0][99] != 1 {
		t.Fatalf("received %v", got)
	}
	if a.Free() != 4096 || b.Free() != 4096 {
		t.Errorf("buffers left: %d and %d of 4096", a.Free(), b.Free())
	}
}

func TestLossAndReorder(t *testing.T) {
	a, b := Pair(Options{Ring: 1000, AtoB: Conditions{Loss: 0.5}})
	for i := range 200 {
		put(a, 60, byte(i))
	}
	a.Flush(0)
	if n := len(drain(b)); n < 60 || n > 140 {
		t.Errorf("%d of 200 frames passed a loss of one half", n)
	}
	a.SetConditions(Conditions{Reorder: 1})
	put(a, 60, 1)
	a.Flush(0)
	a.SetConditions(Conditions{})
	put(a, 60, 2)
	a.Flush(0)
	got := drain(b)
	if len(got) != 2 || got[0][20] != 2 || got[1][20] != 1 {
		t.Errorf("frames were not reordered: %d", len(got))
	}
}

func TestRingIsBounded(t *testing.T) {
	a, _ := Pair(Options{Ring: 4})
	for i := range 4 {
		if !put(a, 60, byte(i)) {
			t.Fatal("the ring was full too early")
		}
	}
	if put(a, 60, 9) {
		t.Error("the fifth frame was taken into a ring of four")
	}
	if a.Overrun.Load() != 1 {
		t.Errorf("Overrun = %d", a.Overrun.Load())
	}
}

func TestContractIsEnforced(t *testing.T) {
	a, _ := Pair(Options{})
	defer func() {
		if recover() == nil {
			t.Error("an oversized frame was accepted")
		}
	}()
	put(a, 1515, 0)
}
