package container

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"pith/machine"
	"pith/machine/process"
)

// programPath is where the program is in its root.
const programPath = "/app"

// maxTasks bounds a machine's threads, maxFiles its descriptors.
const (
	maxTasks = 4096
	maxFiles = 1 << 16
)

// writeBundle makes the bundle: config.json and the root's files. most is the
// greatest number of descriptors that the host lets a process have.
func writeBundle(dir string, l machine.Launch, most uint64, netns, cgroup string) error {
	files, err := l.Spec.RootFiles()
	if err != nil {
		return err
	}
	root := filepath.Join(dir, "rootfs")
	if err := os.Mkdir(root, 0o755); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if err := machine.WriteRoot(root, files); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if err := handOver(root, files); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	text, err := json.MarshalIndent(config(l.Spec, dir, min(maxFiles, most), netns, cgroup), "", "  ")
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644)
}

// handOver gives the program the files that only their owner may read.
func handOver(dir string, files []machine.RootFile) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range files {
		if f.Mode&0o004 != 0 {
			continue
		}
		if err := root.Lchown(f.Name, process.Nobody, process.Nobody); err != nil {
			return fmt.Errorf("/%s: %w", f.Name, err)
		}
	}
	return nil
}

// config is the container: no rights but those that rights names, a read-only root,
// the default masks.
func config(s machine.Spec, dir string, files uint64, netns, cgroup string) *specs.Spec {
	return &specs.Spec{
		Version:  "1.0.2",
		Hostname: s.Name,
		Root:     &specs.Root{Path: "rootfs", Readonly: true},
		Process: &specs.Process{
			Args: append([]string{programPath}, s.Argv()[1:]...),
			Env:  s.Environ(),
			Cwd:  cmp.Or(s.Dir, "/"),
			// nobody, who may still listen at every port: the namespace allows it.
			User:            specs.User{UID: process.Nobody, GID: process.Nobody},
			Capabilities:    rights(s),
			NoNewPrivileges: true,
			Rlimits: []specs.POSIXRlimit{
				{Type: "RLIMIT_NOFILE", Hard: files, Soft: files},
				{Type: "RLIMIT_CORE", Hard: 0, Soft: 0},
			},
		},
		Mounts: mounts(s, dir),
		Linux: &specs.Linux{
			CgroupsPath: cgroup,
			Resources:   resources(s),
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}, {Type: specs.MountNamespace},
				{Type: specs.NetworkNamespace, Path: netns},
			},
			MaskedPaths: []string{
				"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
				"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
			},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
			Seccomp:       refused(),
		},
	}
}

// rights are the container's capabilities: a program that forwards may open packet
// sockets in its own network namespace. As it is no root, the right has to be ambient.
func rights(s machine.Spec) *specs.LinuxCapabilities {
	if !s.Forward {
		return &specs.LinuxCapabilities{}
	}
	raw := []string{"CAP_NET_RAW"}
	return &specs.LinuxCapabilities{Bounding: raw, Effective: raw, Permitted: raw, Inheritable: raw, Ambient: raw}
}

func mounts(s machine.Spec, dir string) []specs.Mount {
	list := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=64k"}},
		{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "noexec", "mode=1777", fmt.Sprintf("size=%d", s.Memory/2)}},
		{Destination: programPath, Type: "bind", Source: s.Image.Path, Options: []string{"bind", "ro", "nosuid", "nodev"}},
	}
	for i, m := range s.Mounts { // folders of the host, and volumes, which are mounted for runc only
		access, source := "rw", m.Source
		if m.ReadOnly {
			access = "ro"
		}
		if m.Volume != "" {
			source = volumePlace(dir, i)
		}
		list = append(list, specs.Mount{Destination: m.Target, Type: "bind", Source: source, Options: []string{"rbind", access, "rprivate", "nosuid", "nodev", "noexec"}})
	}
	return list
}

// volumePlace is where runc finds the volume with an index.
func volumePlace(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("volume-%d", i)) }

// period is what a share of CPU time is counted over, in microseconds.
const period = 100_000

func resources(s machine.Spec) *specs.LinuxResources {
	memory, tasks := s.Memory, int64(maxTasks)
	quota, every := int64(s.CPUs*period), uint64(period)
	return &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: &memory, Swap: &memory},
		CPU:    &specs.LinuxCPU{Quota: &quota, Period: &every, Cpus: cpuList(s.CPUs)},
		Pids:   &specs.LinuxPids{Limit: &tasks},
		Devices: []specs.LinuxDeviceCgroup{
			{Allow: false, Access: "rwm"}, // runc adds the harmless ones
		},
	}
}

// cpuList names as many CPUs as the machine has.
func cpuList(n int) string {
	var list []string
	for cpu := range n {
		list = append(list, strconv.Itoa(cpu))
	}
	return strings.Join(list, ",")
}

// refused are system calls that no server needs and that reach far into the
// host's kernel. The process kind's list of allowed ones is stricter; here runc
// has to work with its own calls before the program's.
func refused() *specs.LinuxSeccomp {
	code := uint(1) // EPERM
	return &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Architectures: []specs.Arch{specs.ArchX86_64},
		Syscalls: []specs.LinuxSyscall{{
			Action: specs.ActErrno, ErrnoRet: &code,
			Names: []string{
				"ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "mount", "umount2", "pivot_root", "chroot",
				"move_mount", "open_tree", "fsopen", "fsmount", "fsconfig", "fspick", "mount_setattr", "unshare", "setns",
				"bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
				"keyctl", "add_key", "request_key", "init_module", "finit_module", "delete_module", "kexec_load",
				"kexec_file_load", "reboot", "swapon", "swapoff", "open_by_handle_at", "name_to_handle_at", "quotactl",
				"syslog", "acct", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "iopl", "ioperm", "memfd_create",
			},
		}},
	}
}

// identity is the container's name and its group: one for each machine's
// folder.
func identity(dir, name string) string {
	sum := sha256.Sum256([]byte(dir))
	return fmt.Sprintf("pith-%s-%x", name, sum[:4])
}
