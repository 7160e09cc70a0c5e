package machine

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"pith"
)

// Machine types: the boards that QEMU emulates.
const (
	// TypeMicroVM has virtio devices on MMIO and nothing that is not needed:
	// the quickest to start.
	TypeMicroVM = "microvm"
	// TypeQ35 is a PC with PCI Express and ACPI.
	TypeQ35 = "q35"
)

// Limits and defaults of a machine.
const (
	MaxCPUs       = 64
	MiB           = 1 << 20
	MinMemory     = 4 * MiB       // below it not even an empty image loads
	MaxMemory     = 1 << 20 * MiB // 1 TiB
	DefaultMemory = 256 * MiB     // the host backs only what the guest touches
)

// Spec is everything that decides how a machine is run. It is written to disk
// when the machine is made and never changes afterwards.
type Spec struct {
	pith.Machine
	Kind    string    // KindUnikernel (also ""), KindProcess, ...
	What    string    // what the user asked to run, as it was written
	Type    string    // TypeMicroVM or TypeQ35
	Trace   bool      // the boot prints numbered stamps and the memory map
	Remove  bool      // forget the machine when it has ended
	Paused  bool      // wait for a debugger before the first instruction
	Capture string    `json:",omitempty"` // a file for the packets of the cards, absolute; "" is none
	Created time.Time // when it was made

	Deployment string `json:",omitempty"` // that it is an instance of; "" is none
	Revision   string `json:",omitempty"` // of the deployment's: another one is another machine

	Program string   `json:",omitempty"` // the program's own name, argv[0]; "" is the image's
	Send    []string // paths of files and folders that come back to the host when the program ends
	Changed []string `json:",omitempty"` // folders of which the files that the program has written come back
}

// Returns are the paths of which files may come back to the host.
func (s Spec) Returns() []string { return slices.Concat(s.Send, s.Changed) }

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// CheckName refuses a name that is not a DNS label of at most 63 characters.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return pith.Errorf("%q can't be a machine's name: use 1 to 63 of a-z, 0-9 and -, not beginning or ending with -", name)
	}
	return nil
}

// Check refuses a machine that no driver could run. The sentence names the
// least that works where a number is too small.
func (s Spec) Check() error {
	if err := CheckName(s.Name); err != nil {
		return err
	}
	if s.CPUs < 1 || s.CPUs > MaxCPUs {
		return pith.Errorf("a machine has 1 to %d CPUs, not %d", MaxCPUs, s.CPUs)
	}
	if s.Type != TypeMicroVM && s.Type != TypeQ35 {
		return pith.Errorf("there is no machine type %q: use %s or %s", s.Type, TypeMicroVM, TypeQ35)
	}
	if s.Kind != "" {
		if err := CheckKind(s.Kind); err != nil {
			return err
		}
	}
	for _, env := range s.Env {
		if k, _, ok := strings.Cut(env, "="); !ok || k == "" || strings.ContainsRune(env, 0) {
			return pith.Errorf("%q is no environment variable: write KEY=VALUE", env)
		}
	}
	if s.Dir != "" && !path.IsAbs(s.Dir) {
		return pith.Errorf("%q is no working directory: it begins with /", s.Dir)
	}
	return s.checkMemory()
}

func (s Spec) checkMemory() error {
	least := int64(MinMemory)
	if s.Image != nil {
		files, err := FilesSize(s.Files)
		if err != nil {
			return err
		}
		least = max(least, s.Image.Manifest.Memory) + files
	}
	if s.Memory < least {
		return pith.Errorf("%s is too little memory for this image: the least that works is -m %d", FormatMemory(s.Memory), ceilMiB(least))
	}
	if s.Memory > MaxMemory {
		return pith.Errorf("%s is more memory than a machine can have (%s)", FormatMemory(s.Memory), FormatMemory(MaxMemory))
	}
	return nil
}

func ceilMiB(n int64) int64 { return (n + MiB - 1) / MiB }

// Argv is the argument list that the program sees, its own name first.
func (s Spec) Argv() []string {
	name := s.Name
	if s.Image != nil {
		name = s.Image.Manifest.Name
	}
	if s.Program != "" {
		name = s.Program
	}
	args := s.Args
	if args == nil && s.Image != nil {
		args = s.Image.Manifest.Args
	}
	return append([]string{name}, args...)
}

// Environ is the program's environment: the image's own, overridden and
// followed by the machine's. Each key appears once.
func (s Spec) Environ() []string {
	var all []string
	if s.Image != nil {
		all = append(all, s.Image.Manifest.Env...)
	}
	all = append(all, s.Env...)
	var env []string
	at := map[string]int{}
	for _, kv := range all {
		key, _, _ := strings.Cut(kv, "=")
		if i, ok := at[key]; ok {
			env[i] = kv
			continue
		}
		at[key] = len(env)
		env = append(env, kv)
	}
	return env
}

var memoryPattern = regexp.MustCompile(`^([0-9]{1,12})(?i:([mg])(?:i?b)?)?$`)

// ParseMemory reads an amount of memory: a number of MiB ("64"), or with a
// unit ("64M", "64MiB", "1G"). The result is in bytes.
func ParseMemory(s string) (int64, error) {
	m := memoryPattern.FindStringSubmatch(s)
	if m == nil {
		return 0, pith.Errorf("%q is no amount of memory: write MiB as in 64, or 64M, or 1G", s)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0, pith.Errorf("%q is no amount of memory: %w", s, err)
	}
	unit := int64(MiB)
	if strings.EqualFold(m[2], "g") {
		unit = 1024 * MiB
	}
	if n > MaxMemory/unit {
		return 0, pith.Errorf("%s is more memory than a machine can have (%s)", s, FormatMemory(MaxMemory))
	}
	return n * unit, nil
}

// FormatMemory writes bytes as people do: "64 MiB", "1.5 GiB".
func FormatMemory(n int64) string {
	switch {
	case n >= 1024*MiB && n%(1024*MiB) == 0:
		return fmt.Sprintf("%d GiB", n/(1024*MiB))
	case n%MiB == 0:
		return fmt.Sprintf("%d MiB", n/MiB)
	default:
		return fmt.Sprintf("%.1f MiB", float64(n)/MiB)
	}
}
