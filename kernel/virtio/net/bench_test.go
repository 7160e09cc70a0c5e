package net

import (
	"testing"
	"time"

	"pith/kernel/link"
)

// The benchmarks time the driver's part only: ns/frame.

const benchBatch = 32

func BenchmarkTransmit(b *testing.B) {
	c := newCard(b, onMMIO, everything, Options{})
	tx, q := &c.dev.pairs[0].tx, c.raw.Queue(1)
	spent, frames := time.Duration(0), 0
	for b.Loop() {
		start := time.Now()
		for range benchBatch {
			f := c.dev.Alloc()
			f.Len = 60
			c.dev.Transmit(0, f, link.Offload{})
		}
		c.dev.Flush(0)
		spent += time.Since(start)
		frames += benchBatch
		for id, f := range tx.frames { // all that the driver still holds
			if f != nil {
				q.Push(uint32(id), 0)
			}
		}
		q.Publish()
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(frames), "ns/frame")
	c.healthy()
}

func BenchmarkReceive(b *testing.B) {
	c := newCard(b, onMMIO, everything, Options{})
	q := c.raw.Queue(0)
	frame := pattern(1, 60)
	deliver := func(f *link.Buffer, o link.Offload) { f.Free() }
	spent, frames := time.Duration(0), 0
	for b.Loop() {
		for range benchBatch {
			c.receive(0, plain, frame)
		}
		q.Publish()
		start := time.Now()
		c.dev.Poll(0, 64, deliver)
		spent += time.Since(start)
		frames += benchBatch
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(frames), "ns/frame")
	c.healthy()
}
