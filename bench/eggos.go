package bench

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"pith/bench/lab"
)

// eggosCPU is the model that eggos itself runs on.
const eggosCPU = "qemu64"

// leasePatience is how long eggos may take to its address.
const leasePatience = 20 * time.Second

// Eggos is the measured program as a kernel of eggos, which is a library that a
// program for Go 1.16 is linked with. Its network card is an e1000, its address
// comes by DHCP.
type Eggos struct {
	Dir   string // with loader.elf, eggos's boot loader, and server.elf, the program
	Accel string // QEMU's -accel
	CPU   string // QEMU's -cpu; "" is what suits it best
}

// Name is "eggos".
func (t *Eggos) Name() string { return "eggos" }

// Machine is true.
func (t *Eggos) Machine() bool { return true }

// Prepare looks whether all of it is there.
func (t *Eggos) Prepare(context.Context) error {
	return built(t.Name(), t.Dir, "loader.elf", "server.elf")
}

// Shipped are the loader and the program.
func (t *Eggos) Shipped() []string {
	return []string{filepath.Join(t.Dir, "loader.elf"), filepath.Join(t.Dir, "server.elf")}
}

// Start boots it. It always has one CPU.
func (t *Eggos) Start(ctx context.Context, l *lab.Lab, s Shape) (Instance, error) {
	if err := oneCPU(t.Name(), s); err != nil {
		return nil, err
	}
	leases, err := l.DHCP()
	if err != nil {
		return nil, err
	}
	cpu := foreignCPU(t.CPU, t.Accel, eggosCPU)
	inst, err := startForeign(ctx, l, s, cpu, func(place lab.Place) ([]string, error) {
		return append(foreignLine("pc", t.Accel, cpu, s),
			"-kernel", filepath.Join(t.Dir, "loader.elf"), "-initrd", qemuWord(filepath.Join(t.Dir, "server.elf")),
			"-netdev", foreignWire(place), "-device", "e1000,netdev=net,romfile=,mac="+place.MAC), nil
	})
	if err != nil {
		return nil, errors.Join(err, leases.Close())
	}
	t.lease(ctx, inst, leases)
	return &eggosInstance{inst, leases}, nil
}

// lease waits until it has its address, for what arrives before its card is set up
// makes it deaf for good. If none is given the first answer doesn't come either,
// and who waits for that tells.
func (t *Eggos) lease(ctx context.Context, inst *linuxInstance, leases *lab.Leases) {
	select {
	case <-leases.Granted():
	case <-inst.Done():
	case <-time.After(leasePatience):
	case <-ctx.Done():
	}
}

// eggosInstance has somebody who answers its DHCP.
type eggosInstance struct {
	*linuxInstance
	leases *lab.Leases
}

// Stop ends both.
func (i *eggosInstance) Stop(ctx context.Context) error {
	return errors.Join(i.linuxInstance.Stop(ctx), i.leases.Close())
}
