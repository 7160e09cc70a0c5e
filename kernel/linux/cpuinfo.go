package linux

import (
	"strconv"
	"strings"
)

// procCPUInfo is /proc/cpuinfo.
func procCPUInfo() []byte {
	var p prose
	id := identify()
	count := uint64(max(config.CPUs, 1))
	for i := range count {
		p.add("processor\t: ").number(i)
		p.add("\nvendor_id\t: " + id.vendor).add("\ncpu family\t: ").number(id.family).add("\nmodel\t\t: ").number(id.model)
		p.add("\nmodel name\t: " + id.name).add("\nstepping\t: ").number(id.stepping)
		if config.Frequency != nil {
			mhz := config.Frequency() / 1000 // in thousandths
			p.add("\ncpu MHz\t\t: ").number(mhz / 1000).add(".").add(strconv.FormatUint(1000+mhz%1000, 10)[1:])
		}
		p.add("\nphysical id\t: 0\nsiblings\t: ").number(count).add("\ncore id\t\t: ").number(i).add("\ncpu cores\t: ").number(count)
		p.add("\napicid\t\t: ").number(i).add("\nflags\t\t:" + id.flags + "\n\n")
	}
	return p
}

// processor is what a processor says of itself.
type processor struct {
	vendor, name, flags     string
	family, model, stepping uint64
}

// Names of the features in CPUID's leaves (SDM 2, tables 3-10, 3-11 and 3-8), by
// bit.
var (
	features1D = [32]string{0: "fpu", 3: "pse", 4: "tsc", 5: "msr", 6: "pae", 8: "cx8", 9: "apic", 13: "pge", 15: "cmov", 19: "clflush", 23: "mmx", 24: "fxsr", 25: "sse", 26: "sse2", 28: "ht"}
	features1C = [32]string{0: "pni", 1: "pclmulqdq", 9: "ssse3", 12: "fma", 13: "cx16", 19: "sse4_1", 20: "sse4_2", 21: "x2apic", 22: "movbe", 23: "popcnt", 25: "aes", 26: "xsave", 28: "avx", 29: "f16c", 30: "rdrand", 31: "hypervisor"}
	features7B = [32]string{0: "fsgsbase", 3: "bmi1", 5: "avx2", 8: "bmi2", 9: "erms", 16: "avx512f", 18: "rdseed", 19: "adx", 29: "sha_ni"}
	featuresXD = [32]string{11: "syscall", 20: "nx", 26: "pdpe1gb", 27: "rdtscp", 29: "lm"}
)

// identify asks the processor; what it can't be asked is "unknown".
func identify() processor {
	id := processor{vendor: "unknown", name: machineName}
	if config.CPUID == nil {
		return id
	}
	most, b, c, d := config.CPUID(0, 0)
	id.vendor = letters(b, d, c)
	a, _, c, d := config.CPUID(1, 0)
	id.stepping = uint64(a & 15)
	id.family, id.model = uint64(a>>8&15), uint64(a>>4&15)
	if id.family == 15 {
		id.family += uint64(a >> 20 & 0xff)
	}
	if id.family == 6 || id.family >= 15 {
		id.model |= uint64(a >> 16 & 15 << 4)
	}
	id.flags = named32(d, &features1D) + named32(c, &features1C)
	if most >= 7 {
		_, b, _, _ := config.CPUID(7, 0)
		id.flags += named32(b, &features7B)
	}
	const extended, brand = 0x80000000, 0x80000002
	last, _, _, _ := config.CPUID(extended, 0)
	if last > extended {
		_, _, _, d := config.CPUID(extended+1, 0)
		id.flags += named32(d, &featuresXD)
	}
	if last >= brand+2 {
		name := ""
		for leaf := uint32(brand); leaf <= brand+2; leaf++ {
			a, b, c, d := config.CPUID(leaf, 0)
			name += letters(a, b, c, d)
		}
		id.name = strings.TrimSpace(strings.TrimRight(name, "\x00"))
	}
	return id
}

// named32 names the bits that are set, each after a space.
func named32(bits uint32, names *[32]string) (list string) {
	for i, name := range names {
		if bits>>i&1 != 0 && name != "" {
			list += " " + name
		}
	}
	return list
}

// letters is the text that registers hold.
func letters(registers ...uint32) string {
	var p []byte
	for _, r := range registers {
		p = append(p, byte(r), byte(r>>8), byte(r>>16), byte(r>>24))
	}
	return string(p)
}
