package process

import (
	"errors"
	"io/fs"
	"runtime"
	"strings"
	"syscall"

	"pith"
	"pith/machine"
	"pith/machine/host"
)

// Check refuses what a process of this host can't be.
func (d *Driver) Check(s machine.Spec) error {
	if err := Namespaces(d.host); err != nil {
		return err
	}
	if s.Paused {
		return errDebug
	}
	return CheckShared(d.host, s, "process")
}

// CheckShared refuses what no machine that shares the host's kernel can have.
func CheckShared(h host.Host, s machine.Spec, kind string) error {
	if s.CPUs > runtime.NumCPU() {
		return pith.Errorf("this host has %d CPUs, so a %s can't have %d: only a virtual machine can", runtime.NumCPU(), kind, s.CPUs)
	}
	for _, l := range s.Links {
		switch {
		case strings.HasPrefix(l.Network, "tap:"):
			return pith.Errorf("a %s has no card to plug into a tap: use --net bridge:NAME", kind)
		case strings.HasPrefix(l.Network, "bridge:") && !h.Root:
			return pith.Errorf("a %s on a bridge needs root; the user network doesn't", kind)
		case strings.HasPrefix(l.Network, "bridge:") && len(l.Addrs) == 0 && !s.Forward:
			return pith.Errorf("a %s has no DHCP client: give its address on the bridge by --addr", kind)
		case l.Network == "user" && !has(h, "dev/net/tun"):
			return pith.Errorf("there is no /dev/net/tun, which the user network needs: modprobe tun, or --net none")
		}
	}
	return errors.Join(checkVolumes(h, s, kind), checkFolders(h, s, kind))
}

// Nobody is the user of the host that machines which share its kernel are when root
// starts them.
const Nobody = 65534

// checkVolumes refuses volumes where the host's kernel doesn't mount them.
func checkVolumes(h host.Host, s machine.Spec, kind string) error {
	for _, m := range s.Mounts {
		switch {
		case m.Volume == "":
		case !h.Root:
			return pith.Errorf("volume %s is a disk, which only root can mount for a %s: use sudo, share a folder of the host, as in -v ./%s:%s, or use --machine unikernel", m.Volume, kind, m.Volume, m.Target)
		case !has(h, "dev/loop-control"):
			return pith.Errorf("this host has no loop devices, by which volume %s is mounted for a %s: modprobe loop, or use --machine unikernel", m.Volume, kind)
		}
	}
	return nil
}

// checkFolders refuses folders that the program could do nothing with.
func checkFolders(h host.Host, s machine.Spec, kind string) error {
	for _, m := range s.Mounts {
		if m.Volume != "" {
			continue
		}
		info, err := fs.Stat(h.Files, strings.TrimPrefix(m.Source, "/"))
		if err != nil || !h.Root {
			continue // that it is missing is told elsewhere; without root the program is its own user
		}
		const read, write = 0o5, 0o7
		switch rights := nobodysRights(info); {
		case rights&read != read:
			return pith.Errorf("the program of a %s is user %d (nobody) on this host, who may not read %s: chown %d %s", kind, Nobody, m.Source, Nobody, m.Source)
		case !m.ReadOnly && rights&write != write:
			return pith.Errorf("the program of a %s is user %d (nobody) on this host, who may not write to %s: chown %d %s, or share it read-only with :ro behind it", kind, Nobody, m.Source, Nobody, m.Source)
		}
	}
	return nil
}

// nobodysRights are what nobody may do with a folder: a digit as chmod has it.
func nobodysRights(info fs.FileInfo) fs.FileMode {
	mode := info.Mode().Perm()
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case ok && owner.Uid == Nobody:
		return mode >> 6
	case ok && owner.Gid == Nobody:
		return mode >> 3 & 7
	}
	return mode & 7
}

func has(h host.Host, name string) bool {
	_, err := fs.Stat(h.Files, name)
	return err == nil
}

// Namespaces says why this user can't make user namespaces; nil where that
// works as far as can be told without trying.
// Source: user_namespaces(7); Debian's and Ubuntu's own switches.
func Namespaces(h host.Host) error {
	read := func(name string) string {
		text, err := fs.ReadFile(h.Files, name)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(text))
	}
	switch {
	case h.OS != "linux":
		return pith.Errorf("a confined process needs Linux: use --machine unikernel")
	case !has(h, "proc/self/ns/user"):
		return pith.Errorf("this host's kernel has no user namespaces: use --machine unikernel")
	case read("proc/sys/user/max_user_namespaces") == "0":
		return pith.Errorf("this host allows no user namespaces; as root: sysctl user.max_user_namespaces=10000")
	case h.Root:
		return nil
	case read("proc/sys/kernel/unprivileged_userns_clone") == "0":
		return pith.Errorf("this host allows user namespaces to root only; as root: sysctl kernel.unprivileged_userns_clone=1")
	case read("proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
		return pith.Errorf("AppArmor keeps users from user namespaces on this host; as root: sysctl kernel.apparmor_restrict_unprivileged_userns=0")
	default:
		return nil
	}
}
