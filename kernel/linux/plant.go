package linux

import (
	"net/netip"
	"strconv"
	"syscall"

	"pith/kernel/fs"
)

// plant makes the files that every machine has: devices, and what Go and
// common libraries read in /etc, /proc and /sys.
func plant() {
	for _, dir := range []string{"/dev", "/etc", "/proc", "/root", "/run", "/sys", "/usr", "/usr/bin", "/var"} {
		tree.Mkdir(tree.Root(), dir, 0o755)
	}
	for _, dir := range []string{"/tmp", "/var/tmp", "/dev/shm"} {
		tree.Pack(fs.Packed{Path: dir, Mode: syscall.S_IFDIR | 0o1777})
	}
	plantDevices()
	plantEtc()
	plantProc()
	plantSys()
}

// place puts a node into the tree, with the directories on the way.
func place(path string, node *fs.Node) {
	errno := tree.MakeParents(path)
	if errno == 0 {
		errno = tree.Make(tree.Root(), path, node)
	}
	if errno != 0 {
		complain("cannot make " + path + ": " + errno.Error())
	}
}

func plantDevices() {
	for rdev, name := range deviceNames {
		place("/dev/"+name, tree.NewNode(syscall.S_IFCHR|0o666, rdev))
	}
	for name, to := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		place("/dev/"+name, tree.NewLink(to))
	}
}

// plantEtc makes what Go's resolver and user lookup read. The image and the
// program may put their own in place of any of it.
func plantEtc() {
	for path, text := range map[string]string{
		"/etc/hostname":      config.Hostname + "\n",
		"/etc/hosts":         "127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.0.1 " + config.Hostname + "\n",
		"/etc/nsswitch.conf": "hosts: files dns\n",
		"/etc/passwd":        "root:x:0:0:root:/root:/\n",
		"/etc/group":         "root:x:0:\n",
	} {
		if errno := tree.Pack(fs.Packed{Path: path, Mode: 0o644, Data: []byte(text)}); errno != 0 {
			complain("cannot make " + path + ": " + errno.Error())
		}
	}
	place("/etc/resolv.conf", tree.NewFile(0o644, resolvConf))
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

func plantSys() {
	online := func() []byte {
		if config.CPUs > 1 {
			return []byte("0-" + strconv.Itoa(config.CPUs-1) + "\n")
		}
		return []byte("0\n")
	}
	for _, name := range []string{"online", "possible", "present"} {
		place("/sys/devices/system/cpu/"+name, tree.NewFile(0o444, online))
	}
}
