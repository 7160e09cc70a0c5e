package virtiotest

import (
	"errors"

	"pith/kernel/virtio"
)

// PCI shows a Device as a PCI function (section 4.1) with MSI-X: one 64-bit BAR
// of 16 KiB for virtio's structures, one of 4 KiB for the vectors. It implements
// virtio.Registers (its configuration space) and pci.Platform.
type PCI struct {
	Space [256]byte // the configuration space
	Lines []*Line   // by vector
	// Vectors is how many interrupts the platform has for the function.
	Vectors int

	device                *Device
	table                 []byte // MSI-X
	featureSel, driverSel uint32
	sel, configVector     uint16
	nextFree              uint64 // for Place
}

// Where the structures are in BAR 4, and the vectors in BAR 1.
const (
	pciCommon  = 0x0000
	pciDevice  = 0x2000
	pciNotify  = 0x3000
	pciBAR4    = 0xfe000000
	pciBAR1    = 0xfebf1000
	pciStep    = 4 // notify_off_multiplier
	pciVectors = 64
)

// NewPCI puts d behind a PCI function, assigned by firmware if assigned.
func NewPCI(d *Device, assigned bool) *PCI {
	p := &PCI{device: d, Vectors: pciVectors, table: make([]byte, 16*pciVectors), configVector: noVector, nextFree: 0xc0000000}
	for i := range p.table {
		if i%16 == 12 {
			p.table[i] = 1 // masked
		}
	}
	for range pciVectors {
		p.Lines = append(p.Lines, NewLine())
	}
	s := p.Space[:]
	le.PutUint16(s[0x00:], 0x1af4)
	le.PutUint16(s[0x02:], uint16(0x1040+d.Kind))
	le.PutUint16(s[0x06:], 1<<4)
	if assigned {
		le.PutUint32(s[0x14:], pciBAR1)
		le.PutUint32(s[0x20:], pciBAR4)
	}
	s[0x20] |= 0xc // 64 bits, prefetchable
	s[0x34] = 0x40
	p.capability(0x40, 0x54, 1, pciCommon, 56)
	p.capability(0x54, 0x68, 4, pciDevice, uint32(max(len(d.config), 4)))
	p.capability(0x68, 0x7c, 2, pciNotify, 0x1000)
	le.PutUint32(s[0x68+16:], pciStep)
	s[0x7c], s[0x7d] = 0x11, 0
	le.PutUint16(s[0x7e:], pciVectors-1)
	le.PutUint32(s[0x80:], 1) // table: BAR 1, offset 0
	d.interrupt = func(vector int, config bool) {
		if config {
			vector = int(p.configVector)
		}
		p.fire(vector)
	}
	return p
}

func (p *PCI) capability(at, next uint8, typ byte, offset, length uint32) {
	s := p.Space[at:]
	s[0], s[1], s[2], s[3], s[4] = 9, next, 20, typ, 4
	le.PutUint32(s[8:], offset)
	le.PutUint32(s[12:], length)
}

// fire sends a vector's message, if all that it takes is set up.
func (p *PCI) fire(vector int) {
	if vector == noVector {
		return
	}
	entry := p.table[16*vector:]
	if p.Space[0x7f]&0x80 == 0 || entry[12]&1 != 0 {
		p.device.Memory.Fault("vector %d is used and not enabled", vector)
		return
	}
	if le.Uint64(entry) != 0xfee00000 {
		p.device.Memory.Fault("vector %d sends to %#x", vector, le.Uint64(entry))
		return
	}
	p.Lines[le.Uint32(entry[8:])].Fire()
}

// MSIX implements pci.Platform.
func (p *PCI) MSIX(vector int) (uint64, uint32, virtio.Waiter, error) {
	if vector >= p.Vectors {
		return 0, 0, nil, errors.New("no interrupts left")
	}
	return 0xfee00000, uint32(vector), p.Lines[vector], nil
}

// Place implements pci.Platform.
func (p *PCI) Place(size uint64) (uint64, error) {
	at := (p.nextFree + size - 1) &^ (size - 1)
	p.nextFree = at + size
	return at, nil
}

// Map implements pci.Platform.
func (p *PCI) Map(phys uint64, size uint32) (virtio.Registers, error) {
	bar4 := uint64(le.Uint32(p.Space[0x20:])&^0xf) | uint64(le.Uint32(p.Space[0x24:]))<<32
	bar1 := uint64(le.Uint32(p.Space[0x14:]) &^ 0xf)
	switch {
	case bar4 != 0 && phys >= bar4 && phys+uint64(size) <= bar4+0x4000:
		return virtio.Window(pciMemory{p}, uint32(phys-bar4), size), nil
	case bar1 != 0 && phys >= bar1 && phys+uint64(size) <= bar1+0x1000:
		return virtio.Window(pciTable{p}, uint32(phys-bar1), size), nil
	}
	return nil, errors.New("nothing there")
}

// Read8 implements virtio.Registers, and so do the following: the configuration
// space.
func (p *PCI) Read8(offset uint32) uint8   { return p.Space[offset&255] }
func (p *PCI) Read16(offset uint32) uint16 { return le.Uint16(p.Space[offset&254:]) }
func (p *PCI) Read32(offset uint32) uint32 { return le.Uint32(p.Space[offset&252:]) }

// Write8 has nothing to write to.
func (p *PCI) Write8(offset uint32, v uint8) {
	p.device.Memory.Fault("driver writes 8 bits to configuration space %#x", offset)
}

// Write16 writes the command register and MSI-X's control.
func (p *PCI) Write16(offset uint32, v uint16) {
	if offset == 0x7e {
		v = v&^0x7ff | le.Uint16(p.Space[offset:])&0x7ff
	}
	le.PutUint16(p.Space[offset:], v)
}

// Write32 writes base address registers, of which the low bits are fixed.
func (p *PCI) Write32(offset uint32, v uint32) {
	if p.Space[0x04]&2 != 0 {
		p.device.Memory.Fault("driver writes a BAR while memory decoding is on")
	}
	switch offset {
	case 0x14:
		le.PutUint32(p.Space[offset:], v&^0xfff)
	case 0x20:
		le.PutUint32(p.Space[offset:], v&^0x3fff|0xc)
	case 0x24:
		le.PutUint32(p.Space[offset:], v)
	}
}

// pciTable is the memory of the MSI-X table.
type pciTable struct{ *PCI }

func (t pciTable) Read32(offset uint32) uint32     { return le.Uint32(t.table[offset:]) }
func (t pciTable) Write32(offset uint32, v uint32) { le.PutUint32(t.table[offset:], v) }

// pciMemory is the memory of virtio's structures.
type pciMemory struct{ *PCI }

func (m pciMemory) queue() *Queue {
	if int(m.sel) < len(m.device.queues) {
		return m.device.queues[m.sel]
	}
	return &Queue{device: m.device, index: int(m.sel), vector: noVector}
}

// decoding complains about accesses before memory decoding is on.
func (m pciMemory) decoding() {
	if m.Space[0x04]&6 != 6 {
		m.device.Memory.Fault("driver accesses a BAR with command register %#x", m.Space[0x04])
	}
}

func (m pciMemory) Read8(offset uint32) uint8 {
	m.decoding()
	switch {
	case offset == 20:
		return m.device.Status()
	case offset == 21:
		m.device.mu.Lock()
		defer m.device.mu.Unlock()
		return uint8(m.device.generation)
	case offset >= pciDevice && offset < pciNotify:
		return uint8(m.device.readConfig(offset-pciDevice, 1))
	}
	m.device.Memory.Fault("driver reads 8 bits of field %d", offset)
	return 0
}

func (m pciMemory) Read16(offset uint32) uint16 {
	m.decoding()
	q := m.queue()
	switch {
	case offset == 16:
		return m.configVector
	case offset == 18:
		return uint16(len(m.device.queues))
	case offset == 24:
		if q.size != 0 {
			return uint16(q.size)
		}
		return uint16(q.limit)
	case offset == 26:
		return uint16(q.vector)
	case offset == 28:
		if q.ready.Load() {
			return 1
		}
		return 0
	case offset == 30:
		return uint16(q.index)
	case offset >= pciDevice && offset < pciNotify:
		return uint16(m.device.readConfig(offset-pciDevice, 2))
	}
	m.device.Memory.Fault("driver reads 16 bits of field %d", offset)
	return 0
}

func (m pciMemory) Read32(offset uint32) uint32 {
	m.decoding()
	switch {
	case offset == 4:
		return m.device.features(m.featureSel)
	case offset >= pciDevice && offset < pciNotify:
		return m.device.readConfig(offset-pciDevice, 4)
	}
	m.device.Memory.Fault("driver reads 32 bits of field %d", offset)
	return 0
}

func (m pciMemory) Write8(offset uint32, v uint8) {
	m.decoding()
	if offset != 20 {
		m.device.Memory.Fault("driver writes 8 bits to field %d", offset)
		return
	}
	m.device.setStatus(v)
}

func (m pciMemory) Write16(offset uint32, v uint16) {
	m.decoding()
	q := m.queue()
	switch {
	case offset == 16:
		m.configVector = v
	case offset == 22:
		m.sel = v
	case offset == 24:
		q.size = int(v)
	case offset == 26:
		q.vector = int(v)
	case offset == 28:
		q.enable()
	case offset >= pciNotify && offset == pciNotify+pciStep*uint32(v):
		m.device.ring(int(v))
	default:
		m.device.Memory.Fault("driver writes 16 bits to field %d", offset)
	}
}

func (m pciMemory) Write32(offset uint32, v uint32) {
	m.decoding()
	q := m.queue()
	switch offset {
	case 0:
		m.featureSel = v
	case 8:
		m.driverSel = v
	case 12:
		m.device.accept(m.driverSel, v)
	case 32, 36:
		setHalf(&q.desc, offset == 36, v)
	case 40, 44:
		setHalf(&q.avail, offset == 44, v)
	case 48, 52:
		setHalf(&q.used, offset == 52, v)
	default:
		m.device.Memory.Fault("driver writes 32 bits to field %d", offset)
	}
}
