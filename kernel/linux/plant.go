package linux

import (
	"net/netip"
	"syscall"

	"pith/kernel/fs"
)

// plant makes the files that every machine has: devices, and what Go and
// common libraries read in /etc, /proc and /sys. Most are made only when the
// program looks for them.
func plant() {
	for _, d := range []struct {
		path string
		mode uint32
		fill func(add func(string, *fs.Node))
	}{
		{"/dev", 0o755, plantDevices},
		{"/etc", 0o755, plantEtc},
		{"/proc", 0o755, nil},
		{"/root", 0o755, nil},
		{"/run", 0o755, nil},
		{"/sys", 0o755, nil},
		{"/tmp", scratch, nil},
		{"/usr", 0o755, plantUsr},
		{"/var", 0o755, plantVar},
	} {
		node := tree.NewNode(syscall.S_IFDIR|d.mode, 0)
		if d.fill != nil {
			node = tree.NewLazy(d.mode, d.fill)
		}
		place(d.path, node)
	}
	attach("/proc", "proc", 0x9fa0, procFiles)
	attach("/sys", "sysfs", 0x62656572, sysFiles)
	if config.Executable != nil {
		place(executable, tree.NewScattered(0o755, config.Executable))
	}
}

// scratch is the mode of a directory in which everybody makes files.
const scratch = 0o1777

// attach mounts a table of leaves; magic is what statfs(2) says.
func attach(path, kind string, magic int64, table []leaf) {
	t, errno := tree.Attach(path, kind, magic)
	if errno != 0 {
		complain("cannot mount " + path + ": " + errno.Error())
		return
	}
	t.Fill(branch{t, table, ""}.fill)
}

// place puts a node into the tree.
func place(path string, node *fs.Node) {
	if errno := tree.Make(tree.Root(), path, node); errno != 0 {
		complain("cannot make " + path + ": " + errno.Error())
	}
}

func plantDevices(add func(string, *fs.Node)) {
	for _, d := range devices {
		add(d.name, tree.NewNode(syscall.S_IFCHR|0o666, d.number))
	}
	add("fd", tree.NewLink("/proc/self/fd"))
	add("stdin", tree.NewLink("/proc/self/fd/0"))
	add("stdout", tree.NewLink("/proc/self/fd/1"))
	add("stderr", tree.NewLink("/proc/self/fd/2"))
	add("shm", tree.NewNode(syscall.S_IFDIR|scratch, 0))
}

func plantUsr(add func(string, *fs.Node)) { add("bin", tree.NewNode(syscall.S_IFDIR|0o755, 0)) }
func plantVar(add func(string, *fs.Node)) { add("tmp", tree.NewNode(syscall.S_IFDIR|scratch, 0)) }

// plantEtc makes what Go's resolver and user lookup read. The image and the
// program may put their own in place of any of it.
func plantEtc(add func(string, *fs.Node)) {
	for _, f := range []struct{ name, text string }{
		{"hostname", config.Hostname + "\n"},
		{"hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.0.1 " + config.Hostname + "\n"},
		{"nsswitch.conf", "hosts: files dns\n"},
		{"passwd", "root:x:0:0:root:/root:/\n"},
		{"group", "root:x:0:\n"},
		{"mime.types", mimeTypes},
		{"os-release", osRelease},
		{"protocols", protocols},
		{"services", services},
	} {
		add(f.name, tree.NewPacked(0o644, []byte(f.text)))
	}
	add("resolv.conf", tree.NewFile(0o644, resolvConf))
}

// resolvConf lists the name servers that configuration, DHCP or routers have
// told of so far.
func resolvConf() (text []byte) {
	var servers []netip.Addr
	if s := stack(); s != nil {
		servers = s.Nameservers()
	}
	for _, a := range servers {
		text = append(append(append(text, "nameserver "...), a.String()...), '\n')
	}
	return text
}
