package machine

import (
	"strconv"
	"strings"

	"pith/abi"
)

// Stats are a machine's own figures. Counters begin at its start.
type Stats struct {
	MemoryUsed  uint64 `json:"memoryUsed"`  // bytes
	MemoryGiven uint64 `json:"memoryGiven"` // bytes
	Goroutines  uint64 `json:"goroutines"`  // the kernel's included
	Heap        uint64 `json:"heap"`        // bytes
	HeapGoal    uint64 `json:"heapGoal"`    // bytes at which the next collection begins
	GCs         uint64 `json:"gcs"`
	GCPause     uint64 `json:"gcPause"` // an upper bound of the longest pause, nanoseconds
	RxPackets   uint64 `json:"rxPackets"`
	RxBytes     uint64 `json:"rxBytes"`
	TxPackets   uint64 `json:"txPackets"`
	TxBytes     uint64 `json:"txBytes"`
	Drops       uint64 `json:"drops"`
}

// Measured is what a Running can be asked for that knows its machine's figures.
type Measured interface {
	// Stats asks the machine and waits for the answer, some seconds at most.
	Stats() (Stats, error)
}

// Stats is the answer to abi.ControlStats. ok is false for another message. A
// word that makes no sense counts as 0.
func (m Message) Stats() (s Stats, ok bool) {
	if m.Kind != abi.ControlStats {
		return s, false
	}
	fields := map[string]*uint64{
		abi.StatsMemoryUsed: &s.MemoryUsed, abi.StatsMemoryGiven: &s.MemoryGiven,
		abi.StatsGoroutines: &s.Goroutines, abi.StatsHeap: &s.Heap, abi.StatsHeapGoal: &s.HeapGoal,
		abi.StatsGCs: &s.GCs, abi.StatsGCPause: &s.GCPause,
		abi.StatsRxPackets: &s.RxPackets, abi.StatsRxBytes: &s.RxBytes,
		abi.StatsTxPackets: &s.TxPackets, abi.StatsTxBytes: &s.TxBytes, abi.StatsDrops: &s.Drops,
	}
	for _, word := range m.Words {
		key, value, _ := strings.Cut(word, "=")
		if n, err := strconv.ParseUint(value, 10, 64); err == nil && fields[key] != nil {
			*fields[key] = n
		}
	}
	return s, true
}
