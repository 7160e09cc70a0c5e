package linux

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"pith/kernel/fs"
)

// prose builds the contents of a generated file.
type prose []byte

func (p *prose) add(s string) *prose { *p = append(*p, s...); return p }

func (p *prose) number(n uint64) *prose { *p = strconv.AppendUint(*p, n, 10); return p }

// field adds a line of the form "name: value unit".
func (p *prose) field(name string, n uint64, unit string) *prose {
	return p.add(name).add(":\t").number(n).add(unit).add("\n")
}

// executable is where the program is said to be.
const executable = "/program"

// somaxconn is the longest queue of connections to be accepted.
const somaxconn = 4096

// joined puts strings one behind the other, each with a NUL.
func joined(list []string) (text []byte) {
	for _, s := range list {
		text = append(append(text, s...), 0)
	}
	return text
}

// command is the program's name, without directories, of at most 15 bytes.
func command() string {
	traits.mu.Lock()
	set := traits.name
	traits.mu.Unlock()
	if set != "" {
		return set
	}
	name := "program"
	if len(config.Args) > 0 {
		name = config.Args[0]
	}
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			name = name[i+1:]
			break
		}
	}
	return name[:min(len(name), 15)]
}

func cwdPath() string {
	node, _ := base(cwd)
	return pathOf(node)
}

// pathOf returns a directory's path. The tree must not be locked.
func pathOf(dir *fs.Node) string {
	path, errno := tree.Path(dir)
	if errno != 0 {
		return "/ (deleted)"
	}
	return path
}

// used returns how much of the machine's memory is in use, in bytes.
func used() uint64 {
	total, free := config.Memory()
	return total - min(free, total)
}

func procStatus() []byte {
	var p prose
	pid := uint64(processID())
	kb := used() / 1024
	p.add("Name:\t" + command() + "\nUmask:\t0")
	p = strconv.AppendUint(p, uint64(process.umask.Load()), 8)
	p.add("\nState:\tR (running)\n")
	p.field("Tgid", pid, "").field("Ngid", 0, "").field("Pid", pid, "").field("PPid", 0, "").field("TracerPid", 0, "")
	p.add("Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t256\nGroups:\t0 \n")
	p.field("NStgid", pid, "").field("NSpid", pid, "").field("NSpgid", pid, "").field("NSsid", pid, "")
	p.field("VmPeak", kb, " kB").field("VmSize", kb, " kB").field("VmLck", 0, " kB").field("VmPin", 0, " kB")
	p.field("VmHWM", kb, " kB").field("VmRSS", kb, " kB").field("VmData", kb, " kB").field("VmSwap", 0, " kB")
	p.field("Threads", uint64(max(config.CPUs, 1)), "")
	p.add("SigQ:\t0/0\nCapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapEff:\t000001ffffffffff\n")
	p.add("CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t").number(uint64(traits.noNewPrivs.Load()))
	p.add("\nSeccomp:\t0\nCpus_allowed:\t")
	p = strconv.AppendUint(p, ^uint64(0)>>(64-max(config.CPUs, 1)), 16)
	p.add("\nCpus_allowed_list:\t").add(string(sysCPUs())).add("Mems_allowed:\t1\nMems_allowed_list:\t0\n")
	return p
}

// procStat is /proc/self/stat: 52 fields, of which those are filled in that
// are known here (proc(5) counts from 1).
func procStat() []byte {
	var p prose
	user, system := cpuTime()
	pid := uint64(processID())
	bytes := used()
	p.number(pid).add(" (" + command() + ") R 0 ").number(pid).add(" ").number(pid).add(" 0 -1 4194304 0 0 0 0 ")
	p.number(inTicks(user)).add(" ").number(inTicks(system)).add(" 0 0 20 0 ")
	p.number(uint64(max(config.CPUs, 1))).add(" 0 0 ").number(bytes).add(" ").number(bytes / pageSize)
	for range 28 { // fields 25 to 52
		p.add(" 0")
	}
	p.add("\n")
	return p
}

func inTicks(d time.Duration) uint64 { return uint64(d / (time.Second / ticks)) }

func procStatm() []byte {
	var p prose
	pages := used() / pageSize
	p.number(pages).add(" ").number(pages).add(" 0 0 0 ").number(pages).add(" 0\n")
	return p
}

// procMaps names nothing but the heap, roughly: a machine has no list of
// mappings to tell of.
func procMaps() []byte { return []byte("00400000-7fffffffffff rw-p 00000000 00:00 0\n") }

// unlimitedLimits is the lines of /proc/self/limits for what has no limit.
var unlimitedLimits = []string{
	"Max cpu time              unlimited            unlimited            seconds   \n",
	"Max file size             unlimited            unlimited            bytes     \n",
	"Max data size             unlimited            unlimited            bytes     \n",
	"Max resident set          unlimited            unlimited            bytes     \n",
	"Max locked memory         unlimited            unlimited            bytes     \n",
	"Max address space         unlimited            unlimited            bytes     \n",
	"Max file locks            unlimited            unlimited            locks     \n",
}

func procLimits() []byte {
	var p prose
	p.add("Limit                     Soft Limit           Hard Limit           Units     \n")
	for _, l := range unlimitedLimits {
		p.add(l)
	}
	p.add("Max open files            ").number(uint64(limits.descriptors.Load())).add("               ")
	p.number(maxDescriptors).add("               files     \n")
	return p
}

func procMeminfo() []byte {
	var p prose
	total, free := config.Memory()
	_, inFiles := tree.Usage()
	files := uint64(inFiles) / 1024
	for _, l := range []struct {
		name string
		kb   uint64
	}{
		{"MemTotal", total / 1024}, {"MemFree", free / 1024}, {"MemAvailable", free / 1024},
		{"Buffers", 0}, {"Cached", files}, {"SwapCached", 0}, {"SwapTotal", 0}, {"SwapFree", 0}, {"Dirty", 0}, {"Writeback", 0},
		{"Shmem", files}, {"Slab", 0}, {"SReclaimable", 0}, {"SUnreclaim", 0},
		{"HugePages_Total", 0}, {"HugePages_Free", 0}, {"Hugepagesize", 2048},
	} {
		p.add(l.name).add(":        ").number(l.kb)
		if !strings.HasPrefix(l.name, "HugePages_") {
			p.add(" kB")
		}
		p.add("\n")
	}
	return p
}

// procSmapsRollup is /proc/self/smaps_rollup: all memory is private and in use.
func procSmapsRollup() []byte {
	var p prose
	kb := used() / 1024
	p.add("00400000-7fffffffffff ---p 00000000 00:00 0 [rollup]\n")
	for _, name := range []string{"Rss", "Pss", "Pss_Dirty", "Private_Dirty", "Referenced", "Anonymous"} {
		p.add(name).add(":            ").number(kb).add(" kB\n")
	}
	for _, name := range []string{"Shared_Clean", "Shared_Dirty", "Private_Clean", "Swap", "SwapPss", "Locked"} {
		p.add(name).add(":            0 kB\n")
	}
	return p
}

// procVMStat is what of /proc/vmstat is known: memory is never paged out.
func procVMStat() []byte {
	var p prose
	_, free := config.Memory()
	_, files := tree.Usage()
	p.add("nr_free_pages ").number(free / pageSize).add("\nnr_shmem ").number(uint64(files) / pageSize)
	p.add("\npswpin 0\npswpout 0\noom_kill 0\n")
	return p
}

func procDomain() []byte {
	process.mu.RLock()
	defer process.mu.RUnlock()
	if process.domain == "" {
		return []byte("(none)\n")
	}
	return []byte(process.domain + "\n")
}

// procSystemStat is /proc/stat: all CPU time that was used is the program's. Nobody
// notes on which processor, so each is said to have had its share.
func procSystemStat() []byte {
	var p prose
	user, system := cpuTime()
	cpus := uint64(max(config.CPUs, 1))
	all := inTicks(time.Since(booted)) * cpus
	p.add("cpu ").spent(inTicks(user), inTicks(system), all)
	for i := range cpus {
		p.add("cpu").number(i).spent(inTicks(user)/cpus, inTicks(system)/cpus, all/cpus)
	}
	p.add("btime ").number(uint64(booted.Unix())).add("\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n")
	return p
}

// spent adds the columns of /proc/stat, in ticks; what is left of all was idle.
func (p *prose) spent(user, system, all uint64) {
	p.add(" ").number(user).add(" 0 ").number(system).add(" ")
	p.number(all - min(user+system, all)).add(" 0 0 0 0 0 0\n")
}

func procUptime() []byte {
	var p prose
	centi := uint64(time.Since(booted) / (10 * time.Millisecond))
	p.number(centi / 100).add(".").add(string([]byte{'0' + byte(centi/10%10), '0' + byte(centi%10)})).add(" 0.00\n")
	return p
}

// identifier formats 16 random bytes as a UUID of version 4 (RFC 9562).
func identifier() []byte {
	var raw [16]byte
	config.Random(raw[:])
	raw[6] = raw[6]&0x0f | 0x40
	raw[8] = raw[8]&0x3f | 0x80
	var p prose
	for i, b := range raw {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			p.add("-")
		}
		p.hex(b)
	}
	return *p.add("\n")
}

// boot is the machine's boot_id, made when it is first asked for: until then,
// nobody has waited for the entropy source.
var boot struct {
	once sync.Once
	id   []byte
}

func bootID() []byte {
	boot.once.Do(func() { boot.id = identifier() })
	return boot.id
}
