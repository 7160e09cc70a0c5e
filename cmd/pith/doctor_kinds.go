package main

import (
	"fmt"
	"path/filepath"

	"pith/machine/cgroup"
	"pith/machine/container"
	"pith/machine/host"
	"pith/machine/process"
)

// kindFindings say which other kinds of machines this host can run, and what
// they lack.
func kindFindings(h host.Host) []host.Finding {
	return []host.Finding{processFinding(h), containerFinding(h), linuxFinding(h), groupFinding(h)}
}

func processFinding(h host.Host) host.Finding {
	f := host.Finding{Name: "process"}
	switch err := process.Namespaces(h); {
	case err != nil:
		f.Detail = "--machine process can't be used: " + err.Error()
	case !exists(h, "dev/net/tun"):
		f.Detail, f.Fix = "--machine process has no network but --net none: there is no /dev/net/tun", "sudo modprobe tun"
	default:
		f.OK, f.Detail = true, "--machine process can be used"
	}
	return f
}

func containerFinding(h host.Host) host.Finding {
	f := host.Finding{Name: "runc"}
	path, err := container.New(h).Find()
	switch {
	case h.OS != "linux":
		f.Detail = "--machine container needs Linux"
	case err != nil:
		f.Detail, f.Fix = "--machine container needs runc, which is not installed", h.Install("runc")
	case !h.Root:
		f.Detail = path + "; --machine container needs root, --machine process doesn't"
	default:
		f.OK, f.Detail = true, path+"; --machine container can be used"
	}
	return f
}

func linuxFinding(h host.Host) host.Finding {
	f := host.Finding{Name: "linux"}
	found, err := filepath.Glob("/boot/vmlinuz-*")
	if err != nil || len(found) == 0 {
		f.Detail = "--machine linuxvm needs a kernel in /boot, and there is none"
		if h.Family() == "debian" {
			f.Fix = "sudo apt-get install -y linux-image-amd64"
		}
		return f
	}
	f.OK, f.Detail = true, found[len(found)-1]+"; --machine linuxvm can be used"
	return f
}

func groupFinding(h host.Host) host.Finding {
	f := host.Finding{Name: "cgroup"}
	switch version := cgroup.Version(); {
	case h.OS != "linux":
		f.Detail = "control groups are a part of Linux"
	case version == 0:
		f.Detail = "no control groups are mounted at /sys/fs/cgroup: processes have coarse memory limits, containers can't run"
	case !cgroup.Writable():
		f.Detail = fmt.Sprintf("version %d, for root only: processes have coarse memory limits", version)
	default:
		f.OK, f.Detail = true, fmt.Sprintf("version %d: processes and containers are limited by it", version)
	}
	return f
}
