package kernel

import (
	"errors"
	"strconv"
	"strings"

	"pith/kernel/boot"
	"pith/kernel/cpu"
	"pith/kernel/rt"
	"pith/kernel/virtio"
	"pith/kernel/virtio/mmio"
	"pith/kernel/virtio/pci"
)

// memory gives devices memory of the lower half.
type memory struct{}

func (memory) Alloc(size int) ([]byte, uint64) {
	virt, phys := rt.Pages(size)
	if virt == 0 {
		return nil, 0
	}
	return cpu.Bytes(virt, size), uint64(phys)
}

// findDevices lists the virtio devices: those on MMIO that the command line
// names, as Linux's virtio_mmio.device does, and those on PCI.
func (m *machine) findDevices() {
	for _, word := range strings.Fields(string(cpu.Bytes(boot.Here.CmdLine, int(boot.Here.CmdSize)))) {
		if place, ok := strings.CutPrefix(word, "virtio_mmio.device="); ok {
			m.addMMIO(place)
		}
	}
	bus := &pciBus{}
	if bus.there() {
		pci.Scan(bus.open, func(_, _, _ uint8, cfg virtio.Registers) {
			m.addPCI(bus, cfg)
		})
	}
}

// mmioPlace is one device of the command line: size@address:line.
type mmioPlace struct {
	size, base uint64
	line       uint32
}

// parsePlace reads the text behind virtio_mmio.device= (Linux,
// Documentation/admin-guide/kernel-parameters.txt); a size may end in K or M.
func parsePlace(s string) (p mmioPlace, err error) {
	size, rest, found := strings.Cut(s, "@")
	where, line, found2 := strings.Cut(rest, ":")
	if !found || !found2 {
		return p, errors.New("virtio_mmio.device=" + s + " is not of the form size@address:line")
	}
	unit := uint64(1)
	switch {
	case strings.HasSuffix(size, "K"):
		size, unit = size[:len(size)-1], 1<<10
	case strings.HasSuffix(size, "M"):
		size, unit = size[:len(size)-1], 1<<20
	}
	line, _, _ = strings.Cut(line, ":")
	n, err1 := strconv.ParseUint(size, 0, 24)
	base, err2 := strconv.ParseUint(where, 0, 46)
	irq, err3 := strconv.ParseUint(line, 0, 10)
	if err := errors.Join(err1, err2, err3); err != nil {
		return p, errors.Join(errors.New("virtio_mmio.device="+s), err)
	}
	return mmioPlace{n * unit, base, uint32(irq)}, nil
}

// Registers of virtio over MMIO that the interrupt handler uses (virtio 1.2,
// section 4.2.2), and the least size of the register window.
const (
	mmioDeviceID        = 0x008
	mmioInterruptStatus = 0x060
	mmioInterruptACK    = 0x064
	mmioLeast           = 0x100
)

func (m *machine) addMMIO(place string) {
	p, err := parsePlace(place)
	if err != nil {
		complain(err.Error())
		return
	}
	base := rt.MapDevice(uintptr(p.base), uintptr(p.size))
	if base == 0 || p.size < mmioLeast {
		complain("virtio_mmio.device=" + place + " can't be mapped")
		return
	}
	regs := virtio.Map(base, uint32(p.size))
	if regs.Read32(mmioDeviceID) == 0 {
		return // an empty place
	}
	line := rt.Line(p.line, base+mmioInterruptStatus, base+mmioInterruptACK)
	if line == nil {
		complain("virtio_mmio.device=" + place + ": no such interrupt line")
		return
	}
	t, err := mmio.New(regs, line)
	if err != nil {
		complain(err.Error())
		return
	}
	m.transports = append(m.transports, t)
}

func (m *machine) addPCI(bus *pciBus, cfg virtio.Registers) {
	if pci.Type(cfg) == 0 {
		return
	}
	t, err := pci.New(cfg, bus)
	if err != nil {
		complain(err.Error())
		return
	}
	m.transports = append(m.transports, t)
}

// eachOf calls f for each device of a type.
func (m *machine) eachOf(typ uint32, f func(t virtio.Transport) error) {
	for _, t := range m.transports {
		if t.Type() != typ {
			continue
		}
		if err := f(t); err != nil {
			complain(err.Error())
		}
	}
}

// complain prints a line of the kernel's own, also before there is a console.
func complain(line string) { rt.Print("pith: " + line + "\n") }

// report is complain for errors of devices.
func report(err error) { complain(err.Error()) }
