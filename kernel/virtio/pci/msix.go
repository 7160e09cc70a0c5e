package pci

import (
	"errors"

	"pith/kernel/virtio"
)

// MSI-X capability and table (PCI Local Bus 3.0, section 6.8.2).
const (
	msixControl = 2 // 16 bits: size-1, function mask, enable
	msixTable   = 4 // 32 bits: BAR in the low three, offset

	msixSizeMask = 0x7ff
	msixMasked   = 1 << 14
	msixEnable   = 1 << 15

	entrySize    = 16
	entryAddress = 0
	entryData    = 8
	entryControl = 12 // bit 0: masked
)

// msix hands out a function's vectors.
type msix struct {
	platform Platform
	offset   uint32 // of the capability
	table    virtio.Registers
	size     int
	fanouts  []*virtio.Fanout // by vector
}

// init finds and maps the table. The vectors stay off.
func (x *msix) init(m *mapper, offset uint32) {
	x.platform, x.offset = m.platform, offset
	x.size = int(m.cfg.Read16(offset+msixControl)&msixSizeMask) + 1
	where := m.cfg.Read32(offset + msixTable)
	if where&7 > 5 {
		m.err = errors.Join(m.err, errors.New("virtio-pci: MSI-X table is in a BAR that does not exist"))
		return
	}
	x.table = m.region(region{int(where & 7), where &^ 7, uint32(x.size) * entrySize})
}

// enable turns MSI-X on. Each vector is masked still, as after a reset.
func (x *msix) enable(cfg virtio.Registers) {
	control := cfg.Read16(x.offset + msixControl)
	cfg.Write16(x.offset+msixControl, control&^msixMasked|msixEnable)
}

// allocate sets up the next vector, or shares the last one if the device or the
// platform has no more.
func (x *msix) allocate() (uint16, virtio.Waiter, error) {
	vector := len(x.fanouts)
	err := errors.New("device has no more MSI-X vectors")
	if vector < x.size {
		var f *virtio.Fanout
		if f, err = x.program(vector); err == nil {
			x.fanouts = append(x.fanouts, f)
			return uint16(vector), f.Subscribe(), nil
		}
	}
	if vector == 0 {
		return 0, nil, err
	}
	return uint16(vector - 1), x.fanouts[vector-1].Subscribe(), nil
}

// program writes a vector's entry and unmasks it.
func (x *msix) program(vector int) (*virtio.Fanout, error) {
	address, data, w, err := x.platform.MSIX(vector)
	if err != nil {
		return nil, err
	}
	entry := uint32(vector) * entrySize
	x.table.Write32(entry+entryAddress, uint32(address))
	x.table.Write32(entry+entryAddress+4, uint32(address>>32))
	x.table.Write32(entry+entryData, data)
	x.table.Write32(entry+entryControl, 0)
	return virtio.NewFanout(w), nil
}
