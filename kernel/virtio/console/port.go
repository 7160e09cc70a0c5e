package console

import (
	"errors"
	"io"
	"strconv"
	"sync"
	"sync/atomic"

	"pith/kernel/virtio"
)

// What a port has in buffers for each direction, in number and bytes. Transmit
// buffers are taken when the port is first written to.
const (
	receiveSlots  = 4
	receiveSize   = 256
	transmitSlots = 16
	transmitSize  = 2048
)

// ErrMemory means that there are no buffers for a port.
var ErrMemory = errors.New("virtio-console: no memory for a port's buffers")

// Port is one stream of bytes in each direction. Reads wait for each other, and
// so do Writes.
type Port struct {
	device *Device
	id     int

	name    string // guarded by device.mu, as is
	present bool   // announced and not removed

	removed atomic.Bool
	rx      reader
	tx      writer
}

// reader is a port's way in.
type reader struct {
	mu    sync.Mutex // held while parked
	queue *virtio.Queue
	slots bank
	slot  int // the slot that rest is in
	rest  []byte
}

// writer is a port's way out.
type writer struct {
	mu  sync.Mutex // held while parked
	box outbox
	mem virtio.Memory
}

// portQueue is the first of a port's two queues (section 5.3.2): the control
// queues sit between those of port 0 and port 1.
func portQueue(id int) int {
	if id == 0 {
		return 0
	}
	return 2*id + 2
}

// newPort makes a port's queues, and fills the receive queue. It is to be
// published when the device is ready.
func newPort(d *Device, mem virtio.Memory, id int, features uint64) (*Port, error) {
	p := &Port{device: d, id: id}
	o := virtio.QueueOptions{
		Index: portQueue(id), Name: "virtio-console receive queue " + strconv.Itoa(id),
		Size: receiveSlots, Features: features, Interrupts: true, Report: d.options.Report,
	}
	var err error
	if p.rx.queue, err = virtio.NewQueue(d.transport, mem, o); err != nil {
		return nil, err
	}
	o.Index, o.Name, o.Size = o.Index+1, "virtio-console transmit queue "+strconv.Itoa(id), transmitSlots
	if p.tx.box.queue, err = virtio.NewQueue(d.transport, mem, o); err != nil {
		return nil, err
	}
	p.tx.mem = mem
	if !p.rx.slots.init(mem, p.rx.queue, receiveSize) {
		return nil, ErrMemory
	}
	p.rx.slots.postAll(p.rx.queue)
	return p, nil
}

// ID is the port's number on the device.
func (p *Port) ID() int { return p.id }

// Name is what the device calls the port, "" if it has not said.
func (p *Port) Name() string {
	p.device.mu.Lock()
	defer p.device.mu.Unlock()
	return p.name
}

// Read reads what the host has sent, at least one byte. It parks the goroutine
// while there is none. io.EOF means that the host removed the port, any other
// error that the device was shut down. A Read that is parked already does not
// learn of a removal.
func (p *Port) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	r := &p.rx
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.rest) == 0 {
		if err := p.more(); err != nil {
			return 0, err
		}
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	if len(r.rest) == 0 {
		r.repost()
	}
	return n, nil
}

// more gets the next bytes into rest, or waits once. rx.mu is held.
func (p *Port) more() error {
	r := &p.rx
	slot, n, ok := r.slots.take(r.queue)
	if ok {
		r.slot, r.rest = slot, r.slots.virt[slot][:n]
		if n == 0 {
			r.repost()
		}
		return nil
	}
	if err := r.queue.Err(); err != nil {
		return err
	}
	if p.removed.Load() {
		return io.EOF
	}
	r.queue.Wait()
	return nil
}

// repost gives the slot that was read to its end back to the device.
func (r *reader) repost() {
	r.slots.post(r.queue, r.slot, len(r.slots.virt[r.slot]), true)
	r.queue.Publish()
}

// UnderWay counts the buffers that were given to the host, and those that it has
// taken; both wrap round. It may be called at any time, and does no more than
// read memory.
func (p *Port) UnderWay() (given, taken uint16) { return p.tx.box.queue.UnderWay() }

// Write copies b into buffers for the device and returns. It parks the goroutine
// only while all buffers are under way. The device drops what is written to a
// port whose host end is closed.
func (p *Port) Write(b []byte) (n int, err error) {
	w := &p.tx
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.box.slots.virt == nil && !w.box.slots.init(w.mem, w.box.queue, transmitSize) {
		return 0, ErrMemory
	}
	defer w.box.queue.Publish()
	for n < len(b) {
		slot, err := w.box.idleSlot()
		if err != nil {
			return n, err
		}
		k := copy(w.box.slots.virt[slot], b[n:])
		w.box.slots.post(w.box.queue, slot, k, false)
		n += k
	}
	return n, nil
}
