package pci

import "pith/kernel/virtio"

// Offsets in a function's configuration space (PCI Local Bus 3.0, section 6.1).
const (
	cfgVendor       = 0x00 // 16 bits
	cfgDevice       = 0x02 // 16 bits
	cfgCommand      = 0x04 // 16 bits
	cfgStatus       = 0x06 // 16 bits
	cfgRevision     = 0x08
	cfgHeaderType   = 0x0e
	cfgBAR0         = 0x10 // six of 32 bits
	cfgSecondaryBus = 0x19 // header type 1: the bus behind a bridge
	cfgSubsystem    = 0x2e // 16 bits
	cfgCapabilities = 0x34
)

// Bits of the command and status registers.
const (
	commandMemory    = 1 << 1
	commandMaster    = 1 << 2
	commandNoINTx    = 1 << 10
	statusCapability = 1 << 4
)

// configSize is what a capability list may live in, and maxCapabilities how many
// fit there: a longer list has a loop.
const (
	configSize      = 256
	maxCapabilities = (configSize - 0x40) / 4
)

// capabilities calls visit with id and offset of each capability of a function,
// until visit returns false or the list ends. A list that loops ends too.
func capabilities(cfg virtio.Registers, visit func(id uint8, offset uint32) bool) {
	if cfg.Read16(cfgStatus)&statusCapability == 0 {
		return
	}
	offset := uint32(cfg.Read8(cfgCapabilities)) &^ 3
	for range maxCapabilities {
		if offset < 0x40 {
			return
		}
		if !visit(cfg.Read8(offset), offset) {
			return
		}
		offset = uint32(cfg.Read8(offset+1)) &^ 3
	}
}

// maxBridges bounds how deep Scan follows bridges.
const maxBridges = 8

// Scan calls visit for each PCI function on bus 0 and the buses behind its
// bridges. open gives access to a function's configuration space, 256 bytes, by
// ECAM or by ports; where no function is, it reads as all ones.
func Scan(open func(bus, device, function uint8) virtio.Registers, visit func(bus, device, function uint8, cfg virtio.Registers)) {
	scanBus(open, visit, 0, 0)
}

func scanBus(open func(bus, device, function uint8) virtio.Registers, visit func(bus, device, function uint8, cfg virtio.Registers), bus uint8, depth int) {
	for slot := range uint8(32) {
		for function := range uint8(8) {
			cfg := open(bus, slot, function)
			if cfg.Read16(cfgVendor) == 0xffff {
				if function == 0 {
					break
				}
				continue
			}
			visit(bus, slot, function, cfg)
			header := cfg.Read8(cfgHeaderType)
			if header&0x7f == 1 && depth < maxBridges {
				// Numbers grow away from the root; anything else is a loop.
				if next := cfg.Read8(cfgSecondaryBus); next > bus {
					scanBus(open, visit, next, depth+1)
				}
			}
			if function == 0 && header&0x80 == 0 {
				break
			}
		}
	}
}
