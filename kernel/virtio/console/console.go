// Package console is the virtio console device (virtio 1.2, section 5.3) with
// multiple ports: port 0 is the console, others have names.
//
// It relies on package virtio. It must not know what goes through a port: line
// discipline and control messages are for its users.
//
// The device holds on to nothing of its callers': Write copies and Read copies.
package console

import (
	"errors"
	"strconv"
	"sync"

	"pith/kernel/virtio"
)

// Feature bits (section 5.3.3), as masks.
const (
	featureSize      = uint64(1) << 0 // VIRTIO_CONSOLE_F_SIZE
	featureMultiport = uint64(1) << 1 // VIRTIO_CONSOLE_F_MULTIPORT
)

// Fields of the configuration space (section 5.3.4).
const (
	configColumns  = 0 // 16 bits
	configRows     = 2 // 16 bits
	configMaxPorts = 4 // 32 bits
)

// DefaultPorts is how many ports are used if Options name no number.
const DefaultPorts = 4

// Options says how the device is to be used. The zero value is a good one.
type Options struct {
	// Ports is the most ports to use; a port with this number or a higher one is
	// turned down. 0 means DefaultPorts.
	Ports int
	// Resize is told the console's size, in characters, when it becomes known
	// and when it changes. It may be nil.
	Resize func(columns, rows int)
	// Report is told when a queue is shut down because the device broke the
	// rules. It must not call the Device. It may be nil.
	Report func(error)
}

// Device is a console device.
type Device struct {
	transport virtio.Transport
	options   Options
	ports     []*Port
	control   *control // nil without featureMultiport

	mu      sync.Mutex
	changed sync.Cond // signals changes of a port's name or presence
}

// New starts the device behind t, and a goroutine for its control messages if it
// has several ports. Port 0 can be used at once; others appear when the device
// announces them.
func New(t virtio.Transport, mem virtio.Memory, o Options) (*Device, error) {
	if t.Type() != virtio.TypeConsole {
		return nil, errors.New("virtio-console: device is of type " + strconv.FormatUint(uint64(t.Type()), 10))
	}
	if o.Ports == 0 {
		o.Ports = DefaultPorts
	}
	d := &Device{transport: t, options: o}
	d.changed.L = &d.mu
	if err := d.start(virtio.Pack(mem)); err != nil {
		virtio.Fail(t)
		return nil, errors.Join(errors.New("virtio-console: device does not start"), err)
	}
	return d, nil
}

func (d *Device) start(mem virtio.Memory) error {
	wanted := featureMultiport | virtio.FeatureEventIdx
	if d.options.Resize != nil {
		wanted |= featureSize
	}
	features, err := virtio.Negotiate(d.transport, wanted)
	if err != nil {
		return err
	}
	if err := d.addPorts(mem, features); err != nil {
		return err
	}
	if features&featureMultiport != 0 {
		if d.control, err = newControl(d, mem, features); err != nil {
			return err
		}
	}
	size, err := d.sizeWaiter(features)
	if err != nil {
		return err
	}
	virtio.Ready(d.transport)
	d.run(size)
	return nil
}

// sizeWaiter returns what to wait for if the device tells the console's size in
// its configuration space, else nil.
func (d *Device) sizeWaiter(features uint64) (virtio.Waiter, error) {
	if features&featureSize == 0 {
		return nil, nil
	}
	return d.transport.ConfigWaiter()
}

// run sets the ready device to work.
func (d *Device) run(size virtio.Waiter) {
	for _, p := range d.ports {
		p.rx.queue.Publish()
	}
	if d.control != nil {
		go d.control.run()
	}
	if size != nil {
		go d.watchSize(size)
	}
}

// addPorts makes the queues of all ports that may be used: after the start it
// would be too late.
func (d *Device) addPorts(mem virtio.Memory, features uint64) error {
	n := 1
	if features&featureMultiport != 0 {
		n = min(d.maxPorts(), d.options.Ports)
	}
	for id := range n {
		p, err := newPort(d, mem, id, features)
		if err != nil {
			return err
		}
		d.ports = append(d.ports, p)
	}
	d.ports[0].present = true
	return nil
}

// maxPorts is how many ports the device may have, at least 1.
func (d *Device) maxPorts() int {
	var n uint32
	virtio.ReadConfig(d.transport, func(r virtio.Registers) { n = r.Read32(configMaxPorts) })
	return int(max(min(n, 1<<15), 1))
}

// watchSize reports the size in the configuration space, now and after each
// change.
func (d *Device) watchSize(w virtio.Waiter) {
	oldColumns, oldRows := -1, -1
	for {
		var columns, rows int
		virtio.ReadConfig(d.transport, func(r virtio.Registers) {
			columns, rows = int(r.Read16(configColumns)), int(r.Read16(configRows))
		})
		if columns != oldColumns || rows != oldRows {
			oldColumns, oldRows = columns, rows
			d.resize(columns, rows)
		}
		w.Wait()
	}
}

func (d *Device) resize(columns, rows int) {
	if d.options.Resize != nil {
		d.options.Resize(columns, rows)
	}
}

// Console is port 0.
func (d *Device) Console() *Port { return d.ports[0] }

// Port returns the port of that name, nil if the device has announced none so
// far.
func (d *Device) Port(name string) *Port {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.find(name)
}

// AwaitPort parks the goroutine until the device has announced a port of that
// name.
func (d *Device) AwaitPort(name string) *Port {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		if p := d.find(name); p != nil {
			return p
		}
		d.changed.Wait()
	}
}

// find looks a port up by name. d.mu is held.
func (d *Device) find(name string) *Port {
	for _, p := range d.ports {
		if p.present && p.name == name {
			return p
		}
	}
	return nil
}
