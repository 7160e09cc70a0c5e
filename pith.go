// Package pith is the domain of Pith: what an image, a machine, a network and
// a service are, and which errors are a user's own. Implementations live in the
// sibling folders image, machine and network, which do not know one another;
// cmd/pith alone wires them together.
//
// It relies on the standard library only. It must not start anything, and
// must not import a package of this module except abi. The sources of the
// library OS travel in it (see Source), so that the tool works outside its own
// checkout.
package pith

import (
	"net/netip"
	"slices"
	"strings"
)

// Stacks that a builder can link into an image.
const (
	// StackInet is Pith's own lean network stack: the default.
	StackInet = "inet"
	// StackGvisor is gVisor's network stack.
	StackGvisor = "gvisor"
)

// Image is one bootable file.
type Image struct {
	Path     string   // where the file is
	Size     int64    // bytes
	Symbols  string   // the unstripped twin for debuggers; "" where there is none
	Manifest Manifest // what the file says about itself
}

// Manifest is what an image says about itself, in the JSON of its own ELF note.
// It holds nothing that depends on when, where or by whom it was built.
type Manifest struct {
	ABI     int      `json:"abi"`               // abi.Version of the kernel inside
	Name    string   `json:"name"`              // the program's name, as go build would call it
	Go      string   `json:"go"`                // the toolchain, "go1.26.8"
	Package string   `json:"package"`           // import path of the main package
	Module  string   `json:"module,omitempty"`  // path of its module
	Version string   `json:"version,omitempty"` // the module's version, "" for a local one
	Stack   string   `json:"stack"`             // StackInet or StackGvisor
	Kernel  string   `json:"kernel"`            // hash of the kernel's sources
	Memory  int64    `json:"memory"`            // least memory of a machine, bytes
	Args    []string `json:"args,omitempty"`    // default arguments, without argv[0]
	Env     []string `json:"env,omitempty"`     // default environment, KEY=VALUE

	DefaultMemory int64    `json:"default_memory,omitempty"` // of a machine that names none, bytes; 0: the driver's
	CPUs          int      `json:"cpus,omitempty"`           // of a machine that names none; 0: one
	Files         []string `json:"files,omitempty"`          // paths in the machine of what is packed, as they were named
	Override      []string `json:"override,omitzero"`        // see Service.Override
}

// Allow refuses a setting of OverrideNames that an instance may not make.
func (m Manifest) Allow(setting string) error {
	if m.Override == nil || slices.Contains(m.Override, setting) {
		return nil
	}
	if len(m.Override) == 0 {
		return Errorf("the image of %s doesn't let an instance set %s: it lets none be set", m.Name, setting)
	}
	return Errorf("the image of %s doesn't let an instance set %s, only %s", m.Name, setting, strings.Join(m.Override, ", "))
}

// Machine is what to run: an image and what it is given. The zero value of a
// field means "the driver's default".
type Machine struct {
	Name   string
	Image  *Image
	CPUs   int      // 1 to 64
	Memory int64    // bytes
	Args   []string // without argv[0]
	Env    []string // KEY=VALUE
	Ports  []Port
	Links  []Link
	Files  []File // copied into the machine when it starts
	Dir    string // the program's working directory, absolute; "" is "/"

	Mounts []Mount // volumes

	// Forward is a program that forwards packets: its cards are its own. A Linux
	// kernel under it gives them no address and lets it open packet sockets.
	Forward bool
}

// File is a file or folder of the host that a machine gets a copy of.
type File struct {
	Source string // its path on the host
	Target string // its path in the machine, absolute
}

// Port publishes a guest's port on the host.
type Port struct {
	Protocol string // "tcp" or "udp"
	Host     netip.AddrPort
	Guest    uint16
}

// Link is one network card of a machine.
type Link struct {
	Network string         // the Network's name
	MAC     string         // "52:54:00:12:34:56"
	Addrs   []netip.Prefix // none: DHCP and SLAAC
	Gateway []netip.Addr   // at most one a family
	DNS     []netip.Addr
	Routes  []Route
	Queues  int `json:",omitempty"` // queue pairs on a tap or bridge; 0: as many as are good
}

// Route leads to a network by a router that a Link reaches.
type Route struct {
	To  netip.Prefix
	Via netip.Addr // of the same family
}
