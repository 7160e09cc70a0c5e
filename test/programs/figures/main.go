// Command figures asks two well-known libraries, gopsutil and prometheus/procfs, for
// what they read in /proc, /sys and /etc, and compares it with what the program
// knows from elsewhere. It prints a line for each question.
package main

import (
	"fmt"
	stdnet "net"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"github.com/prometheus/procfs/sysfs"
	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"
)

// failures is how many answers were wrong.
var failures int

// check prints a verdict; about says what was answered.
func check(what string, right bool, err error, about ...any) {
	if err == nil && right {
		fmt.Println("ok", what)
		return
	}
	failures++
	fmt.Println("FAIL", what, err, fmt.Sprintf("%+v", about))
}

func main() {
	listener, err := stdnet.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println("FAIL", err)
		os.Exit(1)
	}
	port := listener.Addr().(*stdnet.TCPAddr).Port
	conn, err := stdnet.Dial("tcp", listener.Addr().String())
	if err != nil {
		fmt.Println("FAIL", err)
		os.Exit(1)
	}
	accepted, err := listener.Accept()
	check("a connection", err == nil, err)
	machine()
	network(port)
	self(port)
	prometheus(port)
	conn.Close()
	accepted.Close()
	fmt.Println(failures, "wrong answers")
}

// machine is the memory, the processors and the host.
func machine() {
	v, err := mem.VirtualMemory()
	check("memory", v != nil && v.Total > 64<<20 && v.Used > 0 && v.Used < v.Total && v.Available < v.Total, err, v)
	swap, err := mem.SwapMemory()
	check("no swap", swap != nil && swap.Total == 0, err, swap)
	logical, err := cpu.Counts(true)
	check("processors", logical == runtime.NumCPU(), err, logical)
	cores, err := cpu.Counts(false)
	check("cores", cores == runtime.NumCPU(), err, cores)
	info, err := cpu.Info()
	check("processor", len(info) == runtime.NumCPU() && info[0].VendorID != "" && info[0].Mhz > 100 && slices.Contains(info[0].Flags, "sse2"), err, info)
	before, err := cpu.Times(false)
	for begin := time.Now(); time.Since(begin) < 200*time.Millisecond; {
	}
	after, err2 := cpu.Times(false)
	check("processor time", err == nil && after[0].User+after[0].System > before[0].User+before[0].System, err2, before, after)
	each, err := cpu.Times(true)
	check("time of each", len(each) == runtime.NumCPU(), err, each)
	averages, err := load.Avg()
	check("load", averages != nil, err)
	h, err := host.Info()
	name, _ := os.Hostname()
	check("host", h != nil && h.OS == "linux" && h.Hostname == name && h.Platform == "pith" && h.KernelArch == "x86_64" && h.BootTime > 1<<30 && h.Procs == 1, err, h)
	parts, err := disk.Partitions(true)
	check("mounts", slices.ContainsFunc(parts, func(p disk.PartitionStat) bool { return p.Mountpoint == "/" && p.Fstype == "tmpfs" }), err, parts)
	usage, err := disk.Usage("/")
	check("usage", usage != nil && usage.Total > 1<<20 && usage.Used <= usage.Total, err, usage)
}

func network(port int) {
	want, _ := stdnet.Interfaces()
	list, err := net.Interfaces()
	same := len(list) == len(want)
	for i := range list {
		same = same && list[i].Name == want[i].Name && list[i].MTU == want[i].MTU && list[i].HardwareAddr == want[i].HardwareAddr.String()
	}
	check("interfaces", same, err, list, want)
	counters, err := net.IOCounters(true)
	check("counters", len(counters) == len(want) && slices.ContainsFunc(counters, func(c net.IOCountersStat) bool { return c.Name == "eth0" && c.PacketsSent > 0 && c.BytesSent > 40 }), err, counters)
	connections, err := net.Connections("tcp")
	states := map[string]int{}
	for _, c := range connections {
		if int(c.Laddr.Port) == port || int(c.Raddr.Port) == port {
			states[c.Status]++
		}
	}
	check("connections", states["LISTEN"] == 1 && states["ESTABLISHED"] == 2, err, connections)
	protocols, err := net.ProtoCounters([]string{"tcp", "udp"})
	check("protocols", len(protocols) > 0, err, protocols)
}

// self is the program itself.
func self(port int) {
	p, err := process.NewProcess(int32(os.Getpid()))
	if err != nil {
		check("process", false, err)
		return
	}
	name, err := p.Name()
	check("name", name != "", err, name)
	line, err := p.CmdlineSlice()
	check("command line", slices.Equal(line, os.Args), err, line, os.Args)
	dir, _ := os.Getwd()
	cwd, err := p.Cwd()
	check("directory", cwd == dir, err, cwd, dir)
	memory, err := p.MemoryInfo()
	check("its memory", memory != nil && memory.RSS > 1<<20 && memory.VMS >= memory.RSS, err, memory)
	created, err := p.CreateTime()
	check("its start", time.Since(time.UnixMilli(created)).Abs() < time.Hour, err, created)
	f, _ := os.CreateTemp("", "open")
	defer f.Close()
	files, err := p.OpenFiles()
	check("its files", slices.ContainsFunc(files, func(o process.OpenFilesStat) bool { return o.Path == f.Name() }), err, files)
	n, err := p.NumFDs()
	check("its descriptors", n >= 6, err, n)
	connections, err := p.Connections()
	check("its connections", slices.ContainsFunc(connections, func(c net.ConnectionStat) bool { return int(c.Laddr.Port) == port && c.Status == "LISTEN" }), err, connections)
	times, err := p.Times()
	check("its time", times != nil && times.User+times.System > 0, err, times)
	threads, err := p.NumThreads()
	check("its threads", threads > 0, err, threads)
	environment, err := p.Environ()
	check("its environment", len(environment) >= len(os.Environ()), err, environment)
	pids, err := process.Pids()
	check("the only process", len(pids) == 1 && pids[0] == int32(os.Getpid()), err, pids)
	ids, err := p.Uids()
	check("its user", len(ids) > 0 && ids[0] == 0, err, ids)
}

// prometheus is what node_exporter and the collectors of client_golang ask for.
func prometheus(port int) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		check("procfs", false, err)
		return
	}
	p, err := fs.Self()
	check("procfs self", p.PID == os.Getpid(), err, p)
	stat, err := p.Stat()
	check("procfs stat", stat.PID == os.Getpid() && stat.ResidentMemory() > 1<<20 && stat.NumThreads > 0, err, stat)
	status, err := p.NewStatus()
	check("procfs status", status.TGID == os.Getpid() && status.VmRSS > 1<<20 && len(status.CpusAllowedList) == runtime.NumCPU(), err, status)
	limits, err := p.Limits()
	check("procfs limits", limits.OpenFiles > 1000, err, limits)
	fds, err := p.FileDescriptorsLen()
	check("procfs descriptors", fds >= 3, err, fds)
	groups, err := p.Cgroups()
	check("procfs cgroups", len(groups) == 1 && groups[0].Path == "/", err, groups)
	mounts, err := p.MountInfo()
	check("procfs mounts", slices.ContainsFunc(mounts, func(m *procfs.MountInfo) bool { return m.MountPoint == "/proc" && m.FSType == "proc" }), err)
	environment, err := p.Environ()
	check("procfs environment", slices.Equal(environment, []string{"FIGURE=1"}) && os.Getenv("FIGURE") == "1", err, environment)
	_, err = p.Netstat()
	check("procfs netstat", true, err)
	_, err = p.Snmp()
	check("procfs snmp", true, err)
	rollup, err := p.ProcSMapsRollup()
	check("procfs rollup", rollup.Rss > 1<<20, err, rollup)
	m, err := fs.Meminfo()
	check("procfs memory", m.MemTotal != nil && *m.MemTotal > 64<<10 && *m.MemAvailable < *m.MemTotal, err)
	c, err := fs.CPUInfo()
	check("procfs processors", len(c) == runtime.NumCPU() && c[0].CPUMHz > 100, err, c)
	s, err := fs.Stat()
	check("procfs system", len(s.CPU) == runtime.NumCPU() && s.BootTime > 1<<30, err, s)
	dev, err := fs.NetDev()
	check("procfs devices", dev["eth0"].TxPackets > 0, err, dev)
	tcp, err := fs.NetTCP()
	listening := false
	for _, l := range tcp {
		listening = listening || l.LocalPort == uint64(port) && l.St == 10 && l.LocalAddr.IsLoopback()
	}
	check("procfs tcp", listening, err, tcp)
	_, err = fs.NetTCP6()
	check("procfs tcp6", true, err)
	_, err = fs.NetUDP()
	check("procfs udp", true, err)
	unix, err := fs.NetUNIX()
	check("procfs unix", unix != nil, err)
	sockets, err := fs.NetSockstat()
	check("procfs sockets", sockets != nil && *sockets.Used >= 3, err, sockets)
	_, err = fs.NetSockstat6()
	check("procfs sockets6", true, err)
	_, err = fs.NetRoute()
	check("procfs routes", true, err)
	_, err = fs.LoadAvg()
	check("procfs load", true, err)
	_, err = fs.Swaps()
	check("procfs swaps", true, err)
	sys, err := sysfs.NewDefaultFS()
	if err != nil {
		check("sysfs", false, err)
		return
	}
	classes, err := sys.NetClassDevices()
	check("sysfs interfaces", slices.Contains(classes, "eth0") && slices.Contains(classes, "lo"), err, classes)
	class, err := sys.NetClassByIface("eth0")
	want, _ := stdnet.InterfaceByName("eth0")
	check("sysfs interface", class != nil && want != nil && class.Address == want.HardwareAddr.String() && *class.MTU == int64(want.MTU) && class.OperState == "up" && *class.IfIndex == int64(want.Index), err, class)
	cpus, err := sys.CPUs()
	check("sysfs processors", len(cpus) == runtime.NumCPU(), err, cpus)
	if len(cpus) > 0 {
		topology, err := cpus[0].Topology()
		check("sysfs topology", topology != nil && topology.CoreID == "0", err, topology)
	}
	release, err := os.ReadFile("/etc/os-release")
	check("release", strings.Contains(string(release), "ID=pith"), err)
}
