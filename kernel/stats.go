package kernel

import (
	"math"
	"runtime/metrics"
	"strconv"

	"pith/abi"
	"pith/kernel/linux"
	"pith/kernel/rt"
	"pith/kernel/virtio/net"
)

// figures are what the Go runtime counts anyway; reading them stops nobody.
var figures = []struct{ key, name string }{
	{abi.StatsGoroutines, "/sched/goroutines:goroutines"},
	{abi.StatsHeap, "/memory/classes/heap/objects:bytes"},
	{abi.StatsHeapGoal, "/gc/heap/goal:bytes"},
	{abi.StatsGCs, "/gc/cycles/total:gc-cycles"},
	{abi.StatsGCPause, "/sched/pauses/total/gc:seconds"},
}

// stats is the answer to abi.ControlStats.
func (m *machine) stats() string {
	line := []byte(abi.ControlStats)
	add := func(key string, value uint64) {
		line = append(append(append(line, ' '), key...), '=')
		line = strconv.AppendUint(line, value, 10)
	}
	total, free := rt.Memory()
	add(abi.StatsMemoryUsed, total-free)
	add(abi.StatsMemoryGiven, total)
	samples := make([]metrics.Sample, len(figures))
	for i, f := range figures {
		samples[i].Name = f.name
	}
	metrics.Read(samples)
	for i, f := range figures {
		add(f.key, number(samples[i].Value))
	}
	m.addCards(add)
	return string(append(line, '\n'))
}

// number is a figure's value: of seconds' distribution the largest, in nanoseconds.
func number(v metrics.Value) uint64 {
	switch v.Kind() {
	case metrics.KindUint64:
		return v.Uint64()
	case metrics.KindFloat64Histogram:
		return uint64(largest(v.Float64Histogram()) * 1e9)
	}
	return 0
}

// largest is an upper bound of what was counted, 0 for nothing.
func largest(h *metrics.Float64Histogram) float64 {
	for i := len(h.Counts) - 1; i >= 0; i-- {
		if h.Counts[i] == 0 {
			continue
		}
		if top := h.Buckets[i+1]; !math.IsInf(top, 1) {
			return top
		}
		return h.Buckets[i]
	}
	return 0
}

// traffic is what went through a card, by its interface's name. Who has seen that
// name may read the cards: they are all there before the first has one.
func (m *machine) traffic(name string) (t linux.Traffic) {
	for i, card := range m.cards {
		if cardName(i) != name {
			continue
		}
		for q := range card.Queues() {
			s := card.Stats(q)
			t.RxPackets, t.RxBytes, t.RxDropped = t.RxPackets+s.RxFrames, t.RxBytes+s.RxBytes, t.RxDropped+s.RxMalformed+s.RxNoBuffer
			t.TxPackets, t.TxBytes, t.TxDropped = t.TxPackets+s.TxFrames, t.TxBytes+s.TxBytes, t.TxDropped+s.TxFull+s.TxRefused
		}
	}
	return t
}

// addCards adds up all network cards.
func (m *machine) addCards(add func(string, uint64)) {
	var all net.Stats
	var queues []net.Stats
	for _, card := range m.cards {
		for q := range card.Queues() {
			s := card.Stats(q)
			all.Add(s)
			if q == len(queues) {
				queues = append(queues, net.Stats{})
			}
			queues[q].Add(s)
		}
	}
	add(abi.StatsRxPackets, all.RxFrames)
	add(abi.StatsRxBytes, all.RxBytes)
	add(abi.StatsTxPackets, all.TxFrames)
	add(abi.StatsTxBytes, all.TxBytes)
	add(abi.StatsDrops, all.RxMalformed+all.RxNoBuffer+all.TxFull+all.TxRefused)
	if len(queues) > 1 {
		addQueues(add, queues)
	}
}

// addQueues adds the queue pairs one by one.
func addQueues(add func(string, uint64), queues []net.Stats) {
	for i, s := range queues {
		key := abi.StatsQueue + strconv.Itoa(i)
		add(key+abi.StatsQueueRx, s.RxFrames)
		add(key+abi.StatsQueueTx, s.TxFrames)
		add(key+abi.StatsQueueFull, s.TxFull)
	}
}
