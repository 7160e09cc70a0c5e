package linuxvm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// stopPatience is how long a machine may take to end when it is told to.
const stopPatience = 5 * time.Second

// Machine is a running guest.
type Machine struct {
	Started time.Time // just before QEMU was executed

	cmd     *exec.Cmd
	monitor *monitor
	done    chan struct{} // closed when QEMU has ended; err is set before
	err     error
}

// Start starts the guest and returns as soon as QEMU runs. The machine ends
// when its program does, when Stop is called, or when this process ends.
func (g *Guest) Start(ctx context.Context, o Options) (*Machine, error) {
	o.fill()
	if err := o.check(); err != nil {
		return nil, err
	}
	args, err := g.arguments(&o)
	if err != nil {
		return nil, err
	}
	return Boot(o.QEMU, args, o.Console)
}

// Boot runs an emulator with arguments of the caller's, to which it adds a monitor:
// a system other than the guest of this package. console gets what the emulator
// prints.
func Boot(emulator string, args []string, console io.Writer) (*Machine, error) {
	qemu, err := exec.LookPath(emulator)
	if err != nil {
		return nil, fmt.Errorf("linuxvm: no emulator: %w (Debian and Ubuntu: apt-get install qemu-system-x86)", err)
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("linuxvm: monitor: %w", err)
	}
	defer theirs.Close()
	cmd := exec.Command(qemu, append(args, "-chardev", "socket,id=monitor,fd=3", "-mon", "chardev=monitor,mode=control")...)
	cmd.ExtraFiles = []*os.File{theirs} // becomes descriptor 3
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = endWithUs()
	m := &Machine{cmd: cmd, monitor: newMonitor(ours), done: make(chan struct{})}
	m.Started = time.Now()
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("linuxvm: %w", err), ours.Close())
	}
	go m.wait()
	return m, nil
}

func (g *Guest) arguments(o *Options) ([]string, error) {
	tsc := g.tsc
	if o.Accel != "tcg" {
		tsc = 0 // the hypervisor tells the guest itself
	}
	line, err := o.commandLine(tsc)
	if err != nil {
		return nil, err
	}
	args := []string{
		"-M", "microvm,x-option-roms=off,auto-kernel-cmdline=off",
		"-accel", o.Accel, "-cpu", o.CPU,
		"-smp", Processors(o.CPUs), "-m", strconv.FormatInt(o.Memory>>20, 10) + "M",
		"-kernel", g.Kernel, "-initrd", g.RAMDisk, "-append", line,
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-serial", "stdio",
	}
	if o.Tap != "" {
		args = append(args,
			"-netdev", "tap,id=net,ifname="+o.Tap+",script=no,downscript=no,vhost=off",
			"-device", "virtio-net-device,netdev=net,mac="+o.MAC)
	}
	for i, tap := range o.Taps {
		id := fmt.Sprintf("net%d", i+1)
		args = append(args,
			"-netdev", "tap,id="+id+",ifname="+tap+",script=no,downscript=no,vhost=off",
			"-device", fmt.Sprintf("virtio-net-device,netdev=%s,mac=52:54:00:12:35:%02x", id, i+1))
	}
	if o.Disk != "" { // cached as Pith's own machines have it
		args = append(args,
			"-drive", "if=none,id=disk,format=raw,cache=writeback,file="+strings.ReplaceAll(o.Disk, ",", ",,"),
			"-device", "virtio-blk-device,drive=disk")
	}
	return args, nil
}

func (m *Machine) wait() {
	m.err = m.cmd.Wait()
	m.monitor.close()
	close(m.done)
}

// PID is the process id of QEMU.
func (m *Machine) PID() int { return m.cmd.Process.Pid }

// Done is closed when the machine has ended.
func (m *Machine) Done() <-chan struct{} { return m.done }

// Stop ends the machine at once, without asking the program, and waits for it.
// A machine that has ended already is no error.
func (m *Machine) Stop() error {
	select {
	case <-m.done:
		return nil
	default:
	}
	if err := m.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("linuxvm: %w", err)
	}
	select {
	case <-m.done:
		return nil
	case <-time.After(stopPatience):
		return fmt.Errorf("linuxvm: QEMU (process %d) doesn't end", m.PID())
	}
}

// Accelerator asks QEMU what runs the guest's code: "kvm" or "tcg".
func (m *Machine) Accelerator() (string, error) {
	var kvm struct{ Enabled bool }
	if err := m.monitor.call("query-kvm", nil, &kvm); err != nil {
		return "", fmt.Errorf("linuxvm: %w", err)
	}
	if kvm.Enabled {
		return "kvm", nil
	}
	var jit string // only TCG has a translator to report on
	args := map[string]string{"command-line": "info jit"}
	if err := m.monitor.call("human-monitor-command", args, &jit); err != nil {
		return "", fmt.Errorf("linuxvm: %w", err)
	}
	return "tcg", nil
}

// Threads asks QEMU for the thread ids of the guest's CPUs.
func (m *Machine) Threads() ([]int, error) {
	var cpus []struct {
		Thread int `json:"thread-id"`
	}
	if err := m.monitor.call("query-cpus-fast", nil, &cpus); err != nil {
		return nil, fmt.Errorf("linuxvm: %w", err)
	}
	var ids []int
	for _, c := range cpus {
		ids = append(ids, c.Thread)
	}
	return ids, nil
}

// Processors is QEMU's -smp. With one CPU for good, TCG leaves memory fences out that
// its own I/O threads need, and the guest loses an interrupt now and then.
func Processors(n int) string {
	if n == 1 {
		return "1,maxcpus=2"
	}
	return strconv.Itoa(n)
}
