package qemu

import (
	"regexp"
	"strconv"
	"strings"

	"pith/machine/host"
)

// oldest is the oldest QEMU that the driver is tested with.
const oldest = "7.2"

var versionPattern = regexp.MustCompile(`version ([0-9]+)\.([0-9]+)[0-9.]*`)

// Examine says how a host stands with QEMU, KVM and gdb.
func Examine(h host.Host) []host.Finding {
	return []host.Finding{examineQEMU(h), examineKVM(h), examineGDB(h)}
}

func examineQEMU(h host.Host) host.Finding {
	f := host.Finding{Name: "qemu", Required: true, Fix: h.Install("qemu")}
	path, err := New(h).find()
	if err != nil {
		f.Detail = "QEMU runs the machines, and is not installed"
		return f
	}
	out, err := h.Output(path, "--version")
	m := versionPattern.FindStringSubmatch(out)
	if err != nil || m == nil {
		f.Detail = path + " does not tell its version"
		return f
	}
	f.Detail = strings.TrimPrefix(m[0], "version ") + ", " + path
	f.OK = atLeast(m[1], m[2])
	if !f.OK {
		f.Detail += ": older than " + oldest
	} else {
		f.Fix = ""
	}
	return f
}

// atLeast compares a version's first two numbers with oldest.
func atLeast(major, minor string) bool {
	// The pattern lets nothing but digits in; a number too large is new.
	a, _ := strconv.Atoi(major)
	b, _ := strconv.Atoi(minor)
	return a > 7 || a == 7 && b >= 2
}

func examineKVM(h host.Host) host.Finding {
	f := host.Finding{Name: "kvm"}
	accel, err := ChooseAccel(h)
	if err != nil {
		f.Detail = err.Error()
		return f
	}
	f.OK = accel.Kind == KVM
	f.Detail = "used: " + accel.Reason
	if !f.OK {
		f.Detail = "emulation is used: " + accel.Reason
	}
	if strings.Contains(accel.Reason, "join its group") {
		f.Fix = "sudo usermod -aG kvm $USER"
	}
	return f
}

func examineGDB(h host.Host) host.Finding {
	path, err := FindGDB(h)
	if err != nil {
		return host.Finding{Name: "gdb", Detail: "`pith debug` needs it, and it is not installed", Fix: h.Install("gdb")}
	}
	return host.Finding{Name: "gdb", OK: true, Detail: path}
}
