package net

import (
	"errors"
	"time"

	"pith/kernel/virtio"
)

// Commands of the control queue (section 5.1.6.5).
const (
	classMultiqueue = 4 // VIRTIO_NET_CTRL_MQ
	commandSetPairs = 0 // VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET
	ackOK           = 0
)

// controlSize is the length of a command's buffer, in bytes: class, command, a
// 16-bit argument, and the device's answer.
const controlSize = 5

// A command's answer is polled for, since it comes once in a device's life: with
// pauses that double up to maxPause, for controlPatience in all.
const (
	firstPause      = 20 * time.Microsecond
	maxPause        = 10 * time.Millisecond
	controlPatience = 2 * time.Second
)

// control is the control queue; nil where only one queue pair is used.
type control struct {
	queue *virtio.Queue
	virt  []byte
	phys  uint64
}

// newControl makes the control queue if n of available pairs, more than one,
// are to be used. It lies behind all pairs (section 5.1.2).
func newControl(t virtio.Transport, mem virtio.Memory, features uint64, available, n int) (*control, error) {
	if n == 1 {
		return nil, nil
	}
	mem = virtio.Pack(mem)
	q, err := virtio.NewQueue(t, mem, virtio.QueueOptions{
		Index: 2 * available, Name: "virtio-net control queue", Size: 4, Features: features,
	})
	if err != nil {
		return nil, err
	}
	c := &control{queue: q}
	if c.virt, c.phys = mem.Alloc(controlSize); c.virt == nil {
		return nil, errors.New("no memory for the control queue")
	}
	return c, nil
}

// setPairs tells the device to use n queue pairs (section 5.1.6.5.5).
func (c *control) setPairs(n int) error {
	if c == nil {
		return nil
	}
	c.virt[0], c.virt[1] = classMultiqueue, commandSetPairs
	virtio.Store16(c.virt[2:], uint16(n))
	c.virt[4] = ^byte(ackOK)
	out := []virtio.Segment{{Phys: c.phys, Len: 2}, {Phys: c.phys + 2, Len: 2}}
	in := []virtio.Segment{{Phys: c.phys + 4, Len: 1}}
	if _, ok := c.queue.Add(out, in); !ok {
		return errors.New("control queue is full")
	}
	c.queue.Publish()
	return c.await()
}

// await waits for the answer to the one command under way.
func (c *control) await() error {
	pause := firstPause
	for waited := time.Duration(0); waited < controlPatience; waited += pause {
		if _, _, ok := c.queue.Take(); ok {
			return c.answer()
		}
		if err := c.queue.Err(); err != nil {
			return err
		}
		time.Sleep(pause)
		pause = min(2*pause, maxPause)
	}
	return errors.New("device does not answer on its control queue")
}

func (c *control) answer() error {
	if c.virt[4] != ackOK {
		return errors.New("device refuses to use several queue pairs")
	}
	return nil
}
