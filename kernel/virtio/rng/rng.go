// Package rng is the virtio entropy device (virtio 1.2, section 5.4): a source
// of random bytes from the host.
//
// It relies on package virtio. It must not keep, stretch or mix what it reads:
// that is for whoever asks.
package rng

import (
	"errors"
	"strconv"
	"sync"

	"pith/kernel/virtio"
)

// bufferSize is how many bytes one request asks for at most.
const bufferSize = 512

// Device is an entropy device.
type Device struct {
	mu    sync.Mutex
	queue *virtio.Queue
	virt  []byte // the one buffer
	phys  uint64
}

// New starts the device behind t. report, which may be nil, is told if the
// device breaks the rules and is shut down.
func New(t virtio.Transport, mem virtio.Memory, report func(error)) (*Device, error) {
	if t.Type() != virtio.TypeEntropy {
		return nil, errors.New("virtio-rng: device is of type " + strconv.FormatUint(uint64(t.Type()), 10))
	}
	d, err := start(t, virtio.Pack(mem), report)
	if err != nil {
		virtio.Fail(t)
		return nil, errors.Join(errors.New("virtio-rng: device does not start"), err)
	}
	return d, nil
}

func start(t virtio.Transport, mem virtio.Memory, report func(error)) (*Device, error) {
	features, err := virtio.Negotiate(t, virtio.FeatureEventIdx)
	if err != nil {
		return nil, err
	}
	d := &Device{}
	d.queue, err = virtio.NewQueue(t, mem, virtio.QueueOptions{
		Name: "virtio-rng queue", Size: 2, Features: features, Interrupts: true, Report: report,
	})
	if err != nil {
		return nil, err
	}
	if d.virt, d.phys = mem.Alloc(bufferSize); d.virt == nil {
		return nil, errors.New("no memory for the buffer")
	}
	virtio.Ready(t)
	return d, nil
}

// Read fills p with entropy. It parks the goroutine while the host has none. n is
// less than len(p) only with an error: the device was shut down.
func (d *Device) Read(p []byte) (n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n < len(p) {
		got, err := d.request(len(p) - n)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], d.virt[:got])
		clear(d.virt[:got]) // nobody else shall see them
	}
	return n, nil
}

// request has the device write up to want bytes into the buffer (section
// 5.4.6), and returns how many it wrote.
func (d *Device) request(want int) (int, error) {
	segment := virtio.Segment{Phys: d.phys, Len: uint32(min(want, bufferSize))}
	if _, ok := d.queue.AddOne(segment, true); !ok {
		return 0, d.queue.Err() // only a dead queue has no room for its one request
	}
	d.queue.Publish()
	for {
		_, n, ok := d.queue.Take()
		if ok && n == 0 {
			d.queue.Fail("completed a request for entropy with none")
		}
		if ok && n > 0 {
			return int(n), nil
		}
		if err := d.queue.Err(); err != nil {
			return 0, err
		}
		d.queue.Wait()
	}
}
