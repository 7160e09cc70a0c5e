package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// has reports whether a file's text matches a pattern, line by line.
func has(path, pattern string) {
	b, err := os.ReadFile(path)
	if err != nil {
		say(path, err)
		return
	}
	say(path+" "+pattern, regexp.MustCompile("(?m)"+pattern).Match(b))
}

// procs looks at what programs read in /proc, /sys and /etc.
func procs() {
	const n = `[0-9]+`
	for _, f := range [][2]string{
		{"/proc/self/stat", `^` + n + ` \(.+\) R (-?\d+ ){48}-?\d+$`}, {"/proc/self/statm", `^(` + n + ` ){6}` + n + `$`},
		{"/proc/self/status", `^VmRSS:\s+[1-9]\d* kB$`}, {"/proc/self/status", `^Threads:\s+[1-9]\d*$`}, {"/proc/self/status", `^Uid:\t0\t0\t0\t0$`},
		{"/proc/self/status", `^VmSize:\s+[1-9]`}, {"/proc/self/status", `^VmData:`}, {"/proc/self/status", `^VmSwap:`}, {"/proc/self/status", `^voluntary_ctxt_switches:\s+\d+$`},
		{"/proc/self/status", `^Cpus_allowed:\s`}, {"/proc/self/status", `^SigCgt:\s[0-9a-f]{16}$`}, {"/proc/self/status", `^CapEff:\s[0-9a-f]{16}$`}, {"/proc/self/status", `^NSpid:`},
		{"/proc/self/cmdline", `conform|program`}, {"/proc/self/environ", `^`}, {"/proc/self/comm", `^.+$`},
		{"/proc/self/limits", `^Max open files\s+\d+\s+\d+\s+files\s*$`}, {"/proc/self/limits", `^Max cpu time\s+unlimited\s+unlimited\s+seconds\s*$`}, {"/proc/self/limits", `^Max address space\s+unlimited`},
		{"/proc/self/io", `^rchar: \d+$`}, {"/proc/self/io", `^write_bytes: \d+$`}, {"/proc/self/maps", `^[0-9a-f]+-[0-9a-f]+ r`}, {"/proc/self/smaps_rollup", `^Rss:\s+\d+ kB$`},
		{"/proc/self/cgroup", `^`}, {"/proc/self/mountinfo", `^\d+ \d+ \d+:\d+ / / `}, {"/proc/self/mounts", ` / `}, {"/proc/self/oom_score_adj", `^-?\d+$`}, {"/proc/self/oom_score", `^\d+$`},
		{"/proc/self/schedstat", `^\d+ \d+ \d+$`}, {"/proc/self/wchan", `^`}, {"/proc/self/sched", `^`}, {"/proc/self/auxv", `^`}, {"/proc/self/personality", `^0+$`}, {"/proc/self/loginuid", `^\d+$`},
		{"/proc/stat", `^cpu  (\d+ ){9}\d+$`}, {"/proc/stat", `^cpu0 `}, {"/proc/stat", `^btime [1-9]\d+$`}, {"/proc/stat", `^ctxt \d+$`}, {"/proc/stat", `^intr \d+`}, {"/proc/stat", `^softirq \d+`}, {"/proc/stat", `^procs_running [1-9]`},
		{"/proc/meminfo", `^MemTotal:\s+[1-9]\d* kB$`}, {"/proc/meminfo", `^MemAvailable:\s+[1-9]`}, {"/proc/meminfo", `^Shmem:\s`}, {"/proc/meminfo", `^SwapTotal:\s`}, {"/proc/meminfo", `^HugePages_Total:\s`}, {"/proc/meminfo", `^Slab:\s`},
		{"/proc/cpuinfo", `^processor\s+: 0$`}, {"/proc/cpuinfo", `^vendor_id\s+: `}, {"/proc/cpuinfo", `^model name\s+: .`}, {"/proc/cpuinfo", `^cpu MHz\s+: \d`}, {"/proc/cpuinfo", `^flags\s+: .*\bsse2\b`}, {"/proc/cpuinfo", `^physical id\s+: 0$`}, {"/proc/cpuinfo", `^core id\s+: 0$`},
		{"/proc/loadavg", `^\d+\.\d\d \d+\.\d\d \d+\.\d\d \d+/\d+ \d+$`}, {"/proc/uptime", `^\d+\.\d\d \d+\.\d\d$`}, {"/proc/version", `^Linux version `}, {"/proc/filesystems", `tmpfs`}, {"/proc/vmstat", `^pgfault \d+$`},
		{"/proc/diskstats", `^`}, {"/proc/partitions", `^`}, {"/proc/swaps", `^Filename`}, {"/proc/modules", `^`}, {"/proc/interrupts", `CPU0`}, {"/proc/cgroups", `^#subsys_name`}, {"/proc/devices", `^Character devices:`}, {"/proc/cmdline", `^`},
		{"/proc/self/net/dev", `^\s*lo:\s*\d+`}, {"/proc/net/tcp", `local_address`}, {"/proc/net/tcp6", `local_address`}, {"/proc/net/udp", `local_address`}, {"/proc/net/udp6", `local_address`}, {"/proc/net/unix", `^Num`},
		{"/proc/net/route", `^Iface`}, {"/proc/net/snmp", `^Tcp: `}, {"/proc/net/netstat", `^TcpExt: `}, {"/proc/net/sockstat", `^sockets: used \d+$`}, {"/proc/net/sockstat6", `^TCP6: inuse`}, {"/proc/net/arp", `^IP address`}, {"/proc/net/if_inet6", `^`}, {"/proc/net/protocols", `^protocol`},
		{"/proc/sys/kernel/hostname", `^.+$`}, {"/proc/sys/kernel/osrelease", `^\d+\.\d+`}, {"/proc/sys/kernel/ostype", `^Linux$`}, {"/proc/sys/kernel/version", `^#`}, {"/proc/sys/kernel/pid_max", `^\d+$`}, {"/proc/sys/kernel/threads-max", `^\d+$`},
		{"/proc/sys/kernel/random/boot_id", `^[0-9a-f-]{36}$`}, {"/proc/sys/kernel/random/uuid", `^[0-9a-f-]{36}$`}, {"/proc/sys/kernel/random/entropy_avail", `^[1-9]\d+$`}, {"/proc/sys/kernel/cap_last_cap", `^\d+$`},
		{"/proc/sys/net/core/somaxconn", `^\d+$`}, {"/proc/sys/net/core/rmem_max", `^\d+$`}, {"/proc/sys/net/core/wmem_max", `^\d+$`}, {"/proc/sys/net/ipv4/ip_local_port_range", `^\d+\s\d+$`}, {"/proc/sys/net/ipv4/tcp_rmem", `^\d+\s\d+\s\d+$`}, {"/proc/sys/net/ipv6/conf/all/disable_ipv6", `^\d$`}, {"/proc/sys/net/ipv4/ip_forward", `^\d$`},
		{"/proc/sys/fs/file-max", `^\d+$`}, {"/proc/sys/fs/nr_open", `^\d+$`}, {"/proc/sys/fs/file-nr", `^\d+\s\d+\s\d+$`}, {"/proc/sys/fs/pipe-max-size", `^\d+$`}, {"/proc/sys/fs/inotify/max_user_watches", `^\d+$`}, {"/proc/sys/fs/inotify/max_user_instances", `^\d+$`},
		{"/proc/sys/vm/overcommit_memory", `^\d$`}, {"/proc/sys/vm/max_map_count", `^\d+$`}, {"/proc/sys/vm/swappiness", `^\d+$`}, {"/proc/pressure/cpu", `^some avg10=`},
		{"/sys/devices/system/cpu/online", `^0`}, {"/sys/devices/system/cpu/possible", `^0`}, {"/sys/devices/system/node/online", `^0`}, {"/sys/kernel/mm/transparent_hugepage/enabled", `\[`}, {"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", `^2097152$`},
		{"/sys/class/net/lo/address", `^00:00:00:00:00:00$`}, {"/sys/class/net/lo/mtu", `^65536$`}, {"/sys/class/net/lo/ifindex", `^1$`}, {"/sys/class/net/lo/operstate", `^unknown$`}, {"/sys/class/net/lo/statistics/rx_bytes", `^\d+$`}, {"/sys/class/net/lo/flags", `^0x9$`},
		{"/etc/hosts", `localhost`}, {"/etc/resolv.conf", `^`}, {"/etc/passwd", `^root:`}, {"/etc/group", `^root:`}, {"/etc/services", `^https\s+443/tcp`}, {"/etc/protocols", `^tcp\s+6`}, {"/etc/os-release", `^ID=`}, {"/etc/hostname", `^`}, {"/etc/nsswitch.conf", `^hosts:`}, {"/etc/mime.types", `^text/html\s`},
	} {
		has(f[0], f[1])
	}
	to, err := os.Readlink("/proc/self")
	say("self", to == fmt.Sprint(os.Getpid()), err)
	_, err = os.Stat(fmt.Sprintf("/proc/%d/stat", os.Getpid()))
	say("by number", err)
	_, err = os.Stat("/proc/4194299")
	say("nobody", err)
	cwd, err := os.Readlink("/proc/self/cwd")
	wd, _ := os.Getwd()
	say("cwd", cwd == wd, err)
	root, err := os.Readlink("/proc/self/root")
	say("root", root, err)
	tasks, err := os.ReadDir("/proc/self/task")
	say("tasks", len(tasks) > 0, err)
	if len(tasks) > 0 {
		has("/proc/self/task/"+tasks[0].Name()+"/stat", `^\d+ \(`)
		has("/proc/self/task/"+tasks[0].Name()+"/comm", `^.+$`)
	}
	fds, err := os.ReadDir("/proc/self/fd")
	say("fds", len(fds) >= 3, err)
	has("/proc/self/fdinfo/1", `^pos:\s+\d+$`)
	has("/proc/self/fdinfo/1", `^mnt_id:\s+\d+$`)
	ns, err := os.Readlink("/proc/self/ns/net")
	say("namespace", strings.HasPrefix(ns, "net:["), err)
	say("write", os.WriteFile("/proc/self/cmdline", []byte("x"), 0o644) != nil, os.WriteFile("/proc/self/oom_score_adj", []byte("0"), 0o644), os.WriteFile("/proc/self/comm", []byte("abc"), 0o644), os.Mkdir("/proc/x", 0o755), os.Remove("/proc/uptime") != nil)
	var s unix.Statfs_t
	unix.Statfs("/sys", &s)
	say("sysfs", fmt.Sprintf("%#x", s.Type))
	_, err = os.Stat("/proc/1")
	say("init", err)
	cpus, err := os.ReadDir("/sys/devices/system/cpu")
	say("cpus", len(cpus) > 0, err)
	has("/sys/devices/system/cpu/cpu0/topology/physical_package_id", `^0$`)
	nets, err := os.ReadDir("/sys/class/net")
	say("nets", len(nets) > 0, err)
	blocks, err := os.ReadDir("/sys/block")
	_ = blocks
	say("blocks", err)
	d, err := unix.Open("/proc/self/stat", unix.O_RDONLY, 0)
	b := make([]byte, 3)
	a, _ := unix.Pread(d, b, 0)
	off, err2 := unix.Seek(d, 1, 0)
	say("proc file", err, a, off, err2)
	var st unix.Stat_t
	unix.Fstat(d, &st)
	say("proc file size", st.Size, fmt.Sprintf("%o", st.Mode))
}
