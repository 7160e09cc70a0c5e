package virtiotest

import "sync/atomic"

// MMIO shows a Device as the registers of section 4.2.2. It implements
// virtio.Registers.
type MMIO struct {
	Line    *Line  // the device's interrupt
	Version uint32 // 2
	Magic   uint32

	device                     *Device
	featureSel, driverSel, sel uint32
	status                     atomic.Uint32 // InterruptStatus
}

// NewMMIO puts d behind registers.
func NewMMIO(d *Device) *MMIO {
	m := &MMIO{Line: NewLine(), Version: 2, Magic: 0x74726976, device: d}
	d.interrupt = func(_ int, config bool) {
		bit := uint32(1)
		if config {
			bit = 2
		}
		m.status.Or(bit)
		// The platform's handler reads the status, acknowledges, and wakes.
		m.Write32(0x64, m.Read32(0x60))
		m.Line.Fire()
	}
	return m
}

func (m *MMIO) queue() *Queue {
	if m.sel < uint32(len(m.device.queues)) {
		return m.device.queues[m.sel]
	}
	return &Queue{device: m.device, index: int(m.sel)} // its limit is 0
}

// Read32 implements virtio.Registers.
func (m *MMIO) Read32(offset uint32) uint32 {
	if offset >= 0x100 {
		return m.device.readConfig(offset-0x100, 4)
	}
	switch offset {
	case 0x00:
		return m.Magic
	case 0x04:
		return m.Version
	case 0x08:
		return m.device.Kind
	case 0x10:
		return m.device.features(m.featureSel)
	case 0x34:
		return uint32(m.queue().limit)
	case 0x44:
		if m.queue().ready.Load() {
			return 1
		}
		return 0
	case 0x60:
		return m.status.Load()
	case 0x70:
		return uint32(m.device.Status())
	case 0xfc:
		m.device.mu.Lock()
		defer m.device.mu.Unlock()
		return m.device.generation
	}
	m.device.Memory.Fault("driver reads register %#x", offset)
	return 0
}

// Write32 implements virtio.Registers.
func (m *MMIO) Write32(offset, v uint32) {
	q := m.queue()
	switch offset {
	case 0x14:
		m.featureSel = v
	case 0x20:
		m.device.accept(m.driverSel, v)
	case 0x24:
		m.driverSel = v
	case 0x30:
		m.sel = v
	case 0x38:
		q.size = int(v)
	case 0x44:
		q.enable()
	case 0x50:
		m.device.ring(int(v))
	case 0x64:
		m.status.And(^v)
	case 0x70:
		m.device.setStatus(uint8(v))
	case 0x80, 0x84:
		setHalf(&q.desc, offset&4 != 0, v)
	case 0x90, 0x94:
		setHalf(&q.avail, offset&4 != 0, v)
	case 0xa0, 0xa4:
		setHalf(&q.used, offset&4 != 0, v)
	default:
		m.device.Memory.Fault("driver writes register %#x", offset)
	}
}

func setHalf(p *uint64, high bool, v uint32) {
	if high {
		*p = *p&0xffffffff | uint64(v)<<32
		return
	}
	*p = *p&^0xffffffff | uint64(v)
}

// Read8 implements virtio.Registers.
func (m *MMIO) Read8(offset uint32) uint8 { return uint8(m.narrow(offset, 1)) }

// Read16 implements virtio.Registers.
func (m *MMIO) Read16(offset uint32) uint16 { return uint16(m.narrow(offset, 2)) }

// narrow is an access that only the configuration space allows.
func (m *MMIO) narrow(offset uint32, width int) uint32 {
	if offset < 0x100 {
		m.device.Memory.Fault("driver reads %d bytes of register %#x", width, offset)
		return 0
	}
	return m.device.readConfig(offset-0x100, width)
}

// Write8 implements virtio.Registers.
func (m *MMIO) Write8(offset uint32, v uint8) {
	m.device.Memory.Fault("driver writes 8 bits to register %#x", offset)
}

// Write16 implements virtio.Registers.
func (m *MMIO) Write16(offset uint32, v uint16) {
	m.device.Memory.Fault("driver writes 16 bits to register %#x", offset)
}
