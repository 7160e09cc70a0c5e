package machine

import (
	"os"
	"testing"
	"time"
)

func TestUsage(t *testing.T) {
	stat := []byte("7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 1 0 4711 9 10 11\n")
	cpu, memory, err := parseUsage(stat)
	if err != nil || cpu != 2*time.Second || memory != 10*int64(os.Getpagesize()) {
		t.Errorf("%v, %d, %v", cpu, memory, err)
	}
	if _, _, err := parseUsage([]byte("7 (x) S 1")); err == nil {
		t.Error("a cut line is accepted")
	}
	self, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	if _, memory, err := self.Usage(); err != nil || memory == 0 {
		t.Errorf("of this process: %d, %v", memory, err)
	}
	self.Start++
	if _, _, err := self.Usage(); err == nil {
		t.Error("a process that only has the number is measured")
	}
}
