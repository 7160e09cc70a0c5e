package console

import (
	"errors"

	"pith/kernel/virtio"
)

// Control events (section 5.3.6.2).
const (
	eventDeviceReady = 0
	eventAdd         = 1
	eventRemove      = 2
	eventPortReady   = 3
	eventConsole     = 4
	eventResize      = 5
	eventOpen        = 6
	eventName        = 7
)

// Queues for control messages (section 5.3.2).
const (
	queueControlReceive  = 2
	queueControlTransmit = 3
)

// messageSize is the length of struct virtio_console_control, in bytes: id (32
// bits), event and value (16 bits each).
const messageSize = 8

// A device drops messages for which there is no buffer, so there are enough for
// all that it says at the start. A name may take what is left of one.
const (
	controlSlots     = 32
	controlSlotSize  = 128 // bytes
	controlSendSlots = 16
)

// control exchanges control messages with the device. Only its run goroutine
// uses it, once that is started.
type control struct {
	device *Device
	queue  *virtio.Queue // from the device
	slots  bank
	box    outbox // to the device
}

func newControl(d *Device, mem virtio.Memory, features uint64) (c *control, err error) {
	c = &control{device: d}
	o := virtio.QueueOptions{
		Index: queueControlReceive, Name: "virtio-console control receive queue",
		Size: controlSlots, Features: features, Interrupts: true, Report: d.options.Report,
	}
	if c.queue, err = virtio.NewQueue(d.transport, mem, o); err != nil {
		return nil, err
	}
	o.Index, o.Name, o.Size = queueControlTransmit, "virtio-console control transmit queue", controlSendSlots
	if c.box.queue, err = virtio.NewQueue(d.transport, mem, o); err != nil {
		return nil, err
	}
	if !c.slots.init(mem, c.queue, controlSlotSize) || !c.box.slots.init(mem, c.box.queue, messageSize) {
		return nil, errors.New("no memory for control messages")
	}
	return c, nil
}

// run tells the device that the driver is ready, and handles its messages until
// it breaks the rules.
func (c *control) run() {
	c.slots.postAll(c.queue)
	c.queue.Publish()
	c.send(0, eventDeviceReady, 1)
	for c.queue.Err() == nil {
		slot, n, ok := c.slots.take(c.queue)
		if !ok {
			c.queue.Publish()
			c.queue.Wait()
			continue
		}
		// A copy, since the device could change the original meanwhile.
		var m [controlSlotSize]byte
		n = copy(m[:], c.slots.virt[slot][:n])
		c.slots.post(c.queue, slot, controlSlotSize, true)
		c.handle(m[:n])
	}
}

// handle does what one message says. What is too short, unknown, or about no port
// of ours is ignored.
func (c *control) handle(m []byte) {
	if len(m) < messageSize {
		return
	}
	id, event, payload := virtio.Load32(m), virtio.Load16(m[4:]), m[messageSize:]
	if id >= uint32(len(c.device.ports)) {
		if event == eventAdd {
			c.send(id, eventPortReady, 0) // turned down
		}
		return
	}
	p := c.device.ports[id]
	switch event {
	case eventAdd:
		c.add(p)
	case eventRemove:
		c.setPresent(p, false)
	case eventConsole:
		c.send(id, eventOpen, 1) // section 5.3.6.2.2
	case eventResize:
		c.resize(p, payload)
	case eventName:
		c.name(p, payload)
	}
}

// add makes a port usable. Its end is opened at once, or the host would hold
// back what it has for it.
func (c *control) add(p *Port) {
	c.send(uint32(p.id), eventPortReady, 1)
	c.setPresent(p, true)
	c.send(uint32(p.id), eventOpen, 1)
}

func (c *control) setPresent(p *Port, present bool) {
	p.removed.Store(!present)
	d := c.device
	d.mu.Lock()
	p.present = present
	if !present {
		p.name = ""
	}
	d.changed.Broadcast()
	d.mu.Unlock()
}

// resize passes on a new size: columns and rows, 16 bits each. Only the
// console's is of interest.
func (c *control) resize(p *Port, size []byte) {
	if p.id == 0 && len(size) >= 4 {
		c.device.resize(int(virtio.Load16(size)), int(virtio.Load16(size[2:])))
	}
}

// name notes what the device calls a port. Some devices end it with a NUL.
func (c *control) name(p *Port, name []byte) {
	if n := len(name); n > 0 && name[n-1] == 0 {
		name = name[:n-1]
	}
	d := c.device
	d.mu.Lock()
	p.name = string(name)
	d.changed.Broadcast()
	d.mu.Unlock()
}

// send sends one message, and waits only while all buffers are under way. The
// message is dropped if the queue is shut down.
func (c *control) send(id uint32, event, value uint16) {
	slot, err := c.box.idleSlot()
	if err != nil {
		return
	}
	m := c.box.slots.virt[slot]
	virtio.Store32(m, id)
	virtio.Store16(m[4:], event)
	virtio.Store16(m[6:], value)
	c.box.slots.post(c.box.queue, slot, messageSize, false)
	c.box.queue.Publish()
}
