package qemu

import (
	"io/fs"
	"strings"

	"pith"
	"pith/machine/host"
)

// Accelerators.
const (
	TCG = "tcg" // QEMU translates the guest's instructions
	KVM = "kvm" // the CPU runs them
)

// Accel is how QEMU executes a guest, and why in that way.
type Accel struct {
	Kind   string // TCG or KVM
	Reason string // a part of a sentence, for `pith doctor`
}

// ChooseAccel decides between KVM and emulation. $PITH_ACCEL (tcg or kvm)
// overrides it. It only looks: it reads /proc/cpuinfo and asks for the
// permissions of /dev/kvm, but neither opens that device nor makes a VM.
//
// A host that is a virtual machine itself is given emulation: KVM in there
// depends on what the outer hypervisor passes on, and its failures end more
// than the guest.
func ChooseAccel(h host.Host) (Accel, error) {
	switch own := h.Getenv("PITH_ACCEL"); own {
	case "":
		return chooseAccel(h), nil
	case TCG, KVM:
		return Accel{own, "PITH_ACCEL says so"}, nil
	default:
		return Accel{}, pith.Errorf("PITH_ACCEL is %q: use tcg or kvm", own)
	}
}

func chooseAccel(h host.Host) Accel {
	if h.OS != "linux" {
		return Accel{TCG, "KVM is a part of Linux"}
	}
	if h.Arch != "amd64" {
		return Accel{TCG, "the image is for amd64 and this host is not"}
	}
	flags := cpuFlags(h.Files)
	switch {
	case flags == nil:
		return Accel{TCG, "/proc/cpuinfo can't be read"}
	case flags["hypervisor"]:
		return Accel{TCG, "this host is a virtual machine itself"}
	case !flags["vmx"] && !flags["svm"]:
		return Accel{TCG, "the CPU has no virtualisation (vmx or svm), or the firmware turns it off"}
	}
	info, err := fs.Stat(h.Files, "dev/kvm")
	if err != nil {
		return Accel{TCG, "there is no /dev/kvm: the kernel's module kvm is not loaded"}
	}
	if info.Mode()&fs.ModeCharDevice == 0 {
		return Accel{TCG, "/dev/kvm is no device"}
	}
	if h.Access("/dev/kvm") != nil {
		return Accel{TCG, "this user may not use /dev/kvm: join its group, kvm"}
	}
	return Accel{KVM, "the CPU has virtualisation and this user may use /dev/kvm"}
}

// cpuFlags are the flags of the first CPU; nil where they can't be read.
func cpuFlags(files fs.FS) map[string]bool {
	text, err := fs.ReadFile(files, "proc/cpuinfo")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(key) != "flags" {
			continue
		}
		flags := map[string]bool{}
		for _, flag := range strings.Fields(value) {
			flags[flag] = true
		}
		return flags
	}
	return nil
}

// leanCPU is the model that QEMU emulates: what GOAMD64=v2 needs, and a few
// instructions that the kernel likes, on top of the plainest 64-bit model.
//
// It leaves out on purpose what the translator is slow at, measured on Go 1.26
// in a guest under QEMU 7.2: with AVX2 ChaCha20 takes 4.3 times as long, a
// search for a byte 4.2 times and SHA-256 1.3 times; with ERMS clearing memory
// takes 1.8 times as long; with AES the hashing of a map's string keys takes
// 1.4 times as long, for AES-GCM in 0.75 of the time. POPCNT makes counting
// bytes 1.8 times as fast.
const leanCPU = "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+rdrand,+fsgsbase,+rdtscp,+pdpe1gb"

// cpuModel is the value of -cpu. $PITH_CPU overrides it, for measurements.
func cpuModel(h host.Host, kind string) string {
	if own := h.Getenv("PITH_CPU"); own != "" {
		return own
	}
	if kind == KVM {
		// Not migratable: then the guest sees that its TSC is invariant.
		return "host,migratable=off"
	}
	return leanCPU
}
