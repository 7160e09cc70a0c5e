package linux

import (
	"strconv"

	"pith/kernel/fs"
)

// sysCPU is /sys/devices/system/cpu: the processors are cores of one package, all of
// them in use.
func sysCPU(t *fs.Tree) *fs.Node {
	return t.NewLazy(0o555, func(add func(string, *fs.Node)) {
		for _, name := range []string{"online", "possible", "present"} {
			add(name, t.NewFile(0o444, sysCPUs))
		}
		for _, name := range []string{"isolated", "offline"} {
			add(name, still(t, "\n"))
		}
		for n := range max(config.CPUs, 1) {
			add("cpu"+strconv.Itoa(n), sysOneCPU(t, n))
		}
	})
}

// sysOneCPU is one processor's directory. The first can't be switched off on Linux
// either, so it has no file that says that it is on.
func sysOneCPU(t *fs.Tree, n int) *fs.Node {
	return t.NewLazy(0o555, func(add func(string, *fs.Node)) {
		if n > 0 {
			add("online", still(t, "1\n"))
		}
		add("topology", t.NewLazy(0o555, func(add func(string, *fs.Node)) {
			number := strconv.Itoa(n) + "\n"
			add("core_cpus_list", still(t, number))
			add("core_id", still(t, number))
			add("core_siblings_list", t.NewFile(0o444, sysCPUs))
			add("die_id", still(t, "0\n"))
			add("package_cpus_list", t.NewFile(0o444, sysCPUs))
			add("physical_package_id", still(t, "0\n"))
			add("thread_siblings_list", still(t, number))
		}))
	})
}

// still makes a file that never changes.
func still(t *fs.Tree, text string) *fs.Node {
	return t.NewFile(0o444, func() []byte { return []byte(text) })
}

// sysCPUs lists the processors, as the files of /sys/devices/system/cpu do.
func sysCPUs() []byte {
	if config.CPUs > 1 {
		return []byte("0-" + strconv.Itoa(config.CPUs-1) + "\n")
	}
	return []byte("0\n")
}
