package linux

import (
	"math/rand"
	"os"
	"testing"
	"time"
)

func TestSoak(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		t.Skip()
	}
	g := rand.New(rand.NewSource(time.Now().UnixNano()))
	end := time.Now().Add(60 * time.Second)
	n := 0
	var traps []uintptr
	for trap := range uintptr(tableSize) {
		if table[trap] != nil && !unfit.has(trap) {
			traps = append(traps, trap)
		}
	}
	for time.Now().Before(end) {
		n++
		trap := traps[g.Intn(len(traps))]
		p := make([]byte, g.Intn(64))
		g.Read(p)
		clear(fuzzMemory[:])
		copy(fuzzMemory[:], p)
		if g.Intn(2) == 0 {
			copy(fuzzMemory[:], []string{"/tmp/a", "/tmp/b", "/tmp/d/x", "../tmp/a"}[g.Intn(4)]+"\x00")
		}
		mend()
		fillFDs(t)
		var a [6]uintptr
		for i := range a {
			a[i] = argument(byte(g.Intn(6)), byte(g.Intn(256)))
			if g.Intn(2) == 0 {
				a[i] = uintptr(g.Intn(16))
			}
		}
		done := make(chan bool)
		go func() {
			RawEntry(trap, a[0], a[1], a[2], a[3], a[4], a[5])
			close(done)
		}()
		select {
		case <-done:
		case <-time.After(20 * time.Millisecond):
		}
		testConsole.taken()
	}
	t.Log(n)
}
