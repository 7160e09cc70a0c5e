package linux

import (
	"pith/kernel/fs"
)

// firstMount is the number of the root's mount; the others follow.
const firstMount = 1

// cgroupMount is that of /sys/fs/cgroup, which lies in the tree of /sys and is told
// of so that libraries look there.
const cgroupMount = 1 << 20

// access is a mounted file system's first option.
func access(m fs.Mount) string {
	if m.ReadOnly() {
		return "ro"
	}
	return "rw"
}

// procMounts is /proc/mounts: device, directory, type, options (fstab(5)).
func procMounts() []byte {
	var p prose
	p.add("pith / tmpfs rw 0 0\n")
	for _, m := range tree.Mounts() {
		p.add(escaped(m.Source())).add(" ").add(escaped(m.Path)).add(" ").add(m.Type())
		p.add(" ").add(access(m)).add(" 0 0\n")
	}
	return p
}

// procMountInfo is /proc/self/mountinfo (proc(5)).
func procMountInfo() []byte {
	var p prose
	p.number(firstMount).add(" 0 0:23 / / rw - tmpfs pith rw\n")
	for i, m := range tree.Mounts() {
		p.number(uint64(i) + firstMount + 1).add(" 1 0:").number(m.Device).add(" / ").add(escaped(m.Path)).add(" ").add(access(m))
		p.add(" - ").add(m.Type()).add(" ").add(escaped(m.Source())).add(" ").add(access(m)).add("\n")
	}
	p.number(cgroupMount).add(" 1 0:").number(cgroupMount).add(" / /sys/fs/cgroup ro - cgroup2 cgroup2 ro\n")
	return p
}

// escaped writes what separates fields as backslash and three octal digits.
func escaped(s string) string {
	var out []byte
	for _, b := range []byte(s) {
		switch b {
		case ' ', '\t', '\n', '\\':
			out = append(out, '\\', '0'+b>>6, '0'+b>>3&7, '0'+b&7)
		default:
			out = append(out, b)
		}
	}
	return string(out)
}

// procFilesystems is /proc/filesystems.
func procFilesystems() []byte {
	var p prose
	p.add("nodev\ttmpfs\nnodev\tproc\nnodev\tsysfs\n")
	told := map[string]bool{"proc": true, "sysfs": true}
	for _, m := range tree.Mounts() {
		if name := m.Type(); !told[name] {
			told[name] = true
			p.add("\t" + name + "\n")
		}
	}
	return p
}
