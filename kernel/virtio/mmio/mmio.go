// Package mmio is virtio over memory-mapped registers (virtio 1.2, section 4.2),
// version 2, as QEMU's microvm and Firecracker offer it.
//
// It relies on the caller for where the registers are (ACPI or the command
// line) and for the interrupt: the platform's handler reads InterruptStatus and
// writes the same value to InterruptACK itself, then lets the Waiter go. It must
// not touch those two registers, nor know a device's configuration space.
//
// The legacy interface (version 1) is refused.
package mmio

import (
	"errors"
	"strconv"

	"pith/kernel/virtio"
)

// Size is the length in bytes of the register space with which QEMU and
// Firecracker describe a device on the command line or in ACPI.
const Size = 0x200

// Registers for the platform's interrupt handler (section 4.2.2).
const (
	InterruptStatus = 0x060 // read: bit 0 queues, bit 1 configuration
	InterruptACK    = 0x064 // write what was read
)

// The other registers (section 4.2.2). All are 32 bits wide.
const (
	regMagic            = 0x000
	regVersion          = 0x004
	regDeviceID         = 0x008
	regDeviceFeatures   = 0x010
	regDeviceFeatureSel = 0x014
	regDriverFeatures   = 0x020
	regDriverFeatureSel = 0x024
	regQueueSel         = 0x030
	regQueueNumMax      = 0x034
	regQueueNum         = 0x038
	regQueueReady       = 0x044
	regQueueNotify      = 0x050
	regStatus           = 0x070
	regQueueDesc        = 0x080
	regQueueDriver      = 0x090
	regQueueDevice      = 0x0a0
	regConfigGeneration = 0x0fc
	regConfig           = 0x100
)

// magic is "virt", little-endian.
const magic = 0x74726976

// maxQueues bounds queue indices, as nothing else does.
const maxQueues = 1 << 16

// Errors of New.
var (
	// ErrEmpty: a place where a device could be, and none is. It is no fault.
	ErrEmpty = errors.New("virtio-mmio: no device here")
	// ErrNotVirtio: something else is at that address.
	ErrNotVirtio = errors.New("virtio-mmio: registers don't begin with virtio's magic value")
)

// Transport is one device behind MMIO registers.
type Transport struct {
	regs virtio.Registers
	typ  uint32
	line *virtio.Fanout
}

// New looks at the device whose registers are regs, and whose one interrupt line
// wakes line. It changes nothing in the device.
func New(regs virtio.Registers, line virtio.Waiter) (*Transport, error) {
	if regs.Read32(regMagic) != magic {
		return nil, ErrNotVirtio
	}
	if err := checkVersion(regs.Read32(regVersion)); err != nil {
		return nil, err
	}
	typ := regs.Read32(regDeviceID)
	if typ == 0 {
		return nil, ErrEmpty
	}
	return &Transport{regs: regs, typ: typ, line: virtio.NewFanout(line)}, nil
}

func checkVersion(v uint32) error {
	switch v {
	case 2:
		return nil
	case 1:
		return errors.Join(virtio.ErrLegacy, errors.New("virtio-mmio version 1; for QEMU say -global virtio-mmio.force-legacy=false"))
	}
	return errors.New("virtio-mmio: version " + strconv.FormatUint(uint64(v), 10) + " is unknown")
}

// Type implements virtio.Transport.
func (t *Transport) Type() uint32 { return t.typ }

// Status implements virtio.Transport.
func (t *Transport) Status() uint8 { return uint8(t.regs.Read32(regStatus)) }

// SetStatus implements virtio.Transport.
func (t *Transport) SetStatus(status uint8) { t.regs.Write32(regStatus, uint32(status)) }

// Features implements virtio.Transport.
func (t *Transport) Features() uint64 {
	t.regs.Write32(regDeviceFeatureSel, 0)
	low := t.regs.Read32(regDeviceFeatures)
	t.regs.Write32(regDeviceFeatureSel, 1)
	return uint64(t.regs.Read32(regDeviceFeatures))<<32 | uint64(low)
}

// SetFeatures implements virtio.Transport.
func (t *Transport) SetFeatures(features uint64) {
	t.regs.Write32(regDriverFeatureSel, 0)
	t.regs.Write32(regDriverFeatures, uint32(features))
	t.regs.Write32(regDriverFeatureSel, 1)
	t.regs.Write32(regDriverFeatures, uint32(features>>32))
}

// Config implements virtio.Transport.
func (t *Transport) Config() virtio.Registers {
	return virtio.Window(t.regs, regConfig, Size-regConfig)
}

// ConfigGeneration implements virtio.Transport.
func (t *Transport) ConfigGeneration() uint32 { return t.regs.Read32(regConfigGeneration) }

// ConfigWaiter implements virtio.Transport.
func (t *Transport) ConfigWaiter() (virtio.Waiter, error) { return t.line.Subscribe(), nil }

// QueueLimit implements virtio.Transport.
func (t *Transport) QueueLimit(index int) int {
	if index < 0 || index >= maxQueues {
		return 0
	}
	t.regs.Write32(regQueueSel, uint32(index))
	return int(min(t.regs.Read32(regQueueNumMax), 1<<16))
}

// StartQueue implements virtio.Transport (section 4.2.3.2).
func (t *Transport) StartQueue(s virtio.QueueSetup) (virtio.Doorbell, virtio.Waiter, error) {
	t.regs.Write32(regQueueSel, uint32(s.Index))
	if t.regs.Read32(regQueueReady) != 0 {
		return virtio.Doorbell{}, nil, errors.New("queue is in use already")
	}
	t.regs.Write32(regQueueNum, uint32(s.Size))
	t.write64(regQueueDesc, s.Descriptors)
	t.write64(regQueueDriver, s.Available)
	t.write64(regQueueDevice, s.Used)
	t.regs.Write32(regQueueReady, 1)
	if t.regs.Read32(regQueueReady) != 1 {
		return virtio.Doorbell{}, nil, errors.New("device does not enable the queue")
	}
	bell := virtio.Doorbell{Registers: t.regs, Offset: regQueueNotify, Index: uint16(s.Index), Wide: true}
	if !s.Interrupts {
		return bell, nil, nil
	}
	return bell, t.line.Subscribe(), nil
}

// write64 writes a pair of registers.
func (t *Transport) write64(reg uint32, v uint64) {
	t.regs.Write32(reg, uint32(v))
	t.regs.Write32(reg+4, uint32(v>>32))
}
