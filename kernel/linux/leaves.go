package linux

import (
	"strconv"
	"strings"
	"syscall"

	"pith/kernel/fs"
)

// leaf is a file, link or directory of /proc or /sys. One of the other fields
// says what it is. A table of leaves is constant data: it costs a machine's
// start nothing, and nodes are made for those directories only that the
// program looks into.
type leaf struct {
	path     string // without the tree's own, such as self/status
	text     string // the contents of a file that never changes
	contents func() []byte
	target   string // of a symbolic link
	node     func(t *fs.Tree) *fs.Node
}

// procFiles is the files of proc(5) that programs and libraries read. What is
// below self lies in the process's own directory.
var procFiles = []leaf{
	{path: "cgroups", text: "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"},
	{path: "cmdline", text: "\n"},
	{path: "cpuinfo", contents: procCPUInfo},
	{path: "devices", text: "Character devices:\n  1 mem\n  5 console\n\nBlock devices:\n"},
	{path: "diskstats", text: ""},
	{path: "filesystems", contents: procFilesystems},
	{path: "loadavg", text: "0.00 0.00 0.00 1/1 1\n"},
	{path: "meminfo", contents: procMeminfo},
	{path: "modules", text: ""},
	{path: "mounts", target: "self/mounts"},
	{path: "net", target: "self/net"},
	{path: "partitions", text: "major minor  #blocks  name\n\n"},
	{path: "self", node: procSelf},
	{path: "self/cgroup", text: "0::/\n"},
	{path: "self/cmdline", contents: func() []byte { return joined(config.Args) }},
	{path: "self/comm", contents: func() []byte { return []byte(command() + "\n") }},
	{path: "self/cwd", node: procCwd},
	{path: "self/environ", contents: func() []byte { return joined(config.Env) }},
	{path: "self/exe", node: procExe},
	{path: "self/fd", node: procFd},
	{path: "self/fdinfo", node: procFdinfo},
	{path: "self/gid_map", text: "0 0 4294967295\n"},
	{path: "self/limits", contents: procLimits},
	{path: "self/loginuid", text: "4294967295"},
	{path: "self/maps", contents: procMaps},
	{path: "self/mountinfo", contents: procMountInfo},
	{path: "self/mounts", contents: procMounts},
	{path: "self/net/dev", contents: procNetDev},
	{path: "self/net/if_inet6", contents: procIfInet6},
	{path: "self/net/igmp", contents: procIGMP},
	{path: "self/net/igmp6", contents: procIGMP6},
	{path: "self/net/netstat", contents: procNetstat},
	{path: "self/net/route", contents: procRoute},
	{path: "self/net/snmp", contents: procSnmp},
	{path: "self/net/sockstat", contents: procSockstat},
	{path: "self/net/sockstat6", contents: procSockstat6},
	{path: "self/net/tcp", contents: procTCP},
	{path: "self/net/tcp6", contents: procTCP6},
	{path: "self/net/udp", contents: procUDP},
	{path: "self/net/udp6", contents: procUDP6},
	{path: "self/net/unix", contents: procUnix},
	{path: "self/oom_score", text: "0\n"},
	{path: "self/oom_score_adj", text: "0\n"},
	{path: "self/personality", text: "00000000\n"},
	{path: "self/root", target: "/"},
	{path: "self/smaps_rollup", contents: procSmapsRollup},
	{path: "self/stat", contents: procStat},
	{path: "self/statm", contents: procStatm},
	{path: "self/status", contents: procStatus},
	{path: "self/task/1/comm", contents: func() []byte { return []byte(command() + "\n") }},
	{path: "self/task/1/stat", contents: procStat},
	{path: "self/task/1/status", contents: procStatus},
	{path: "self/uid_map", text: "0 0 4294967295\n"},
	{path: "self/wchan", text: "0"},
	{path: "stat", contents: procSystemStat},
	{path: "swaps", text: "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"},
	{path: "sys/fs/file-max", contents: func() []byte { return []byte(strconv.Itoa(maxDescriptors) + "\n") }},
	{path: "sys/fs/file-nr", contents: procFileNumbers},
	{path: "sys/fs/inotify/max_queued_events", contents: func() []byte { return []byte(strconv.Itoa(maxEvents) + "\n") }},
	{path: "sys/fs/inotify/max_user_instances", text: "128\n"},
	{path: "sys/fs/inotify/max_user_watches", text: "65536\n"},
	{path: "sys/fs/nr_open", contents: func() []byte { return []byte(strconv.Itoa(maxDescriptors) + "\n") }},
	{path: "sys/fs/pipe-max-size", contents: func() []byte { return []byte(strconv.Itoa(pipeMax) + "\n") }},
	{path: "sys/kernel/cap_last_cap", text: "40\n"},
	{path: "sys/kernel/domainname", contents: procDomain},
	{path: "sys/kernel/hostname", contents: func() []byte { return []byte(hostname() + "\n") }},
	{path: "sys/kernel/osrelease", contents: func() []byte { return []byte(Release + "\n") }},
	{path: "sys/kernel/ostype", text: "Linux\n"},
	{path: "sys/kernel/pid_max", text: "4194304\n"},
	{path: "sys/kernel/random/boot_id", contents: bootID},
	{path: "sys/kernel/random/entropy_avail", text: "256\n"}, // as Linux says once its generator is ready
	{path: "sys/kernel/random/poolsize", text: "256\n"},
	{path: "sys/kernel/random/uuid", contents: identifier},
	{path: "sys/kernel/version", text: "#1 SMP Pith\n"},
	{path: "sys/net/core/somaxconn", contents: func() []byte { return []byte(strconv.Itoa(somaxconn) + "\n") }},
	{path: "sys/net/ipv4/ip_forward", text: "0\n"},
	{path: "sys/net/ipv4/ip_local_port_range", text: "32768\t60999\n"},
	{path: "sys/net/ipv4/ip_unprivileged_port_start", text: "0\n"},
	{path: "sys/net/ipv6/conf/all/disable_ipv6", text: "0\n"},
	{path: "sys/net/ipv6/conf/all/forwarding", text: "0\n"},
	{path: "sys/net/ipv6/conf/default/disable_ipv6", text: "0\n"},
	{path: "sys/vm/max_map_count", text: "65530\n"},
	{path: "sys/vm/overcommit_memory", text: "1\n"},
	{path: "sys/vm/swappiness", text: "0\n"},
	{path: "thread-self", target: "self"},
	{path: "uptime", contents: procUptime},
	{path: "version", contents: func() []byte { return []byte("Linux version " + Release + " (pith)\n") }},
	{path: "vmstat", contents: procVMStat},
}

// sysFiles is the files of sysfs that they read.
var sysFiles = []leaf{
	{path: "block", node: sysEmpty},
	{path: "class/block", node: sysEmpty},
	{path: "class/net", node: sysClassNet},
	{path: "devices/system/cpu", node: sysCPU},
	{path: "devices/system/node/online", text: "0\n"},
	{path: "fs/cgroup/cgroup.controllers", text: "cpu memory\n"},
	{path: "fs/cgroup/cgroup.procs", text: "1\n"},
	{path: "fs/cgroup/cpu.max", text: "max 100000\n"},
	{path: "fs/cgroup/cpu.stat", contents: cgroupCPUStat},
	{path: "fs/cgroup/memory.current", contents: cgroupMemoryCurrent},
	{path: "fs/cgroup/memory.high", text: "max\n"},
	{path: "fs/cgroup/memory.low", text: "0\n"},
	{path: "fs/cgroup/memory.max", contents: cgroupMemoryMax},
	{path: "fs/cgroup/memory.stat", contents: cgroupMemoryStat},
	{path: "fs/cgroup/memory.swap.current", text: "0\n"},
	{path: "fs/cgroup/memory.swap.max", text: "0\n"},
	{path: "kernel/mm/transparent_hugepage/enabled", text: "[always] madvise never\n"},
	{path: "kernel/mm/transparent_hugepage/hpage_pmd_size", text: "2097152\n"},
}

// branch is a directory of a table, whose leaves are ordered so that those
// below one directory follow each other. dir is "" or ends in a slash.
type branch struct {
	t     *fs.Tree
	table []leaf
	dir   string
}

// fill makes the directory's entries.
func (b branch) fill(add func(string, *fs.Node)) {
	last := ""
	for i := range b.table {
		rest, ok := strings.CutPrefix(b.table[i].path, b.dir)
		if !ok {
			continue
		}
		name, _, deeper := strings.Cut(rest, "/")
		switch {
		case !deeper:
			add(name, b.table[i].make(b.t))
		case name != last:
			last = name
			below := branch{b.t, b.table, b.dir + name + "/"}
			add(entryName(b.dir, name), b.t.NewLazy(0o555, below.fill))
		}
	}
}

// entryName is a directory's name: that of /proc/self is the process's number.
func entryName(dir, name string) string {
	if dir == "" && name == "self" {
		return strconv.Itoa(int(processID()))
	}
	return name
}

func (l *leaf) make(t *fs.Tree) *fs.Node {
	switch {
	case l.node != nil:
		return l.node(t)
	case l.target != "":
		return t.NewLink(l.target)
	case l.contents != nil:
		return t.NewFile(0o444, l.contents)
	}
	return still(t, l.text)
}

// sysEmpty is a directory in which nothing is: a program sees no block devices.
func sysEmpty(t *fs.Tree) *fs.Node { return t.NewNode(syscall.S_IFDIR|0o555, 0) }

func procSelf(t *fs.Tree) *fs.Node   { return t.NewLink(strconv.Itoa(int(processID()))) }
func procFd(t *fs.Tree) *fs.Node     { return t.NewDirectory(fdDirectory{t}) }
func procFdinfo(t *fs.Tree) *fs.Node { return t.NewDirectory(infoDirectory{fdDirectory{t}}) }

// procExe leads to the program's file as no other link does: RESOLVE_NO_MAGICLINKS
// stops at it.
func procExe(t *fs.Tree) *fs.Node {
	return t.NewJump(func() string { return executable }, func() *fs.Node {
		node, _ := tree.Lookup(tree.Root(), executable, true)
		return node
	})
}

func procCwd(t *fs.Tree) *fs.Node {
	return t.NewJump(cwdPath, func() *fs.Node { node, _ := base(cwd); return node })
}
