package linux

import "strconv"

// A machine is to its program what a container is: /sys/fs/cgroup tells of it in the
// form of control groups, version 2, as seen from within a container. Its memory
// is all that the program can get, and its CPUs are all its own.

func cgroupMemoryMax() []byte {
	total, _ := config.Memory()
	return []byte(strconv.FormatUint(total, 10) + "\n")
}

func cgroupMemoryCurrent() []byte { return []byte(strconv.FormatUint(used(), 10) + "\n") }

// cgroupMemoryStat is memory.stat: files in memory are the tree's.
func cgroupMemoryStat() []byte {
	var p prose
	_, files := tree.Usage()
	p.add("anon ").number(used() - min(uint64(files), used())).add("\nfile ").number(uint64(files))
	p.add("\nshmem ").number(uint64(files)).add("\ninactive_file 0\nactive_file 0\n")
	return p
}

// cgroupCPUStat is cpu.stat, in microseconds.
func cgroupCPUStat() []byte {
	var p prose
	user, system := cpuTime()
	p.add("usage_usec ").number(uint64((user + system).Microseconds())).add("\nuser_usec ").number(uint64(user.Microseconds()))
	p.add("\nsystem_usec ").number(uint64(system.Microseconds())).add("\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n")
	return p
}
