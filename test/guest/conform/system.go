package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func processes() {
	say("ids", unix.Getuid(), unix.Geteuid(), unix.Getgid(), unix.Getegid())
	a, b, c := unix.Getresuid()
	say("resuid", a, b, c)
	a, b, c = unix.Getresgid()
	say("resgid", a, b, c)
	say("setuid", syscall.Setuid(0), syscall.Setgid(0), syscall.Setreuid(0, 0), syscall.Setresuid(0, 0, 0), syscall.Setegid(0))
	var u unix.Utsname
	say("uname", unix.Uname(&u), unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Machine[:]))
	var info unix.Sysinfo_t
	say("sysinfo", unix.Sysinfo(&info), info.Totalram*uint64(info.Unit) > 32<<20, info.Freeram <= info.Totalram, info.Uptime > 0 || info.Procs > 0, info.Procs > 0)
	var ru unix.Rusage
	for begin := time.Now(); time.Since(begin) < 30*time.Millisecond; {
	}
	say("rusage", unix.Getrusage(unix.RUSAGE_SELF, &ru), ru.Utime.Nano()+ru.Stime.Nano() > 0, ru.Maxrss > 0, unix.Getrusage(unix.RUSAGE_THREAD, &ru), unix.Getrusage(unix.RUSAGE_CHILDREN, &ru), unix.Getrusage(99, &ru))
	var t unix.Tms
	ticks, err := unix.Times(&t)
	say("times", ticks != 0, err)
	for _, clock := range []int32{unix.CLOCK_REALTIME, unix.CLOCK_MONOTONIC, unix.CLOCK_PROCESS_CPUTIME_ID, unix.CLOCK_THREAD_CPUTIME_ID, unix.CLOCK_BOOTTIME, unix.CLOCK_MONOTONIC_RAW, unix.CLOCK_REALTIME_COARSE, unix.CLOCK_MONOTONIC_COARSE, unix.CLOCK_TAI, 77} {
		var ts, res unix.Timespec
		say(fmt.Sprint("clock ", clock), unix.ClockGettime(clock, &ts), ts.Nano() != 0, unix.ClockGetres(clock, &res))
	}
	var tv unix.Timeval
	say("gettimeofday", unix.Gettimeofday(&tv), tv.Sec > 1<<30)
	tt, err := unix.Time(nil)
	say("time", tt > 1<<30, err)
	begin := time.Now()
	say("nanosleep", unix.Nanosleep(&unix.Timespec{Nsec: 5e6}, nil), time.Since(begin) >= 5*time.Millisecond, unix.Nanosleep(&unix.Timespec{Nsec: 2e9}, nil))
	say("clock_nanosleep", unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &unix.Timespec{Nsec: 1000}, nil), unix.ClockNanosleep(99, 0, &unix.Timespec{}, nil))
	var set unix.CPUSet
	say("affinity", unix.SchedGetaffinity(0, &set), set.Count() == runtime.NumCPU())
	prio, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	say("priority", prio, err)
	for _, r := range []int{unix.RLIMIT_CPU, unix.RLIMIT_FSIZE, unix.RLIMIT_DATA, unix.RLIMIT_STACK, unix.RLIMIT_AS} {
		var l unix.Rlimit
		say(fmt.Sprint("rlimit ", r), unix.Getrlimit(r, &l), l.Max == unix.RLIM_INFINITY)
	}
	pid := os.Getpid()
	pgid, err := unix.Getpgid(0)
	_, err2 := unix.Getsid(0)
	say("group", pgid > 0, err, err2)
	_, err = unix.Getpgid(1<<22 - 7)
	say("group of nobody", err)
	_, err = unix.Wait4(-1, nil, unix.WNOHANG, nil)
	say("no children", err)
	groups, err := unix.Getgroups()
	say("groups", err, len(groups) <= 1)
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	say("capget", unix.Capget(&hdr, &caps[0]), caps[0].Effective&(1<<unix.CAP_NET_BIND_SERVICE) != 0)
	keep, err := unix.PrctlRetInt(unix.PR_GET_KEEPCAPS, 0, 0, 0, 0)
	say("prctl keepcaps", keep, err, unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0), unix.Prctl(unix.PR_SET_KEEPCAPS, 2, 0, 0, 0), unix.Prctl(unix.PR_SET_KEEPCAPS, 0, 0, 0, 0))
	dump, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	say("prctl dumpable", dump, err)
	nnp, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	say("prctl no new privileges", nnp, err, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 5, 0, 0, 0))
	name := []byte("conform-name\x00\x00\x00\x00")
	runtime.LockOSThread()
	say("prctl name", unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0))
	back := make([]byte, 16)
	say("prctl get name", unix.Prctl(unix.PR_GET_NAME, uintptr(unsafe.Pointer(&back[0])), 0, 0, 0), unix.ByteSliceToString(back))
	runtime.UnlockOSThread()
	say("prctl unknown", unix.Prctl(99999, 0, 0, 0, 0))
	rnd := make([]byte, 16)
	n, err := unix.Getrandom(rnd, 0)
	say("random", n, err, string(rnd) != strings.Repeat("\x00", 16))
	_, err = unix.Getrandom(rnd, 1<<10)
	say("random bad", err)
	exe, err := os.Executable()
	say("executable", exe != "", err)
	exf, err := os.Open("/proc/self/exe")
	magic := make([]byte, 4)
	if err == nil {
		exf.Read(magic)
	}
	say("its file", err, fmt.Sprintf("%q", magic))
	_, err = os.Stat(exe)
	say("its path", err)
	host, err := os.Hostname()
	say("hostname", host != "", err)
	me, err := user.Current()
	say("user", err)
	if err == nil {
		say("user", me.Uid, me.Gid, me.Username, me.HomeDir)
	}
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, unix.SIGUSR1, unix.SIGHUP)
	say("kill self", unix.Kill(pid, unix.SIGUSR1), <-ch == unix.SIGUSR1, unix.Kill(pid, unix.SIGHUP), <-ch == unix.SIGHUP)
	signal.Stop(ch)
	var itv unix.Itimerval
	itv, err = unix.Getitimer(unix.ITIMER_REAL)
	say("itimer", err, itv.Value.Sec)
	say("sync", unix.Syncfs(open(".", unix.O_RDONLY)))
	unix.Sync()
	syscall.Sync()
	temp := must(os.MkdirTemp("", "x"))
	say("temp", os.TempDir(), temp != "", os.Remove(temp))
	_ = exec.ErrNotFound
	_, _, e := syscall.AllThreadsSyscall(syscall.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 0, 0)
	say("all threads", e == 0 || errors.Is(e, syscall.ENOTSUP))
}

// badMemory passes addresses at which nothing is.
func badMemory() {
	bad := uintptr(0x123456789000)
	f := uintptr(open("f", unix.O_RDWR|unix.O_CREAT))
	unix.Pwrite(int(f), []byte("some text"), 0)
	call := func(what string, nr uintptr, args ...uintptr) {
		var a [6]uintptr
		copy(a[:], args)
		r, _, e := syscall.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		if e != 0 {
			say(what, e)
			return
		}
		say(what, r < 4096)
	}
	for _, at := range []uintptr{0, 1, bad, 1 << 47, ^uintptr(0) - 4095} {
		call(fmt.Sprintf("read %#x", at), unix.SYS_READ, f, at, 10)
		call(fmt.Sprintf("write %#x", at), unix.SYS_WRITE, f, at, 10)
		call(fmt.Sprintf("open %#x", at), unix.SYS_OPEN, at, 0)
		call(fmt.Sprintf("stat %#x", at), unix.SYS_FSTAT, f, at)
		call(fmt.Sprintf("pipe %#x", at), unix.SYS_PIPE2, at, 0)
		call(fmt.Sprintf("uname %#x", at), unix.SYS_UNAME, at)
		call(fmt.Sprintf("readv %#x", at), unix.SYS_READV, f, at, 2)
		call(fmt.Sprintf("getcwd %#x", at), unix.SYS_GETCWD, at, 4096)
		call(fmt.Sprintf("clock %#x", at), unix.SYS_CLOCK_GETTIME, 0, at)
		call(fmt.Sprintf("random %#x", at), unix.SYS_GETRANDOM, at, 8, 0)
		call(fmt.Sprintf("bind %#x", at), unix.SYS_BIND, uintptr(socket(unix.AF_INET, unix.SOCK_DGRAM)), at, 16)
	}
	m := must(unix.Mmap(-1, 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE))
	copy(m[4090:], "f\x00")
	at := uintptr(unsafe.Pointer(unsafe.SliceData(m)))
	unix.Mprotect(m[4096:], unix.PROT_NONE)
	call("path at a page's end", unix.SYS_OPEN, at+4090, 0)
	copy(m[4092:4096], "xxxx")
	call("path into no page", unix.SYS_OPEN, at+4092, 0)
	call("stat into no page", unix.SYS_FSTAT, f, at+4000)
	unix.Mprotect(m[:4096], unix.PROT_READ)
	call("stat to read-only", unix.SYS_FSTAT, f, at)
	call("write from read-only", unix.SYS_PWRITE64, f, at, 4, 0)
}

func xattrs() {
	file("f", "x")
	os.Symlink("f", "l")
	b := make([]byte, 100)
	n, err := unix.Getxattr("f", "user.none", b)
	say("get none", n, err)
	say("trusted", unix.Setxattr("f", "trusted.a", []byte("value"), 0))
	n, err = unix.Getxattr("f", "trusted.a", b)
	say("get", got(n, err, b))
	n, err = unix.Getxattr("f", "trusted.a", nil)
	say("size", n, err)
	_, err = unix.Getxattr("f", "trusted.a", b[:2])
	say("short", err)
	say("create", unix.Setxattr("f", "trusted.a", []byte("2"), unix.XATTR_CREATE), unix.Setxattr("f", "trusted.b", []byte("2"), unix.XATTR_REPLACE), unix.Setxattr("f", "trusted.a", []byte("2"), unix.XATTR_REPLACE))
	say("security", unix.Setxattr("f", "security.x", []byte("s"), 0))
	n, err = unix.Listxattr("f", b)
	names := strings.Split(string(b[:max(n, 0)]), "\x00")
	slices.Sort(names)
	say("list", names, err)
	_, err = unix.Listxattr("f", b[:3])
	say("list short", err)
	say("remove", unix.Removexattr("f", "trusted.a"), unix.Removexattr("f", "trusted.a"))
	n, err = unix.Llistxattr("l", b)
	say("of link", got(n, err, b), unix.Lsetxattr("l", "trusted.c", []byte("1"), 0))
	say("unknown", unix.Setxattr("f", "other.x", []byte("1"), 0), unix.Setxattr("f", "trusted.", []byte("1"), 0), unix.Setxattr("f", "trusted."+strings.Repeat("x", 300), []byte("1"), 0), unix.Setxattr("none", "trusted.x", nil, 0), unix.Setxattr("f", "trusted.big", make([]byte, 65537), 0))
	fd := open("f", unix.O_RDWR)
	say("by descriptor", unix.Fsetxattr(fd, "trusted.d", []byte("4"), 0))
	n, err = unix.Fgetxattr(fd, "trusted.d", b)
	say("by descriptor", got(n, err, b), unix.Fremovexattr(fd, "trusted.d"))
	n, err = unix.Getxattr("f", "system.posix_acl_access", b)
	say("acl", n, err)
}

func devices() {
	b := []byte("xxxxxxxx")
	for _, name := range []string{"null", "zero", "full", "random", "urandom"} {
		fd, err := unix.Open("/dev/"+name, unix.O_RDWR, 0)
		n, err1 := unix.Read(fd, b)
		m, err2 := unix.Write(fd, []byte("abc"))
		off, err3 := unix.Seek(fd, 10, 0)
		n2, err4 := unix.Pread(fd, b, 5)
		var st unix.Stat_t
		unix.Fstat(fd, &st)
		say(name, err, n, err1, m, err2, off, err3, n2, err4, fmt.Sprintf("%o %d", st.Mode, st.Rdev), unix.Fsync(fd), unix.Ftruncate(fd, 0))
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLOUT}}
		unix.Poll(p, 0)
		say(name+" poll", p[0].Revents&unix.POLLIN != 0)
	}
	for _, name := range []string{"stdin", "stdout", "stderr", "fd"} {
		to, err := os.Readlink("/dev/" + name)
		say(name, to, err)
	}
	_, err := unix.Open("/dev/none", unix.O_RDWR, 0)
	say("none", err)
	unix.Mknod("unknown", unix.S_IFCHR|0o600, int(unix.Mkdev(222, 7)))
	_, err = unix.Open("unknown", unix.O_RDWR, 0)
	say("unknown device", err)
	unix.Mknod("block", unix.S_IFBLK|0o600, int(unix.Mkdev(222, 7)))
	_, err = unix.Open("block", unix.O_RDWR, 0)
	say("unknown block device", err)
	fd, err := unix.Open("/dev/null", unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC, 0o644)
	say("null with create", err)
	unix.Close(fd)
	var s unix.Statfs_t
	say("shm", unix.Statfs("/dev/shm", &s), fmt.Sprintf("%#x", s.Type), shape("/dev/shm")[:6])
	f, err := os.CreateTemp("/dev/shm", "conform")
	say("shm file", err)
	if err == nil {
		os.Remove(f.Name())
	}
	in, err := os.Open("/dev/stdin")
	say("open stdin", err)
	if err == nil {
		in.Close()
	}
	out, err := os.OpenFile("/dev/stdout", os.O_WRONLY, 0)
	say("open stdout", err)
	if err == nil {
		out.Close()
	}
	_, err = os.Stat("/dev/fd/1")
	say("dev fd", err)
}
