package host

import (
	"testing"
	"testing/fstest"
)

func TestInstall(t *testing.T) {
	for _, c := range []struct {
		what, os, release string
		root              bool
		tool, want        string
	}{
		{what: "Debian", release: "ID=debian\n", tool: "qemu", want: "sudo apt-get install -y qemu-system-x86"},
		{what: "Debian's root", release: "ID=debian\n", root: true, tool: "gdb", want: "apt-get install -y gdb"},
		{what: "Ubuntu", release: "NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n", tool: "go", want: "sudo apt-get install -y golang-go"},
		{what: "Mint", release: "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", tool: "qemu", want: "sudo apt-get install -y qemu-system-x86"},
		{what: "Fedora", release: "ID=fedora\n", tool: "qemu", want: "sudo dnf install -y qemu-system-x86-core"},
		{what: "Rocky", release: "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", tool: "go", want: "sudo dnf install -y golang"},
		{what: "Arch", release: "ID=arch\n", tool: "qemu", want: "sudo pacman -S --noconfirm qemu-system-x86"},
		{what: "macOS", os: "darwin", tool: "qemu", want: "brew install qemu"},
		{what: "unknown", release: "ID=plan9\n", tool: "qemu", want: "install qemu with this system's package manager"},
		{what: "no file", tool: "gdb", want: "install gdb with this system's package manager"},
	} {
		h := Host{OS: "linux", Root: c.root, Files: fstest.MapFS{}}
		if c.os != "" {
			h.OS = c.os
		}
		if c.release != "" {
			h.Files = fstest.MapFS{"etc/os-release": {Data: []byte(c.release)}}
		}
		if got := h.Install(c.tool); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}
