package pith

import (
	"net/netip"
	"slices"
	"time"
)

// MachineKind is what a service's instances are.
type MachineKind string

// Machine kinds.
const (
	Unikernel MachineKind = "unikernel" // an image on a virtual machine monitor: the default
	Process   MachineKind = "process"   // a confined process of the host
	Container MachineKind = "container" // an OCI image, run by runc or containerd
	LinuxVM   MachineKind = "linuxvm"   // the same binary on a Linux kernel: for comparison
)

// MachineKinds lists all kinds, the default first.
var MachineKinds = []MachineKind{Unikernel, Process, Container, LinuxVM}

// Topology is what a pith.yaml describes: services in their networks. Package
// manifest makes one, checked and with all defaults filled in.
type Topology struct {
	Name     string    // of the deployment
	File     string    // the pith.yaml, absolute; relative paths in it are resolved
	Networks []Network // in the order of the file
	Volumes  []Disk
	Services []Service // in the order of the file
}

// NetworkKind is what carries a network's frames.
type NetworkKind string

// Network kinds.
const (
	NetworkUser   NetworkKind = "user"   // rootless: a switch between the machines
	NetworkBridge NetworkKind = "bridge" // a bridge that Pith makes, or the host's (Network.Bridge)
)

// Network is a virtual network between machines.
type Network struct {
	Name    string
	Kind    NetworkKind
	Bridge  string         // a bridge of the host that exists; "": one is made
	Subnet  []netip.Prefix // masked, at most one a family; none: addresses come by DHCP and SLAAC
	Gateway []netip.Addr   // the host's own addresses on a bridge that is made, at most one a family; none: the host isn't in it
	VLAN    uint16         // 802.1Q tag, 1 to 4094; 0: untagged
	Parent  string         // the network that carries its frames, with the tag; "": a bridge of its own
	MTU     int            // bytes, 576 to 65535; 0: the kind's default
}

// Disk is a volume: it outlives the machine it is plugged into.
type Disk struct {
	Name string
	Size int64  // bytes; 0: the driver's default
	Path string // where it is kept on the host; "": in Pith's own state
}

// Service is a set of instances of one program that answer under one name.
type Service struct {
	Name     string
	Kind     MachineKind
	Build    string // what package image builds: a directory, package path or module@version; or
	Image    string // an image file, absolute. Exactly one of the two is set
	Stack    string // StackInet, StackGvisor; "": the default
	Memory   int64  // bytes; 0: the default
	CPUs     int    // 1 to 64
	Args     []string
	Env      []string // KEY=VALUE, sorted by key
	Dir      string   // working directory, absolute; "": "/"
	Files    []File   // packed read-only into the image
	Configs  []Given  // handed to the instance when it starts
	Secrets  []Given  // the same, readable by the program only, never shown
	Mounts   []Mount
	Links    []ServiceLink
	Routes   []Route // beyond the links' own
	DNS      []netip.Addr
	Ports    []Port
	Needs    []Dependency
	Health   *HealthCheck // nil: healthy when it listens on its first port or, without one, runs
	Replicas int          // 0 or more
	Forward  bool         // see Machine.Forward
	Restart  RestartPolicy
	// Override names what an instance may set otherwise than the image: of
	// OverrideNames. nil means all of them, an empty list nothing.
	Override []string
}

// OverrideNames are the settings that an image may let its instances override.
// The files in it are never among them.
var OverrideNames = []string{"args", "cpus", "env", "memory"}

// ServiceLink is a service's card in a network.
type ServiceLink struct {
	Network string
	MAC     string         // "": it follows from the instance's name
	Addrs   []netip.Prefix // with the network's prefix length; of the first replica, the others follow
	Gateway []netip.Addr   // at most one a family
}

// Given is a file that an instance is handed when it starts: it is in no image. It
// comes from Source, else from Variable, else it is Content.
type Given struct {
	Name     string // under configs or secrets; "": it has none
	Source   string // a file or folder of the host, absolute
	Variable string // an environment variable of whoever runs pith up
	Content  string
	Target   string // absolute
	Mode     uint32 // permissions; 0: 0444, of a secret 0400
}

// Mount is a volume's, or a host folder's, place in a machine.
type Mount struct {
	Volume   string // the Disk's name; or
	Source   string // a folder of the host, absolute. Exactly one of the two is set
	Target   string // absolute
	ReadOnly bool
}

// Condition is what a dependency must have reached.
type Condition string

// Conditions, in compose's words.
const (
	Started   Condition = "service_started"
	Healthy   Condition = "service_healthy"
	Completed Condition = "service_completed_successfully"
)

// Dependency is a service that must be there before another starts.
type Dependency struct {
	Service   string
	Condition Condition
}

// ProbeKind is how health is asked for.
type ProbeKind string

// Probe kinds.
const (
	ProbeHTTP ProbeKind = "http" // GET Path answers 200 to 399
	ProbeTCP  ProbeKind = "tcp"  // a connection is accepted
	ProbeDNS  ProbeKind = "dns"  // a query for Query is answered without an error
	ProbeUDP  ProbeKind = "udp"  // an empty datagram isn't refused
)

// HealthCheck asks a service whether it does its work.
type HealthCheck struct {
	Kind     ProbeKind
	Port     uint16
	Path     string        // http: begins with "/"
	Query    string        // dns: a name
	Interval time.Duration // between probes
	Timeout  time.Duration // of one
	Retries  int           // failures in a row that make it unhealthy, 1 or more
	Start    time.Duration // failures in this time after the start don't count
}

// RestartPolicy says when an instance that ended is started again.
type RestartPolicy struct {
	When RestartWhen
	Max  int // with OnFailure: how many times in a row; 0 is without end
}

// RestartWhen is a restart policy's name, as compose has it.
type RestartWhen string

// Restart policies.
const (
	RestartNo            RestartWhen = "no"
	RestartAlways        RestartWhen = "always"
	RestartOnFailure     RestartWhen = "on-failure"
	RestartUnlessStopped RestartWhen = "unless-stopped"
)

// Over are the routes whose router is the card's neighbour.
func (l ServiceLink) Over(routes []Route) (over []Route) {
	for _, r := range routes {
		if slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Contains(r.Via) }) {
			over = append(over, r)
		}
	}
	return over
}
