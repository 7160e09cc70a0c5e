// Package kernel makes a program an operating system: it is linked into every
// image, below package os, and starts the upper half before any other package
// is initialised. Where the program runs as a process of a Linux host it does
// nothing.
//
// It relies on all of kernel/ and wires it together: the lower half's memory and
// interrupts to the virtio drivers, these to the network stack and the
// console, and all to package linux, which answers the program. It must
// not be imported by anything of kernel/.
package kernel

import (
	"strconv"

	"pith/abi"
	"pith/kernel/boot"
	"pith/kernel/clock"
	"pith/kernel/cpu"
	"pith/kernel/fs"
	"pith/kernel/linux"
	"pith/kernel/rt"
	"pith/kernel/sched"
)

func init() {
	if !boot.OnMetal {
		linux.Hosted = true
		return
	}
	start()
}

// start brings up devices and the system-call layer, one step a line.
func start() {
	m := &machine{}
	stamp(5, "upper")
	m.readPack()
	m.readBlock()
	m.findDevices()
	stamp(6, "devices")
	m.openEntropy()
	m.openConsole()
	stamp(7, "console")
	m.startLinux()
	m.mountVolumes()
	stamp(8, "linux")
	m.startNetwork()
	stamp(9, "network")
	m.listenControl()
	m.sendAtEnd()
	m.listenButton(boot.Here.Info.Button)
}

// stamp is boot.Stamp for the upper half, which can be interrupted.
func stamp(n int, name string) {
	if boot.Here.Block.Trace {
		rt.Announce(abi.ControlStamp + " " + name + " " + strconv.Itoa(n) + " " + strconv.FormatInt(clock.Now(), 10))
	}
}

// executable is the program's own file, in place.
func executable() (pieces []fs.Piece) {
	boot.Executable(func(offset int64, data []byte) {
		pieces = append(pieces, fs.Piece{Off: offset, Data: data})
	})
	return pieces
}

func (m *machine) startLinux() {
	rt.SetPollable(linux.Pollable)
	rt.SetUmask(linux.Umask)
	rt.SetStored(linux.Stored)
	linux.Start(linux.Config{
		Console: m.console,
		Poller:  rt.Poller{},
		Files:   m.files,
		Dir:     m.dir,

		Executable: executable(),
		Hostname:   m.hostname,
		Args:       m.args,
		Env:        m.env,
		Space:      rt.Space{},
		Signals:    rt.PendingSignals{},
		CPUs:       sched.Threads.CPUs(),
		CPUID:      cpu.CPUID,
		Frequency:  clock.Frequency,
		Traffic:    m.traffic,
		Memory:     rt.Memory,
		Mapped:     rt.Mapped,
		Random:     m.entropy.fill,
		Late:       &rt.Late,
		TakeLate:   rt.TakeLate,

		Listening: announce,
		Terminal:  setTerminal,
	})
}
