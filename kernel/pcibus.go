package kernel

import (
	"errors"
	"sync"

	"pith/kernel/cpu"
	"pith/kernel/rt"
	"pith/kernel/virtio"
)

// Ports of PCI's configuration mechanism 1 (PCI Local Bus 3.0, section 3.2.2.3.2).
const (
	pciAddress = 0xcf8
	pciData    = 0xcfc
	pciEnable  = 1 << 31
)

// pciBus reaches configuration space by ports, which all PCs have.
type pciBus struct {
	mu   sync.Mutex
	next uint64 // free addresses for registers that firmware left out
}

// there tells whether there is a PCI bus: the address register keeps what is
// written to it.
func (b *pciBus) there() bool {
	cpu.Out32(pciAddress, pciEnable)
	if cpu.In32(pciAddress) != pciEnable {
		return false
	}
	return b.open(0, 0, 0).Read16(0) != 0xffff
}

func (b *pciBus) open(bus, device, function uint8) virtio.Registers {
	return &pciFunction{b, pciEnable | uint32(bus)<<16 | uint32(device)<<11 | uint32(function)<<8}
}

// Map implements pci.Platform.
func (b *pciBus) Map(phys uint64, size uint32) (virtio.Registers, error) {
	base := rt.MapDevice(uintptr(phys), uintptr(size))
	if base == 0 {
		return nil, errors.New("device registers can't be mapped")
	}
	return virtio.Map(base, size), nil
}

// Where registers go that no firmware has placed: below the interrupt
// controllers, where PCs keep room for devices.
const (
	windowStart = 0xe800_0000
	windowEnd   = 0xfe00_0000
)

// Place implements pci.Platform.
func (b *pciBus) Place(size uint64) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next = max(b.next, windowStart)
	at := (b.next + size - 1) &^ (size - 1)
	if at+size > windowEnd {
		return 0, errors.New("no room for device registers")
	}
	b.next = at + size
	return at, nil
}

// MSIX implements pci.Platform.
func (b *pciBus) MSIX(int) (uint64, uint32, virtio.Waiter, error) {
	i := rt.Message()
	if i == nil {
		return 0, 0, nil, errors.New("no interrupt vector is left")
	}
	return i.Address, i.Data, i, nil
}

// pciFunction is one function's configuration space.
type pciFunction struct {
	bus   *pciBus
	where uint32
}

// access selects a register and runs f on its data port.
func (p *pciFunction) access(offset uint32, f func(port uint16)) {
	p.bus.mu.Lock()
	cpu.Out32(pciAddress, p.where|offset&0xfc)
	f(pciData + uint16(offset&3))
	p.bus.mu.Unlock()
}

func (p *pciFunction) Read8(o uint32) (v uint8) {
	p.access(o, func(port uint16) { v = cpu.In8(port) })
	return v
}

func (p *pciFunction) Read16(o uint32) (v uint16) {
	p.access(o, func(port uint16) { v = cpu.In16(port) })
	return v
}

func (p *pciFunction) Read32(o uint32) (v uint32) {
	p.access(o, func(port uint16) { v = cpu.In32(port) })
	return v
}

func (p *pciFunction) Write8(o uint32, v uint8) {
	p.access(o, func(port uint16) { cpu.Out8(port, v) })
}

func (p *pciFunction) Write16(o uint32, v uint16) {
	p.access(o, func(port uint16) { cpu.Out16(port, v) })
}

func (p *pciFunction) Write32(o uint32, v uint32) {
	p.access(o, func(port uint16) { cpu.Out32(port, v) })
}
