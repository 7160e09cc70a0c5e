// Package host looks at the computer that Pith itself runs on: which programs
// it has, what its CPU and its devices allow, and which command installs what
// is missing.
//
// It relies on the operating system through the functions of Host only, so
// that tests can make up a computer. It must not change anything on the host,
// nor open a device.
package host

import (
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Host is a computer as Pith sees it.
type Host struct {
	OS   string // as runtime.GOOS
	Arch string // as runtime.GOARCH
	Root bool   // this user is root
	UID  int    // this user's number

	Files    fs.FS // the file tree from "/" on, names without the leading slash
	Getenv   func(key string) string
	LookPath func(program string) (string, error)
	// Output runs a program and returns what it prints on both outputs.
	Output func(program string, args ...string) (string, error)
	// Access reports whether this user may read and write a file, from its
	// permissions alone: the file is not opened.
	Access func(path string) error
}

// This is the computer that the process runs on.
func This() Host {
	return Host{
		OS:       runtime.GOOS,
		Arch:     runtime.GOARCH,
		Root:     os.Getuid() == 0,
		UID:      os.Getuid(),
		Files:    os.DirFS("/"),
		Getenv:   os.Getenv,
		LookPath: exec.LookPath,
		Output: func(program string, args ...string) (string, error) {
			out, err := exec.Command(program, args...).CombinedOutput()
			return string(out), err
		},
		Access: func(path string) error { return unix.Access(path, unix.R_OK|unix.W_OK) },
	}
}

// Finding is one thing that Pith can use, and how this host stands with it.
type Finding struct {
	Name     string `json:"name"`          // "qemu", "kvm", ...
	OK       bool   `json:"ok"`            // it is there and usable
	Required bool   `json:"required"`      // Pith can't do its main job without it
	Detail   string `json:"detail"`        // what was found, or why it can't be used
	Fix      string `json:"fix,omitempty"` // the command that puts it right
}

// Family is the host's kind as far as installing goes: "debian", "fedora",
// "arch", "macos", or "" for one that Pith doesn't know.
// Source: os-release(5).
func (h Host) Family() string {
	if h.OS == "darwin" {
		return "macos"
	}
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		if text, err := fs.ReadFile(h.Files, name); err == nil {
			return family(string(text))
		}
	}
	return ""
}

func family(osRelease string) string {
	var ids []string
	for line := range strings.Lines(osRelease) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key == "ID" || key == "ID_LIKE" {
			ids = append(ids, strings.Fields(strings.Trim(value, `"'`))...)
		}
	}
	for _, id := range ids {
		switch id {
		case "debian", "ubuntu":
			return "debian"
		case "fedora", "rhel", "centos":
			return "fedora"
		case "arch":
			return "arch"
		}
	}
	return ""
}

// packages names what to install on each family of hosts.
var packages = map[string]map[string]string{
	"qemu": {"debian": "qemu-system-x86", "fedora": "qemu-system-x86-core", "arch": "qemu-system-x86", "macos": "qemu"},
	"gdb":  {"debian": "gdb", "fedora": "gdb", "arch": "gdb", "macos": "gdb"},
	"runc": {"debian": "runc", "fedora": "runc", "arch": "runc"},
	"go":   {"debian": "golang-go", "fedora": "golang", "arch": "go", "macos": "go"},
}

var installers = map[string]string{
	"debian": "apt-get install -y ",
	"fedora": "dnf install -y ",
	"arch":   "pacman -S --noconfirm ",
	"macos":  "brew install ",
}

// Install is the command that installs a tool ("qemu", "gdb", "go") on this
// host; on one that Pith doesn't know it is a sentence.
func (h Host) Install(tool string) string {
	family := h.Family()
	pkg, ok := packages[tool][family]
	if !ok {
		return "install " + tool + " with this system's package manager"
	}
	command := installers[family] + pkg
	if h.Root || family == "macos" {
		return command
	}
	return "sudo " + command
}
