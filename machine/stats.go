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
	// Queues are the network cards' queue pairs, where a card has several; each
	// figure is of all cards.
	Queues []QueueStats `json:"queues,omitempty"`
}

// QueueStats are a queue pair's figures, in packets.
type QueueStats struct {
	Rx   uint64 `json:"rx"`
	Tx   uint64 `json:"tx"`
	Full uint64 `json:"full"` // the transmit ring had no room; the sender tried again
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
		n, err := strconv.ParseUint(value, 10, 64)
		switch {
		case err != nil:
		case fields[key] != nil:
			*fields[key] = n
		case strings.HasPrefix(key, abi.StatsQueue):
			s.setQueue(strings.TrimPrefix(key, abi.StatsQueue), n)
		}
	}
	return s, true
}

// mostQueues bounds what a machine may say that it has.
const mostQueues = 64

// setQueue takes one figure of a queue pair; key is its number and what it counts.
func (s *Stats) setQueue(key string, n uint64) {
	number, what, _ := strings.Cut(key, ".")
	i, err := strconv.ParseUint(number, 10, 16)
	if err != nil || i >= mostQueues {
		return
	}
	for len(s.Queues) <= int(i) {
		s.Queues = append(s.Queues, QueueStats{})
	}
	switch q := &s.Queues[i]; "." + what {
	case abi.StatsQueueRx:
		q.Rx = n
	case abi.StatsQueueTx:
		q.Tx = n
	case abi.StatsQueueFull:
		q.Full = n
	}
}
