package pci

import (
	"errors"
	"strconv"

	"pith/kernel/virtio"
)

// Capability ids.
const (
	capMSIX   = 0x11
	capVendor = 0x09
)

// Types of virtio's vendor capabilities (section 4.1.4).
const (
	typeCommon = 1
	typeNotify = 2
	typeDevice = 4
)

// Fields of struct virtio_pci_cap (section 4.1.4).
const (
	capLength     = 2
	capType       = 3
	capBAR        = 4
	capOffset     = 8
	capExtent     = 12
	capMultiplier = 16 // notify only
)

// region is the place of a structure: a part of a BAR's memory.
type region struct {
	bar            int
	offset, length uint32
}

// layout is where a function keeps virtio's structures and its MSI-X tables.
type layout struct {
	common, notify, device region // length 0: not there
	multiplier             uint32
	msix                   uint32 // offset of the capability, 0: none
}

// commonSize is the length in bytes of the common configuration up to queue_device (section
// 4.1.4.3).
const commonSize = 56

// parse reads a function's capability list. Of several structures of a type it
// takes the first that it can use, as section 4.1.4.1 asks.
func parse(cfg virtio.Registers) (layout, error) {
	var l layout
	capabilities(cfg, func(id uint8, offset uint32) bool {
		switch id {
		case capVendor:
			l.add(cfg, offset)
		case capMSIX:
			if l.msix == 0 && offset+12 <= configSize {
				l.msix = offset
			}
		}
		return true
	})
	if l.common.length == 0 && l.notify.length == 0 {
		return l, virtio.ErrLegacy
	}
	if l.common.length < commonSize {
		return l, errors.New("virtio-pci: common configuration has only " + strconv.FormatUint(uint64(l.common.length), 10) + " bytes")
	}
	if l.notify.length < 2 {
		return l, errors.New("virtio-pci: no notification structure")
	}
	if l.msix == 0 {
		return l, errors.New("virtio-pci: device has no MSI-X; for QEMU don't set vectors=0")
	}
	return l, nil
}

// add takes over one vendor capability, if it is one that we know.
func (l *layout) add(cfg virtio.Registers, offset uint32) {
	length := uint32(cfg.Read8(offset + capLength))
	if length < 16 || offset+length > configSize {
		return
	}
	r := region{int(cfg.Read8(offset + capBAR)), cfg.Read32(offset + capOffset), cfg.Read32(offset + capExtent)}
	if r.bar > 5 { // reserved: ignored (section 4.1.4.1)
		return
	}
	switch cfg.Read8(offset + capType) {
	case typeCommon:
		l.common.first(r)
	case typeNotify:
		if length < capMultiplier+4 || l.notify.length != 0 {
			return
		}
		l.notify.first(r)
		l.multiplier = cfg.Read32(offset + capMultiplier)
	case typeDevice:
		l.device.first(r)
	}
}

// first sets a region that isn't set yet.
func (r *region) first(v region) {
	if r.length == 0 {
		*r = v
	}
}
