package pci

import (
	"errors"
	"strconv"

	"pith/kernel/virtio"
)

// window is the memory behind one base address register.
type window struct {
	phys, size uint64
}

// errBAR is the common part of what can be wrong with a base address register.
func errBAR(index int, what string) error {
	return errors.New("virtio-pci: BAR " + strconv.Itoa(index) + " " + what)
}

// bar finds out where the memory of base address register index is and how long
// it is, and has the platform place it where no firmware did. The function's
// memory decoding must be off (PCI Local Bus 3.0, section 6.2.5.1).
func bar(cfg virtio.Registers, p Platform, index int) (window, error) {
	if index > 5 {
		return window{}, errBAR(index, "does not exist")
	}
	reg := cfgBAR0 + 4*uint32(index)
	low := cfg.Read32(reg)
	if low&1 != 0 {
		return window{}, errBAR(index, "is in I/O space")
	}
	wide := low&6 == 4
	if wide && index == 5 {
		return window{}, errBAR(index, "has no upper half")
	}
	mask := probe(cfg, reg) &^ 0xf
	w := window{phys: uint64(low &^ 0xf), size: uint64(-mask)}
	if wide {
		w.phys |= uint64(cfg.Read32(reg+4)) << 32
		w.size = -(uint64(probe(cfg, reg+4))<<32 | uint64(mask))
	}
	if w.size < 16 || w.size&(w.size-1) != 0 || w.size > 1<<40 {
		return window{}, errBAR(index, "has no usable size")
	}
	if w.phys != 0 {
		return w, nil
	}
	return place(cfg, p, index, wide, w.size)
}

// probe writes all ones to a register, and returns which of them stick.
func probe(cfg virtio.Registers, reg uint32) uint32 {
	old := cfg.Read32(reg)
	cfg.Write32(reg, 0xffffffff)
	mask := cfg.Read32(reg)
	cfg.Write32(reg, old)
	return mask
}

// place gives an unassigned register an address from the platform.
func place(cfg virtio.Registers, p Platform, index int, wide bool, size uint64) (window, error) {
	phys, err := p.Place(size)
	if err != nil {
		return window{}, errors.Join(errBAR(index, "has no address, and none could be given"), err)
	}
	if phys%size != 0 || phys == 0 || !wide && phys+size > 1<<32 {
		return window{}, errBAR(index, "can't be at the address that the platform chose")
	}
	cfg.Write32(cfgBAR0+4*uint32(index), uint32(phys))
	if wide {
		cfg.Write32(cfgBAR0+4*uint32(index)+4, uint32(phys>>32))
	}
	return window{phys, size}, nil
}
