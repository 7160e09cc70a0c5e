package linux

import (
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"pith/kernel/fs"
)

// plant makes the files that every machine has: devices, and what Go and
// common libraries read in /etc, /proc and /sys.
func plant() {
	for _, dir := range []string{"/dev", "/etc", "/proc", "/root", "/run", "/sys", "/usr", "/usr/bin", "/var"} {
		tree.Mkdir(tree.Root(), dir, 0o755)
	}
	attached = map[string]*fs.Tree{}
	for dir, magic := range map[string]int64{"/proc": 0x9fa0, "/sys": 0x62656572} {
		t, errno := tree.Attach(dir, map[string]string{"/proc": "proc", "/sys": "sysfs"}[dir], magic)
		if errno != 0 {
			complain("cannot mount " + dir + ": " + errno.Error())
			continue
		}
		attached[dir] = t
	}
	for _, dir := range []string{"/tmp", "/var/tmp", "/dev/shm"} {
		tree.Pack(fs.Packed{Path: dir, Mode: syscall.S_IFDIR | 0o1777})
	}
	plantDevices()
	plantEtc()
	plantProc()
	plantSys()
	plantMore()
	for _, t := range attached {
		t.Fix()
	}
}

// attached is the trees of /proc and /sys.
var attached map[string]*fs.Tree

// maker returns the tree in which the nodes of a path are made.
func maker(path string) *fs.Tree {
	for dir, t := range attached {
		if strings.HasPrefix(path, dir+"/") {
			return t
		}
	}
	return tree
}

// generate puts a file of generated contents into the tree.
func generate(path string, mode uint32, contents func() []byte) {
	place(path, maker(path).NewFile(mode, contents))
}

// place puts a node into the tree, with the directories on the way. What is
// meant for /proc/self goes to the process's own directory.
func place(path string, node *fs.Node) {
	if rest, ok := strings.CutPrefix(path, "/proc/self/"); ok {
		path = "/proc/" + strconv.Itoa(int(processID())) + "/" + rest
	}
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
		generate("/sys/devices/system/cpu/"+name, 0o444, online)
	}
}
