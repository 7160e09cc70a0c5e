// Package linuxvm runs an ordinary Go program in a Linux virtual machine that
// is tuned as far as it goes without a kernel of one's own: the machine that
// Pith is compared with.
//
// The distribution's kernel is unpacked once and booted through its PVH entry,
// without a boot loader and without decompressing itself. The initial RAM disk
// holds the program, the kernel modules of one network card, and an init that
// loads them, configures the card and then becomes the program.
//
// It relies on QEMU's microvm machine, a kernel with CONFIG_PVH and ACPI (see
// Documentation/x86/boot.rst, boot protocol 2.08 or later, and Xen's PVH
// start-of-day ABI), and on the go command for building the init. It must not
// make networks: the tap device that it is given exists already.
package linuxvm

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// DefaultCPU is the CPU model that served fastest under TCG: a model without
// AVX and ERMS, whose instructions cost the emulator most.
const DefaultCPU = "qemu64"

// Options is one start of a guest.
type Options struct {
	QEMU    string       // the emulator; "" is qemu-system-x86_64 of the PATH
	Accel   string       // QEMU's -accel; "" is "tcg"
	CPU     string       // QEMU's -cpu; "" is DefaultCPU
	CPUs    int          // 1 to 64; 0 is 1
	Memory  int64        // bytes, a multiple of 1 MiB; 0 is 256 MiB
	Args    []string     // of the program, without argv[0]; no spaces or quotes
	Env     []string     // KEY=VALUE; no spaces or quotes
	Tap     string       // the tap device; "" gives the guest no network
	MAC     string       // of the guest's card
	Addr    netip.Prefix // of the guest's card, IPv4
	Gateway netip.Addr   // IPv4; the zero value is none
	Taps    []string     // further taps, for cards that the program configures
	Disk    string       // file of a raw disk with ext4, mounted at /data; "" is none
	Kernel  []string     // further words of the kernel command line
	Console io.Writer    // what the guest prints; nil drops it
	Trace   bool         // init prints when it begins, by the guest's counter, and when it ends
}

func (o *Options) fill() {
	if o.QEMU == "" {
		o.QEMU = "qemu-system-x86_64"
	}
	if o.Accel == "" {
		o.Accel = "tcg"
	}
	if o.CPU == "" {
		o.CPU = DefaultCPU
	}
	if o.CPUs == 0 {
		o.CPUs = 1
	}
	if o.Memory == 0 {
		o.Memory = 256 << 20
	}
	if o.Console == nil {
		o.Console = io.Discard
	}
}

// tuning is the part of the kernel command line that is the same for every
// guest. Each word was kept because it made the start or the service faster, or
// because it takes away work that this machine has no use for.
var tuning = []string{
	"console=ttyS0", "quiet", "loglevel=1",
	"panic=-1", "reboot=t", // a dead guest ends QEMU, which runs with -no-reboot
	"mitigations=off", "rodata=off",
	"tsc=reliable", "no_timer_check", "clocksource=tsc",
	"nokaslr", "preempt=none",
	"init_on_alloc=0", "hardened_usercopy=off",
	"lsm=", "audit=0",
	"8250.nr_uarts=1",
	"cryptomgr.notests",
	"rcupdate.rcu_expedited=1",
	"random.trust_cpu=on",
	"raid=noautodetect",
	"rdinit=/init",
}

// commandLine is the kernel command line. The kernel hands words that it does
// not know to init: KEY=VALUE as environment, what follows "--" as arguments.
// tsc is the rate of the time-stamp counter in kHz; 0 leaves it to the guest.
func (o *Options) commandLine(tsc int64) (string, error) {
	words := append([]string{}, tuning...)
	if o.Trace {
		words = append(words, "PITH_TRACE="+strconv.FormatInt(tsc, 10))
	}
	if tsc > 0 {
		words = append(words, "tsc_early_khz="+strconv.FormatInt(tsc, 10))
	}
	words = append(words, o.Kernel...)
	if o.Tap != "" {
		words = append(words, "PITH_ADDR="+o.Addr.String())
	}
	if o.Tap != "" && o.Gateway.IsValid() {
		words = append(words, "PITH_GATEWAY="+o.Gateway.String())
	}
	if o.Disk != "" {
		words = append(words, "PITH_DISK=/data")
	}
	words = append(words, o.Env...)
	words = append(words, "--")
	words = append(words, o.Args...)
	for _, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\n\"'") {
			return "", fmt.Errorf("linuxvm: %q can't be a word of the kernel command line", w)
		}
	}
	return strings.Join(words, " "), nil
}

func (o *Options) check() error {
	switch {
	case o.CPUs < 1 || o.CPUs > 64:
		return fmt.Errorf("linuxvm: %d CPUs; 1 to 64 are possible", o.CPUs)
	case o.Memory < 1<<20 || o.Memory%(1<<20) != 0:
		return fmt.Errorf("linuxvm: memory of %d bytes is not a whole number of MiB", o.Memory)
	case o.Tap != "" && !o.Addr.Addr().Is4():
		return fmt.Errorf("linuxvm: the card on %s needs an IPv4 address, not %v", o.Tap, o.Addr)
	}
	return nil
}
