package linux

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

func readAll(t testing.TB, path string) string {
	t.Helper()
	fd, errno := openFile(t, path, syscall.O_RDONLY, 0)
	ok(t, fd, errno)
	defer closeFD(t, fd)
	var all []byte
	p := make([]byte, 700)
	for {
		n, err := Read(int(fd), p)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if n == 0 {
			return string(all)
		}
		all = append(all, p[:n]...)
	}
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	fd, errno := openFile(t, path, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC, 0o644)
	ok(t, fd, errno)
	defer closeFD(t, fd)
	if n, err := Write(int(fd), []byte(text)); err != nil || n != len(text) {
		t.Fatalf("write %s: %d %v", path, n, err)
	}
}

func statOf(t testing.TB, path string) (st syscall.Stat_t) {
	t.Helper()
	_, _, errno := entry(syscall.SYS_NEWFSTATAT, cwd, pointer(path), uintptr(unsafe.Pointer(&st)), 0, 0, 0)
	want(t, errno, 0)
	return st
}

func TestPackedFile(t *testing.T) {
	if got := readAll(t, "/data/packed.txt"); got != packedText {
		t.Fatalf("%q", got)
	}
	fd, errno := openFile(t, "/data/packed.txt", syscall.O_RDWR, 0)
	ok(t, fd, errno)
	defer closeFD(t, fd)
	if _, err := Pwrite(int(fd), []byte("PACKED"), 0); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, "/data/packed.txt"); got != "PACKED"+packedText[6:] {
		t.Fatalf("%q", got)
	}
}

func TestFileSequence(t *testing.T) {
	_, errno := do(syscall.SYS_MKDIR, pointer("/tmp/seq"), 0o777, 0)
	want(t, errno, 0)
	if mode := statOf(t, "/tmp/seq").Mode; mode != syscall.S_IFDIR|0o755 {
		t.Errorf("umask is not applied: %o", mode)
	}
	writeFile(t, "/tmp/seq/a", "0123456789")
	fd, errno := openFile(t, "/tmp/seq/a", syscall.O_RDWR|syscall.O_APPEND, 0)
	ok(t, fd, errno)
	Write(int(fd), []byte("abc"))
	off, errno := do(syscall.SYS_LSEEK, fd, 0, seekCur)
	if ok(t, off, errno) != 13 {
		t.Errorf("offset after append is %d", off)
	}
	off, errno = do(syscall.SYS_LSEEK, fd, ^uintptr(2), seekEnd)
	if ok(t, off, errno) != 10 {
		t.Errorf("seek from the end: %d", off)
	}
	p := make([]byte, 10)
	if n, _ := Read(int(fd), p); string(p[:n]) != "abc" {
		t.Errorf("read %q", p[:n])
	}
	_, errno = do(syscall.SYS_LSEEK, fd, ^uintptr(99), seekCur)
	want(t, errno, syscall.EINVAL)
	_, errno = do(syscall.SYS_RENAME, pointer("/tmp/seq/a"), pointer("/tmp/seq/b"), 0)
	want(t, errno, 0)
	_, errno = do(syscall.SYS_FTRUNCATE, fd, 4, 0)
	want(t, errno, 0)
	closeFD(t, fd)
	if got := readAll(t, "/tmp/seq/b"); got != "0123" {
		t.Errorf("%q", got)
	}
	_, errno = openFile(t, "/tmp/seq/a", syscall.O_RDONLY, 0)
	want(t, errno, syscall.ENOENT)
	_, errno = openFile(t, "/tmp/seq/b", syscall.O_CREAT|syscall.O_EXCL|syscall.O_RDWR, 0o600)
	want(t, errno, syscall.EEXIST)
	_, errno = do(syscall.SYS_RMDIR, pointer("/tmp/seq"), 0, 0)
	want(t, errno, syscall.ENOTEMPTY)
	_, errno = do(syscall.SYS_UNLINK, pointer("/tmp/seq"), 0, 0)
	want(t, errno, syscall.EISDIR)
	_, errno = do(syscall.SYS_UNLINK, pointer("/tmp/seq/b"), 0, 0)
	want(t, errno, 0)
	_, errno = do(syscall.SYS_RMDIR, pointer("/tmp/seq"), 0, 0)
	want(t, errno, 0)
}

func TestAccessModes(t *testing.T) {
	writeFile(t, "/tmp/modes", "x")
	r, errno := openFile(t, "/tmp/modes", syscall.O_RDONLY, 0)
	ok(t, r, errno)
	defer closeFD(t, r)
	w, errno := openFile(t, "/tmp/modes", syscall.O_WRONLY, 0)
	ok(t, w, errno)
	defer closeFD(t, w)
	p := []byte("y")
	if _, err := Write(int(r), p); err != syscall.EBADF {
		t.Errorf("write to a read-only descriptor: %v", err)
	}
	if _, err := Read(int(w), p); err != syscall.EBADF {
		t.Errorf("read from a write-only descriptor: %v", err)
	}
	_, errno = do(syscall.SYS_FTRUNCATE, r, 0, 0)
	want(t, errno, syscall.EINVAL)
	d, errno := openFile(t, "/tmp", syscall.O_RDONLY, 0)
	ok(t, d, errno)
	defer closeFD(t, d)
	if _, err := Read(int(d), p); err != syscall.EISDIR {
		t.Errorf("read of a directory: %v", err)
	}
	if _, err := Read(9999, p); err != syscall.EBADF {
		t.Errorf("read of no descriptor: %v", err)
	}
}

// namesIn lists a directory as package os does.
func namesIn(t testing.TB, path string, size int) (names []string) {
	t.Helper()
	fd, errno := openFile(t, path, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	ok(t, fd, errno)
	defer closeFD(t, fd)
	buf := make([]byte, size)
	for {
		n, _, errno := entry(syscall.SYS_GETDENTS64, fd, uintptr(unsafe.Pointer(&buf[0])), uintptr(size), 0, 0, 0)
		if ok(t, n, errno) == 0 {
			return names
		}
		_, _, names = syscall.ParseDirent(buf[:n], -1, names)
	}
}

func TestGetdents(t *testing.T) {
	do(syscall.SYS_MKDIR, pointer("/tmp/many"), 0o777, 0)
	var wanted []string
	for i := range 300 {
		name := fmt.Sprintf("file-%03d-%s", i, strings.Repeat("x", i%40))
		writeFile(t, "/tmp/many/"+name, "")
		wanted = append(wanted, name)
	}
	for _, size := range []int{100, 512, 8192, 1 << 20} {
		if got := namesIn(t, "/tmp/many", size); !slices.Equal(got, wanted) {
			t.Errorf("with %d bytes: %d names of %d", size, len(got), len(wanted))
		}
	}
	fd, _ := openFile(t, "/tmp/many", syscall.O_RDONLY, 0)
	defer closeFD(t, fd)
	var tiny [20]byte
	_, _, errno := entry(syscall.SYS_GETDENTS64, fd, uintptr(unsafe.Pointer(&tiny)), 20, 0, 0, 0)
	want(t, errno, syscall.EINVAL)
	_, _, errno = entry(syscall.SYS_GETDENTS64, 1, uintptr(unsafe.Pointer(&tiny)), 20, 0, 0, 0)
	want(t, errno, syscall.ENOTDIR)
}

// TestRemoveWhileReading removes entries between reads, as os.RemoveAll does.
func TestRemoveWhileReading(t *testing.T) {
	do(syscall.SYS_MKDIR, pointer("/tmp/removeall"), 0o777, 0)
	for i := range 200 {
		writeFile(t, fmt.Sprintf("/tmp/removeall/%d", i), "")
	}
	fd, errno := openFile(t, "/tmp/removeall", syscall.O_RDONLY, 0)
	ok(t, fd, errno)
	defer closeFD(t, fd)
	buf := make([]byte, 400)
	for {
		n, _, errno := entry(syscall.SYS_GETDENTS64, fd, uintptr(unsafe.Pointer(&buf[0])), 400, 0, 0, 0)
		if ok(t, n, errno) == 0 {
			break
		}
		_, _, names := syscall.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			_, errno := do(syscall.SYS_UNLINKAT, fd, pointer(name), 0)
			want(t, errno, 0)
		}
	}
	_, errno = do(syscall.SYS_RMDIR, pointer("/tmp/removeall"), 0, 0)
	want(t, errno, 0)
}

func TestWorkingDirectory(t *testing.T) {
	do(syscall.SYS_MKDIR, pointer("/tmp/cwd"), 0o777, 0)
	do(syscall.SYS_MKDIR, pointer("/tmp/cwd/sub"), 0o777, 0)
	getcwd := func() string {
		var buf [200]byte
		n, _, errno := entry(syscall.SYS_GETCWD, uintptr(unsafe.Pointer(&buf)), 200, 0, 0, 0, 0)
		if errno != 0 {
			return errno.Error()
		}
		return string(buf[:n-1])
	}
	defer do(syscall.SYS_CHDIR, pointer("/"), 0, 0)
	_, errno := do(syscall.SYS_CHDIR, pointer("/tmp/cwd"), 0, 0)
	want(t, errno, 0)
	_, errno = do(syscall.SYS_CHDIR, pointer("sub"), 0, 0)
	want(t, errno, 0)
	if got := getcwd(); got != "/tmp/cwd/sub" {
		t.Errorf("getcwd: %q", got)
	}
	_, errno = do(syscall.SYS_GETCWD, pointer("room"), 3, 0)
	want(t, errno, syscall.ERANGE)
	do(syscall.SYS_RMDIR, pointer("/tmp/cwd/sub"), 0, 0)
	if got := getcwd(); got != syscall.ENOENT.Error() {
		t.Errorf("getcwd in a removed directory: %q", got)
	}
	_, errno = openFile(t, "new", syscall.O_CREAT|syscall.O_RDWR, 0o600)
	want(t, errno, syscall.ENOENT)
}

func TestDescriptors(t *testing.T) {
	a, errno := openFile(t, "/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	ok(t, a, errno)
	b, errno := openFile(t, "/dev/zero", syscall.O_RDWR, 0)
	ok(t, b, errno)
	if b != a+1 {
		t.Errorf("descriptors %d and %d do not follow one another", a, b)
	}
	closeFD(t, a)
	c, errno := do(syscall.SYS_DUP, b, 0, 0)
	if ok(t, c, errno) != a {
		t.Errorf("dup gave %d, not the lowest free number %d", c, a)
	}
	d, errno := do(syscall.SYS_FCNTL, b, syscall.F_DUPFD_CLOEXEC, 100)
	if ok(t, d, errno) != 100 {
		t.Errorf("F_DUPFD gave %d", d)
	}
	flag, _ := do(syscall.SYS_FCNTL, d, syscall.F_GETFD, 0)
	if flag != syscall.FD_CLOEXEC {
		t.Error("F_DUPFD_CLOEXEC did not set the flag")
	}
	e, errno := do(syscall.SYS_DUP3, b, 200, syscall.O_CLOEXEC)
	if ok(t, e, errno) != 200 {
		t.Errorf("dup3 gave %d", e)
	}
	_, errno = do(syscall.SYS_DUP3, b, b, 0)
	want(t, errno, syscall.EINVAL)
	_, errno = do(syscall.SYS_DUP2, b, maxDescriptors, 0)
	want(t, errno, syscall.EBADF)
	_, errno = do(sysNumCloseRange, 100, 200, 0)
	want(t, errno, 0)
	_, errno = do(syscall.SYS_FCNTL, d, syscall.F_GETFD, 0)
	want(t, errno, syscall.EBADF)
	_, errno = do(syscall.SYS_FCNTL, b, syscall.F_SETFL, syscall.O_NONBLOCK|syscall.O_WRONLY)
	want(t, errno, 0)
	flags, _ := do(syscall.SYS_FCNTL, c, syscall.F_GETFL, 0)
	if flags != syscall.O_RDWR|syscall.O_NONBLOCK|oLargefile {
		t.Errorf("flags %#o: not shared by dup, or the access mode changed", flags)
	}
	closeFD(t, b)
	closeFD(t, c)
	_, errno = do(syscall.SYS_CLOSE, b, 0, 0)
	want(t, errno, syscall.EBADF)
}

func TestDescriptorLimit(t *testing.T) {
	old := limits.descriptors.Load()
	defer limits.descriptors.Store(old)
	limits.descriptors.Store(64)
	var all []uintptr
	for {
		fd, errno := openFile(t, "/dev/null", syscall.O_RDWR, 0)
		if errno != 0 {
			want(t, errno, syscall.EMFILE)
			break
		}
		all = append(all, fd)
	}
	if last := all[len(all)-1]; last != 63 {
		t.Errorf("the last descriptor is %d", last)
	}
	for _, fd := range all {
		closeFD(t, fd)
	}
}

func TestManyDescriptors(t *testing.T) {
	first, errno := openFile(t, "/dev/null", syscall.O_RDWR, 0)
	ok(t, first, errno)
	last := first
	for range 3000 {
		fd, errno := do(syscall.SYS_DUP, first, 0, 0)
		if ok(t, fd, errno) != last+1 {
			t.Fatalf("%d follows %d", fd, last)
		}
		last = fd
	}
	closeFD(t, first+1500)
	fd, _ := do(syscall.SYS_DUP, first, 0, 0)
	if fd != first+1500 {
		t.Errorf("the hole at %d is not filled: %d", first+1500, fd)
	}
	_, errno = do(sysNumCloseRange, first, last, 0)
	want(t, errno, 0)
}

func TestDevices(t *testing.T) {
	p := []byte{1, 2, 3}
	for _, c := range []struct {
		name        string
		read, write error
		n           int
	}{{"null", nil, nil, 0}, {"zero", nil, nil, 3}, {"full", nil, syscall.ENOSPC, 3}, {"urandom", nil, nil, 3}} {
		fd, errno := openFile(t, "/dev/"+c.name, syscall.O_RDWR, 0)
		ok(t, fd, errno)
		if n, err := Read(int(fd), p); n != c.n || err != c.read {
			t.Errorf("read /dev/%s: %d %v", c.name, n, err)
		}
		if _, err := Write(int(fd), p); err != c.write {
			t.Errorf("write /dev/%s: %v", c.name, err)
		}
		closeFD(t, fd)
	}
	if st := statOf(t, "/dev/null"); st.Mode != syscall.S_IFCHR|0o666 || st.Rdev != 0x103 {
		t.Errorf("/dev/null: %o %#x", st.Mode, st.Rdev)
	}
	testConsole.taken()
	writeFile(t, "/dev/stdout", "through a link\n")
	if got := testConsole.taken(); got != "through a link\n" {
		t.Errorf("/dev/stdout: %q", got)
	}
}

func TestGeneratedFiles(t *testing.T) {
	for path, part := range map[string]string{
		"/etc/resolv.conf":                              "nameserver 10.0.2.3\n",
		"/etc/hosts":                                    "127.0.0.1 machine\n",
		"/etc/hostname":                                 "machine\n",
		"/proc/self/cmdline":                            "/bin/program\x00-flag\x00",
		"/proc/self/environ":                            "HOME=/root\x00",
		"/proc/self/status":                             "Name:\tprogram\n",
		"/proc/meminfo":                                 "MemTotal:        1048576 kB\n",
		"/proc/cpuinfo":                                 "processor\t: 1\n",
		"/proc/sys/net/core/somaxconn":                  "4096\n",
		"/proc/sys/kernel/hostname":                     "machine\n",
		"/proc/version":                                 "Linux version " + Release,
		"/proc/stat":                                    "cpu  ",
		"/proc/self/mountinfo":                          " / / rw",
		"/sys/devices/system/cpu/online":                "0-1\n",
		"/sys/devices/system/cpu/offline":               "\n",
		"/sys/devices/system/cpu/cpu1/topology/core_id": "1\n",
		"/sys/devices/system/cpu/cpu0/topology/core_siblings_list": "0-1\n",
		"/proc/sys/kernel/random/entropy_avail":                    "256\n",
		"/proc/net/if_inet6":                                       "00000000000000000000000000000001 01 80 fe 80 lo\n",
		"/proc/net/dev":                                            "eth0: 2 1 0 3 0 0 0 0 5 4 0 6 0 0 0 0\n",
		"/proc/net/igmp": "1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n" +
			"2\teth0      :     2      V3\n\t\t\t\t030201EF     2 0:00000000\t\t0\n\t\t\t\t010000E0     1 0:00000000\t\t0\n",
		"/proc/net/igmp6": "1    lo              ff020000000000000000000000000001     1 0000000C 0\n" +
			"2    eth0            ff020000000000000000000000000114     1 00000004 0\n" +
			"2    eth0            ff0200000000000000000001ff010203     1 00000004 0\n" +
			"2    eth0            ff020000000000000000000000000001     1 0000000C 0\n",
		"/proc/sys/kernel/random/boot_id":   "-4",
		"/proc/thread-self/comm":            "program\n",
		fmt.Sprintf("/proc/%d/comm", pid()): "program\n",
	} {
		if got := readAll(t, path); !strings.Contains(got, part) {
			t.Errorf("%s holds %q, not %q", path, got, part)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(readAll(t, "/proc/stat")), "\n")[:3] {
		if fields := strings.Fields(line); len(fields) != 11 || !strings.HasPrefix(line, "cpu") {
			t.Errorf("/proc/stat has the line %q", line)
		}
	}
	if fields := strings.Fields(readAll(t, "/proc/self/stat")); len(fields) != 52 {
		t.Errorf("/proc/self/stat has %d fields", len(fields))
	}
	if a, b := readAll(t, "/proc/sys/kernel/random/boot_id"), readAll(t, "/proc/sys/kernel/random/boot_id"); a != b {
		t.Error("boot_id changes")
	}
	_, errno := openFile(t, "/proc/meminfo", syscall.O_RDWR, 0)
	want(t, errno, syscall.EACCES)
	_, errno = openFile(t, "/proc/new", syscall.O_RDWR|syscall.O_CREAT, 0o600)
	if errno == 0 {
		t.Log("files can be made in /proc: harmless, as root owns the tree")
	}
}

// TestGeneratedFileReplaced: a program may put a file of its own in the place of
// one that the kernel writes.
func TestGeneratedFileReplaced(t *testing.T) {
	generated := readAll(t, "/etc/hosts")
	_, errno := do(syscall.SYS_LINK, pointer("/etc/hosts"), pointer("/etc/hosts.kept"), 0)
	want(t, errno, 0)
	t.Cleanup(func() {
		_, errno := do(syscall.SYS_RENAME, pointer("/etc/hosts.kept"), pointer("/etc/hosts"), 0)
		want(t, errno, 0)
		if got := readAll(t, "/etc/hosts"); got != generated {
			t.Errorf("moved back, /etc/hosts holds %q, not %q", got, generated)
		}
	})
	writeFile(t, "/tmp/hosts", "replaced\n")
	_, errno = do(syscall.SYS_RENAME, pointer("/tmp/hosts"), pointer("/etc/hosts"), 0)
	want(t, errno, 0)
	if got := readAll(t, "/etc/hosts"); got != "replaced\n" {
		t.Errorf("/etc/hosts can't be replaced: %q", got)
	}
}

func pid() int { return int(processID()) }

func readlink(t testing.TB, path string) string {
	t.Helper()
	var buf [300]byte
	n, _, errno := entry(syscall.SYS_READLINK, pointer(path), uintptr(unsafe.Pointer(&buf)), 300, 0, 0, 0)
	if errno != 0 {
		return errno.Error()
	}
	return string(buf[:n])
}

func TestProcFD(t *testing.T) {
	writeFile(t, "/tmp/procfd", "contents")
	fd, errno := openFile(t, "/tmp/procfd", syscall.O_RDONLY, 0)
	ok(t, fd, errno)
	defer closeFD(t, fd)
	link := fmt.Sprintf("/proc/self/fd/%d", fd)
	if got := readlink(t, link); got != "/tmp/procfd" {
		t.Errorf("readlink: %q", got)
	}
	if got := readAll(t, link); got != "contents" {
		t.Errorf("open by link: %q", got)
	}
	if names := namesIn(t, "/proc/self/fd", 4096); !slices.Contains(names, fmt.Sprint(fd)) || !slices.Contains(names, "0") {
		t.Errorf("/proc/self/fd lists %q", names)
	}
	r, _ := newPipePair(t, 0)
	if got := readlink(t, fmt.Sprintf("/dev/fd/%d", r)); !strings.HasPrefix(got, "pipe:[") {
		t.Errorf("link of a pipe: %q", got)
	}
	if got := readlink(t, "/proc/self/fd/12345"); got != syscall.ENOENT.Error() {
		t.Errorf("link of nothing: %q", got)
	}
	if got := readlink(t, "/proc/self/exe"); got != executable {
		t.Errorf("/proc/self/exe: %q", got)
	}
	if got := readlink(t, "/proc/self/cwd"); got != "/" {
		t.Errorf("/proc/self/cwd: %q", got)
	}
}

func TestTemporaryFile(t *testing.T) {
	fd, errno := openFile(t, "/tmp", oTmpfile|syscall.O_DIRECTORY|syscall.O_RDWR, 0o600)
	ok(t, fd, errno)
	Write(int(fd), []byte("nameless"))
	_, _, errno = entry(syscall.SYS_LINKAT, fd, pointer(""), cwd, pointer("/tmp/named"), atEmptyPath, 0)
	want(t, errno, 0)
	closeFD(t, fd)
	if got := readAll(t, "/tmp/named"); got != "nameless" {
		t.Errorf("%q", got)
	}
}

// TestUnlinkedFile checks that the data of an unlinked file lives as long as
// it is open, and is given back then.
func TestUnlinkedFile(t *testing.T) {
	_, before := tree.Usage()
	writeFile(t, "/tmp/unlinked", strings.Repeat("z", 100000))
	fd, errno := openFile(t, "/tmp/unlinked", syscall.O_RDONLY, 0)
	ok(t, fd, errno)
	do(syscall.SYS_UNLINK, pointer("/tmp/unlinked"), 0, 0)
	p := make([]byte, 10)
	if n, err := Pread(int(fd), p, 99990); n != 10 || err != nil || string(p) != "zzzzzzzzzz" {
		t.Errorf("%d %v %q", n, err, p)
	}
	if _, used := tree.Usage(); used <= before {
		t.Error("data of an open file was given back")
	}
	closeFD(t, fd)
	if _, used := tree.Usage(); used != before {
		t.Errorf("%d bytes are not given back", used-before)
	}
}

func TestVectors(t *testing.T) {
	fd, errno := openFile(t, "/tmp/vectors", syscall.O_RDWR|syscall.O_CREAT, 0o600)
	ok(t, fd, errno)
	defer closeFD(t, fd)
	a, b := []byte("first "), []byte("second")
	iov := []syscall.Iovec{{Base: &a[0], Len: 6}, {}, {Base: &b[0], Len: 6}}
	n, _, errno := entry(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&iov[0])), 3, 0, 0, 0)
	if ok(t, n, errno) != 12 || readAll(t, "/tmp/vectors") != "first second" {
		t.Errorf("writev: %d %q", n, readAll(t, "/tmp/vectors"))
	}
	n, _, errno = entry(syscall.SYS_PWRITEV, fd, uintptr(unsafe.Pointer(&iov[2])), 1, 2, 0, 0)
	if ok(t, n, errno) != 6 || readAll(t, "/tmp/vectors") != "fisecondcond" {
		t.Errorf("pwritev: %d %q", n, readAll(t, "/tmp/vectors"))
	}
	n, _, errno = entry(syscall.SYS_PREADV, fd, uintptr(unsafe.Pointer(&iov[0])), 3, 1, 0, 0)
	if ok(t, n, errno) != 11 || string(a) != "isecon" || string(b[:5]) != "dcond" {
		t.Errorf("preadv: %d %q %q", n, a, b)
	}
	_, errno = do(syscall.SYS_READV, fd, uintptr(unsafe.Pointer(&iov[0])), 1025)
	want(t, errno, syscall.EINVAL)
}

func TestTransfers(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 10000) // 160,000 bytes
	writeFile(t, "/tmp/source", text)
	in, errno := openFile(t, "/tmp/source", syscall.O_RDONLY, 0)
	ok(t, in, errno)
	defer closeFD(t, in)
	out, errno := openFile(t, "/tmp/target", syscall.O_RDWR|syscall.O_CREAT, 0o600)
	ok(t, out, errno)
	defer closeFD(t, out)
	off := int64(16)
	n, _, errno := entry(syscall.SYS_SENDFILE, out, in, uintptr(unsafe.Pointer(&off)), 1<<20, 0, 0)
	if ok(t, n, errno) != uintptr(len(text)-16) || off != int64(len(text)) || readAll(t, "/tmp/target") != text[16:] {
		t.Errorf("sendfile moved %d bytes, to %d", n, off)
	}
	self, errno := openFile(t, "/tmp/source", syscall.O_RDWR, 0)
	ok(t, self, errno)
	zero := int64(0)
	do(syscall.SYS_LSEEK, self, 5, seekSet)
	n, _, errno = entry(syscall.SYS_SENDFILE, self, self, uintptr(unsafe.Pointer(&zero)), 3, 0, 0)
	if ok(t, n, errno) != 3 || readAll(t, "/tmp/source")[:10] != "0123401289" {
		t.Errorf("sendfile to itself: %d %q", n, readAll(t, "/tmp/source")[:10])
	}
	Pwrite(int(self), []byte(text[:10]), 0)
	closeFD(t, self)
	n, _, errno = entry(sysNumCopyFileRange, in, 0, out, 0, 100000, 0)
	if ok(t, n, errno) != 100000 {
		t.Errorf("copy_file_range moved %d", n)
	}
	if got := readAll(t, "/tmp/target"); got != text[16:]+text[:100000] {
		t.Errorf("copy_file_range: %d bytes", len(got))
	}
	r, w := newPipePair(t, syscall.O_NONBLOCK)
	n, _, errno = entry(syscall.SYS_SENDFILE, w, in, 0, 1<<20, 0, 0)
	if ok(t, n, errno) != 60000 {
		t.Errorf("sendfile to a pipe: %d", n)
	}
	_, errno = do(syscall.SYS_SENDFILE, w, r, 0)
	want(t, errno, syscall.EINVAL)
	var p [20]byte
	Read(int(r), p[:])
	if string(p[:]) != text[100000:100020] {
		t.Errorf("through the pipe: %q", p)
	}
	sock := udp(t, 0)
	_, _, errno = entry(syscall.SYS_SPLICE, sock, 0, w, 0, 100, spliceNonblock)
	want(t, errno, syscall.EAGAIN) // nothing came
}

func TestTimes(t *testing.T) {
	writeFile(t, "/tmp/times", "")
	ts := [2]syscall.Timespec{{Sec: 1000, Nsec: 5}, {Nsec: utimeOmit}}
	before := statOf(t, "/tmp/times")
	_, _, errno := entry(syscall.SYS_UTIMENSAT, cwd, pointer("/tmp/times"), uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	want(t, errno, 0)
	st := statOf(t, "/tmp/times")
	if st.Atim.Nano() != 1000*1e9+5 || st.Mtim != before.Mtim {
		t.Errorf("%+v %+v", st.Atim, st.Mtim)
	}
	var x statx
	_, _, errno = entry(sysNumStatx, cwd, pointer("/tmp/times"), 0, statxBasic, uintptr(unsafe.Pointer(&x)), 0)
	want(t, errno, 0)
	if x.atime.sec != 1000 || x.atime.nsec != 5 || uint32(x.mode) != st.Mode || x.ino != st.Ino || unsafe.Sizeof(x) != 256 {
		t.Errorf("statx: %+v, %d bytes", x, unsafe.Sizeof(x))
	}
	ts[0].Nsec = 1e9
	_, _, errno = entry(syscall.SYS_UTIMENSAT, cwd, pointer("/tmp/times"), uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	want(t, errno, syscall.EINVAL)
}

func TestFlock(t *testing.T) {
	writeFile(t, "/tmp/lock", "")
	a, _ := openFile(t, "/tmp/lock", syscall.O_RDWR, 0)
	b, _ := openFile(t, "/tmp/lock", syscall.O_RDWR, 0)
	_, errno := do(syscall.SYS_FLOCK, a, syscall.LOCK_EX, 0)
	want(t, errno, 0)
	_, errno = do(syscall.SYS_FLOCK, b, syscall.LOCK_SH|syscall.LOCK_NB, 0)
	want(t, errno, syscall.EWOULDBLOCK)
	got := make(chan Errno)
	go func() {
		_, errno := do(syscall.SYS_FLOCK, b, syscall.LOCK_EX, 0)
		got <- errno
	}()
	closeFD(t, a) // gives the lock up
	want(t, <-got, 0)
	closeFD(t, b)
	if len(advisory.whole) != 0 {
		t.Error("locks are left")
	}
}

func TestRangeLocks(t *testing.T) {
	writeFile(t, "/tmp/ranges", "0123456789")
	a, _ := openFile(t, "/tmp/ranges", syscall.O_RDWR, 0)
	b, _ := openFile(t, "/tmp/ranges", syscall.O_RDWR, 0)
	lock := func(fd, command uintptr, typ int16, start, size int64) (syscall.Flock_t, Errno) {
		l := syscall.Flock_t{Type: typ, Start: start, Len: size}
		_, _, errno := entry(syscall.SYS_FCNTL, fd, command, uintptr(unsafe.Pointer(&l)), 0, 0, 0)
		return l, errno
	}
	_, errno := lock(a, fOfdSetlk, syscall.F_WRLCK, 0, 10)
	want(t, errno, 0)
	_, errno = lock(a, fOfdSetlk, syscall.F_UNLCK, 4, 2)
	want(t, errno, 0)
	_, errno = lock(b, fOfdSetlk, syscall.F_WRLCK, 4, 2)
	want(t, errno, 0)
	_, errno = lock(b, fOfdSetlk, syscall.F_RDLCK, 3, 1)
	want(t, errno, syscall.EAGAIN)
	l, errno := lock(b, fOfdGetlk, syscall.F_WRLCK, 8, 1)
	if want(t, errno, 0); l.Type != syscall.F_WRLCK || l.Start != 6 || l.Len != 4 || l.Pid != -1 {
		t.Errorf("%+v", l)
	}
	_, errno = lock(a, syscall.F_SETLK, syscall.F_WRLCK, 4, 2) // the process's own conflict with open files' only
	want(t, errno, syscall.EAGAIN)
	_, errno = lock(a, syscall.F_SETLK, syscall.F_WRLCK, 100, 2)
	want(t, errno, 0)
	_, errno = lock(b, syscall.F_SETLK, syscall.F_WRLCK, 100, 2)
	want(t, errno, 0)
	closeFD(t, a)
	_, errno = lock(b, fOfdSetlk, syscall.F_WRLCK, 0, 0)
	want(t, errno, 0)
	closeFD(t, b)
	if len(advisory.ranges) != 0 {
		t.Error("locks are left")
	}
}

func TestMmap(t *testing.T) {
	writeFile(t, "/tmp/map", strings.Repeat("m", 5000))
	fd, _ := openFile(t, "/tmp/map", syscall.O_RDWR, 0)
	defer closeFD(t, fd)
	mapped := func(prot, flags, size uintptr) []byte {
		t.Helper()
		at, _, errno := entry(syscall.SYS_MMAP, 0, size, prot, flags, fd, 0)
		return memory(address{at: ok(t, at, errno)}, size)
	}
	private := mapped(syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE, 8192)
	if private[4999] != 'm' || private[5000] != 0 {
		t.Error("a private mapping holds something else than the file")
	}
	private[0] = 'P'
	shared := mapped(syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED, 8192)
	if shared[0] != 'm' || shared[4999] != 'm' {
		t.Error("a shared mapping holds something else than the file")
	}
	shared[1] = 'S'
	if _, err := Pwrite(int(fd), []byte("W"), 2); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, "/tmp/map"); got[:4] != "mSWm" || shared[2] != 'W' || len(got) != 5000 {
		t.Errorf("file %q, mapping %q", got[:4], shared[:4])
	}
	for _, m := range [][]byte{private, shared} {
		at := uintptr(unsafe.Pointer(&m[0]))
		_, errno := do(syscall.SYS_MUNMAP, at, 8192, 0)
		want(t, errno, 0)
	}
	if got := readAll(t, "/tmp/map"); got[:4] != "mSWm" {
		t.Errorf("after munmap: %q", got[:4])
	}
	do(syscall.SYS_UNLINK, pointer("/tmp/map"), 0, 0)
	_, _, errno := entry(syscall.SYS_MMAP, 0, 4096, syscall.PROT_READ, syscall.MAP_SHARED, 1, 0)
	want(t, errno, syscall.ENODEV)
}
