// Package pci is virtio over PCI (virtio 1.2, section 4.1): modern devices, and
// transitional ones by their modern interface, with MSI-X interrupts.
//
// It relies on the caller for the function's configuration space (ECAM or
// ports), and on a Platform for mapping device memory and for interrupt vectors.
// It must not enumerate by itself which devices a program needs, program an
// interrupt controller, or use the legacy interface and INTx lines: a device that
// has only those is refused.
package pci

import (
	"errors"
	"strconv"

	"pith/kernel/virtio"
)

// VendorID is the PCI vendor of all virtio devices (section 4.1.2).
const VendorID = 0x1af4

// Device ids (section 4.1.2): modern ones are the device's type above a base;
// transitional ones have the type in their subsystem id.
const (
	firstTransitional = 0x1000
	firstModern       = 0x1040
	lastModern        = 0x107f
)

// Fields of the common configuration (section 4.1.4.3).
const (
	comFeatureSelect       = 0
	comFeature             = 4
	comDriverFeatureSelect = 8
	comDriverFeature       = 12
	comConfigVector        = 16 // 16 bits
	comNumQueues           = 18 // 16 bits
	comStatus              = 20 // 8 bits
	comGeneration          = 21 // 8 bits
	comQueueSelect         = 22 // 16 bits, as all up to queue_notify_off
	comQueueSize           = 24
	comQueueVector         = 26
	comQueueEnable         = 28
	comQueueNotifyOff      = 30
	comQueueDesc           = 32 // 64 bits
	comQueueDriver         = 40
	comQueueDevice         = 48
)

// noVector in a vector field means no interrupt (section 4.1.5.1.2).
const noVector = 0xffff

// Platform is what the machine does for a PCI device.
type Platform interface {
	// Map makes size bytes of device memory from the physical address phys
	// accessible, uncached, for good. phys need not be page-aligned.
	Map(phys uint64, size uint32) (virtio.Registers, error)
	// Place chooses a free physical address, a multiple of size and below 4 GiB,
	// for a base address register that no firmware has assigned.
	Place(size uint64) (phys uint64, err error)
	// MSIX allocates an interrupt for the device's MSI-X vector: the message
	// that the device is to send, and the Waiter that it wakes.
	MSIX(vector int) (address uint64, data uint32, w virtio.Waiter, err error)
}

// Transport is one device behind a PCI function.
type Transport struct {
	typ    uint32
	common virtio.Registers
	notify virtio.Registers
	device virtio.Registers
	msix   msix

	notifyLength, multiplier uint32 // bytes
}

// absent is a space without registers.
var absent = virtio.Window(nil, 0, 0)

// Type tells the virtio device type of a PCI function, 0 if it is none.
func Type(cfg virtio.Registers) uint32 {
	if cfg.Read16(cfgVendor) != VendorID {
		return 0
	}
	id := uint32(cfg.Read16(cfgDevice))
	switch {
	case id >= firstModern && id <= lastModern:
		return id - firstModern
	case id >= firstTransitional && id < firstModern:
		return uint32(cfg.Read16(cfgSubsystem))
	}
	return 0
}

// New sets up the function whose configuration space is cfg: it finds virtio's
// structures, maps them, and enables memory access, bus mastering and MSI-X.
func New(cfg virtio.Registers, p Platform) (*Transport, error) {
	t := &Transport{typ: Type(cfg)}
	if t.typ == 0 {
		return nil, errors.New("virtio-pci: not a virtio device")
	}
	l, err := parse(cfg)
	if err != nil {
		return nil, err
	}
	command := cfg.Read16(cfgCommand)
	cfg.Write16(cfgCommand, command&^(commandMemory|commandMaster)|commandNoINTx)
	m := mapper{cfg: cfg, platform: p}
	t.mapAll(&m, l)
	t.msix.init(&m, l.msix)
	if m.err != nil {
		return nil, m.err
	}
	cfg.Write16(cfgCommand, command|commandMemory|commandMaster|commandNoINTx)
	t.msix.enable(cfg)
	return t, nil
}

// mapAll maps virtio's structures.
func (t *Transport) mapAll(m *mapper, l layout) {
	t.notifyLength, t.multiplier = l.notify.length, l.multiplier
	t.common = m.region(l.common)
	t.notify = m.region(l.notify)
	t.device = absent
	if l.device.length != 0 {
		t.device = m.region(l.device)
	}
}

// mapper maps regions of BARs until something fails.
type mapper struct {
	cfg      virtio.Registers
	platform Platform
	bars     [6]window
	err      error
}

// region maps r; after an error it returns registers that do nothing.
func (m *mapper) region(r region) virtio.Registers {
	if m.err != nil {
		return absent
	}
	w := &m.bars[r.bar]
	if w.size == 0 {
		*w, m.err = bar(m.cfg, m.platform, r.bar)
	}
	if m.err == nil && uint64(r.offset)+uint64(r.length) > w.size {
		m.err = errBAR(r.bar, "ends before a structure that should be in it")
	}
	if m.err != nil {
		return absent
	}
	regs, err := m.platform.Map(w.phys+uint64(r.offset), r.length)
	if err != nil {
		m.err = errors.Join(errBAR(r.bar, "can't be mapped"), err)
		return absent
	}
	return regs
}

// Type implements virtio.Transport.
func (t *Transport) Type() uint32 { return t.typ }

// Status implements virtio.Transport.
func (t *Transport) Status() uint8 { return t.common.Read8(comStatus) }

// SetStatus implements virtio.Transport.
func (t *Transport) SetStatus(status uint8) { t.common.Write8(comStatus, status) }

// Features implements virtio.Transport.
func (t *Transport) Features() uint64 {
	t.common.Write32(comFeatureSelect, 0)
	low := t.common.Read32(comFeature)
	t.common.Write32(comFeatureSelect, 1)
	return uint64(t.common.Read32(comFeature))<<32 | uint64(low)
}

// SetFeatures implements virtio.Transport.
func (t *Transport) SetFeatures(features uint64) {
	t.common.Write32(comDriverFeatureSelect, 0)
	t.common.Write32(comDriverFeature, uint32(features))
	t.common.Write32(comDriverFeatureSelect, 1)
	t.common.Write32(comDriverFeature, uint32(features>>32))
}

// Config implements virtio.Transport.
func (t *Transport) Config() virtio.Registers { return t.device }

// ConfigGeneration implements virtio.Transport.
func (t *Transport) ConfigGeneration() uint32 { return uint32(t.common.Read8(comGeneration)) }

// ConfigWaiter implements virtio.Transport.
func (t *Transport) ConfigWaiter() (virtio.Waiter, error) {
	vector, w, err := t.msix.allocate()
	if err != nil {
		return nil, err
	}
	t.common.Write16(comConfigVector, vector)
	if t.common.Read16(comConfigVector) != vector {
		return nil, errors.New("device has no interrupt for its configuration")
	}
	return w, nil
}

// QueueLimit implements virtio.Transport.
func (t *Transport) QueueLimit(index int) int {
	if index < 0 || index >= int(t.common.Read16(comNumQueues)) {
		return 0
	}
	t.common.Write16(comQueueSelect, uint16(index))
	return int(t.common.Read16(comQueueSize))
}

// StartQueue implements virtio.Transport (section 4.1.5.1.3).
func (t *Transport) StartQueue(s virtio.QueueSetup) (bell virtio.Doorbell, w virtio.Waiter, err error) {
	t.common.Write16(comQueueSelect, uint16(s.Index))
	if t.common.Read16(comQueueEnable) != 0 {
		return bell, nil, errors.New("queue is in use already")
	}
	vector := uint16(noVector)
	if s.Interrupts {
		if vector, w, err = t.msix.allocate(); err != nil {
			return bell, nil, err
		}
	}
	offset := uint64(t.common.Read16(comQueueNotifyOff)) * uint64(t.multiplier)
	if offset+2 > uint64(t.notifyLength) {
		return bell, nil, errors.New("doorbell is outside the notification structure")
	}
	t.common.Write16(comQueueSize, uint16(s.Size))
	t.common.Write16(comQueueVector, vector)
	if t.common.Read16(comQueueVector) != vector {
		return bell, nil, errors.New("device has no interrupt for vector " + strconv.Itoa(int(vector)))
	}
	t.write64(comQueueDesc, s.Descriptors)
	t.write64(comQueueDriver, s.Available)
	t.write64(comQueueDevice, s.Used)
	t.common.Write16(comQueueEnable, 1)
	return virtio.Doorbell{Registers: t.notify, Offset: uint32(offset), Index: uint16(s.Index)}, w, nil
}

// write64 writes a 64-bit field as two of 32 bits (section 4.1.3.1).
func (t *Transport) write64(field uint32, v uint64) {
	t.common.Write32(field, uint32(v))
	t.common.Write32(field+4, uint32(v>>32))
}
