package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// raw makes a system call by number.
func raw(number uintptr, args ...uintptr) (uintptr, error) {
	var a [6]uintptr
	copy(a[:], args)
	r, _, e := syscall.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	if e != 0 {
		return 0, e
	}
	return r, nil
}

func sigset(signals ...syscall.Signal) *unix.Sigset_t {
	var set unix.Sigset_t
	for _, s := range signals {
		set.Val[0] |= 1 << (s - 1)
	}
	return &set
}

func signals() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	set := sigset(unix.SIGUSR2, unix.SIGTERM)
	say("block", unix.PthreadSigmask(unix.SIG_BLOCK, set, nil))
	fd, err := unix.Signalfd(-1, set, unix.SFD_NONBLOCK|unix.SFD_CLOEXEC)
	say("signalfd", err)
	_, err = unix.Signalfd(-1, set, 4)
	_, err2 := unix.Signalfd(0, set, 0)
	_, err3 := unix.Signalfd(999, set, 0)
	say("signalfd bad", err, err2, err3)
	b := make([]byte, 300)
	_, err = unix.Read(fd, b)
	say("none", err, ready(fd, unix.POLLIN))
	pid, tid := unix.Getpid(), unix.Gettid()
	ep := must(unix.EpollCreate1(0))
	unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Pad: 3})
	say("send", unix.Tgkill(pid, tid, unix.SIGUSR2), unix.Tgkill(pid, tid, unix.SIGTERM), unix.Tgkill(pid, tid, unix.SIGTERM))
	say("poll", ready(fd, unix.POLLIN), epollWait(ep, 1000))
	var pending uint64
	_, err = raw(unix.SYS_RT_SIGPENDING, uintptr(unsafe.Pointer(&pending)), 8)
	say("pending", err, pending == 1<<(unix.SIGUSR2-1)|1<<(unix.SIGTERM-1))
	n, err := unix.Read(fd, b[:200])
	info := (*unix.SignalfdSiginfo)(unsafe.Pointer(&b[0]))
	say("read one", n, err, info.Signo == uint32(unix.SIGUSR2), info.Code, info.Uid, info.Pid == uint32(pid))
	n, err = unix.Read(fd, b)
	say("read other", n, err, info.Signo == uint32(unix.SIGTERM))
	_, err = unix.Read(fd, b[:100])
	_, err2 = unix.Read(fd, b)
	_, err3 = unix.Write(fd, b)
	say("then", err, err2, err3)
	same, err := unix.Signalfd(fd, sigset(unix.SIGUSR2), 0)
	unix.Tgkill(pid, tid, unix.SIGTERM)
	_, err2 = unix.Read(fd, b)
	say("other mask", same == fd, err, err2)
	var got unix.Siginfo
	wait := func(set *unix.Sigset_t, ns int64) (uintptr, error) {
		ts := unix.NsecToTimespec(ns)
		return raw(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(&got)), uintptr(unsafe.Pointer(&ts)), 8)
	}
	sig, err := wait(set, 1e6)
	say("sigtimedwait", sig, err, got.Signo, got.Code)
	sig, err = wait(set, 1e6)
	say("sigtimedwait none", sig, err)
	go func() { time.Sleep(30 * time.Millisecond); unix.Tgkill(pid, tid, unix.SIGUSR2) }()
	sig, err = wait(set, 10e9)
	say("sigtimedwait waits", sig, err)
	sig, err = wait(set, 2e18)
	_, err2 = raw(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(set)), 0, 0, 4)
	say("sigtimedwait bad", err2)
	blocking := must(unix.Signalfd(-1, set, 0))
	go func() { time.Sleep(30 * time.Millisecond); unix.Tgkill(pid, tid, unix.SIGTERM) }()
	n, err = unix.Read(blocking, b)
	say("blocking read", n, err, info.Signo == uint32(unix.SIGTERM))
	unix.PthreadSigmask(unix.SIG_UNBLOCK, set, nil)
	_ = sig
}

func pidfds() {
	pid := os.Getpid()
	fd, err := unix.PidfdOpen(pid, 0)
	say("open", err)
	flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	say("cloexec", flags)
	_, err = unix.PidfdOpen(1<<22-9, 0)
	_, err2 := unix.PidfdOpen(0, 0)
	_, err3 := unix.PidfdOpen(pid, 1)
	say("bad", err, err2, err3)
	say("poll", ready(fd, unix.POLLIN))
	say("signal", unix.PidfdSendSignal(fd, 0, nil, 0), unix.PidfdSendSignal(fd, 0, nil, 1<<9), unix.PidfdSendSignal(1, 0, nil, 0), unix.PidfdSendSignal(fd, 99, nil, 0))
	f := open("f", unix.O_RDWR|unix.O_CREAT)
	unix.Write(f, []byte("same file"))
	d, err := unix.PidfdGetfd(fd, f, 0)
	b := make([]byte, 4)
	n, err2 := unix.Pread(d, b, 0)
	_, err3 = unix.PidfdGetfd(fd, 9999, 0)
	say("getfd", err, got(n, err2, b), err3)
	var info unix.Siginfo
	say("wait", unix.Waitid(unix.P_PIDFD, fd, &info, unix.WEXITED, nil))
	p, err := os.FindProcess(pid)
	say("os", err, p.Signal(syscall.Signal(0)))
	p, err = os.FindProcess(1<<22 - 9)
	say("os nobody", err, p.Signal(syscall.Signal(0)) != nil)
}

func epolls() {
	b := make([]byte, 64)
	one := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	e := must(unix.Eventfd(1, unix.EFD_NONBLOCK))
	ctl := func(ep, op, fd int, ev uint32, data int32) error {
		return unix.EpollCtl(ep, op, fd, &unix.EpollEvent{Events: ev, Pad: data})
	}
	ep := must(unix.EpollCreate1(0))
	say("one shot", ctl(ep, unix.EPOLL_CTL_ADD, e, unix.EPOLLIN|unix.EPOLLONESHOT, 1), epollWait(ep, 0))
	unix.Write(e, one)
	say("after one shot", epollWait(ep, 0), ctl(ep, unix.EPOLL_CTL_MOD, e, unix.EPOLLIN|unix.EPOLLONESHOT, 2), epollWait(ep, 0), epollWait(ep, 0))
	say("rearm as level", ctl(ep, unix.EPOLL_CTL_MOD, e, unix.EPOLLIN, 3), epollWait(ep, 0), epollWait(ep, 0))
	say("no interest", ctl(ep, unix.EPOLL_CTL_MOD, e, 0, 3), epollWait(ep, 0))
	say("exclusive", ctl(ep, unix.EPOLL_CTL_MOD, e, unix.EPOLLIN|unix.EPOLLEXCLUSIVE, 3), ctl(ep, unix.EPOLL_CTL_DEL, e, 0, 0), ctl(ep, unix.EPOLL_CTL_ADD, e, unix.EPOLLIN|unix.EPOLLEXCLUSIVE|unix.EPOLLONESHOT, 4),
		ctl(ep, unix.EPOLL_CTL_ADD, e, unix.EPOLLIN|unix.EPOLLEXCLUSIVE|unix.EPOLLPRI, 4), ctl(ep, unix.EPOLL_CTL_ADD, e, unix.EPOLLIN|unix.EPOLLEXCLUSIVE, 4), epollWait(ep, 0), ctl(ep, unix.EPOLL_CTL_MOD, e, unix.EPOLLIN, 4))
	inner := must(unix.EpollCreate1(0))
	say("exclusive nested", ctl(ep, unix.EPOLL_CTL_ADD, inner, unix.EPOLLIN|unix.EPOLLEXCLUSIVE, 5))
	say("nested", ctl(ep, unix.EPOLL_CTL_ADD, inner, unix.EPOLLIN, 5), ctl(ep, unix.EPOLL_CTL_DEL, e, 0, 0), epollWait(ep, 0), ctl(inner, unix.EPOLL_CTL_ADD, e, unix.EPOLLIN, 6), epollWait(ep, 0), ready(ep, unix.POLLIN), epollWait(inner, 0), epollWait(ep, 0))
	unix.Read(e, b)
	say("nested drained", epollWait(ep, 0), epollWait(inner, 0))
	chain := []int{ep}
	for range 6 {
		next := must(unix.EpollCreate1(0))
		say("chain", ctl(next, unix.EPOLL_CTL_ADD, chain[len(chain)-1], unix.EPOLLIN, 1))
		chain = append(chain, next)
	}
	say("loop", ctl(inner, unix.EPOLL_CTL_ADD, ep, unix.EPOLLIN, 1))
	d := must(unix.Dup(e))
	ep2 := must(unix.EpollCreate1(0))
	say("two numbers of one file", ctl(ep2, unix.EPOLL_CTL_ADD, e, unix.EPOLLIN, 7), ctl(ep2, unix.EPOLL_CTL_ADD, d, unix.EPOLLIN, 8))
	unix.Write(e, one)
	got := strings.Fields(strings.Trim(epollWait(ep2, 0), "[]"))
	slices.Sort(got)
	say("both", got)
	unix.Close(e)
	say("one closed, the other keeps the file open", len(strings.Fields(epollWait(ep2, 0))))
	unix.Close(d)
	say("both closed", epollWait(ep2, 0))
	var p [2]int
	unix.Pipe2(p[:], unix.O_NONBLOCK)
	ep3 := must(unix.EpollCreate1(0))
	say("pipe", ctl(ep3, unix.EPOLL_CTL_ADD, p[0], unix.EPOLLIN|unix.EPOLLET, 1), ctl(ep3, unix.EPOLL_CTL_ADD, p[1], unix.EPOLLOUT|unix.EPOLLET, 2))
	say("writable", epollWait(ep3, 0), epollWait(ep3, 0))
	unix.Write(p[1], []byte("ab"))
	say("edge", epollWait(ep3, 100))
	unix.Read(p[0], b[:1])
	say("no edge by a read in part", epollWait(ep3, 0))
	unix.Write(p[1], []byte("c"))
	say("edge by each write", epollWait(ep3, 100))
	unix.Close(p[1])
	say("hang-up", epollWait(ep3, 100), epollWait(ep3, 0))
	events := make([]unix.EpollEvent, 4)
	n, err := raw(unix.SYS_EPOLL_PWAIT2, uintptr(ep3), uintptr(unsafe.Pointer(&events[0])), 4, uintptr(unsafe.Pointer(&unix.Timespec{Nsec: 1000})), 0, 0)
	_, err2 := raw(unix.SYS_EPOLL_PWAIT2, uintptr(ep3), uintptr(unsafe.Pointer(&events[0])), 4, uintptr(unsafe.Pointer(&unix.Timespec{Nsec: 2e9})), 0, 0)
	_, err3 := unix.EpollWait(p[0], events, 0)
	_, err4 := unix.EpollWait(999, events, 0)
	say("pwait2", n, err, err2, err3, err4)
	_, err = raw(unix.SYS_EPOLL_CREATE, 0)
	_, err2 = raw(unix.SYS_EPOLL_CREATE1, 1)
	say("create bad", err, err2)
	_, err = unix.Read(ep3, b)
	_, err2 = unix.Write(ep3, b)
	say("read and write", err, err2)
}

func timers() {
	b := make([]byte, 8)
	count := func(fd int) string {
		n, err := unix.Read(fd, b)
		if err != nil {
			return number(err)
		}
		return fmt.Sprint(n, binary.LittleEndian.Uint64(b))
	}
	for _, clock := range []int{unix.CLOCK_REALTIME, unix.CLOCK_MONOTONIC, unix.CLOCK_BOOTTIME} {
		fd := must(unix.TimerfdCreate(clock, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC))
		var now unix.Timespec
		unix.ClockGettime(int32(clock), &now)
		due := unix.NsecToTimespec(now.Nano() + 30e6)
		say(fmt.Sprint("absolute ", clock), unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, &unix.ItimerSpec{Value: due}, nil), count(fd), ready(fd, unix.POLLIN), count(fd), count(fd))
		var left unix.ItimerSpec
		say("absolute left", unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, &unix.ItimerSpec{Value: unix.NsecToTimespec(now.Nano() + 50e9), Interval: unix.Timespec{Sec: 3}}, nil), unix.TimerfdGettime(fd, &left), left.Value.Sec == 49, left.Interval.Sec)
		say("replace", unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Value: unix.Timespec{Sec: 100}}, &left), left.Value.Sec == 49, left.Interval.Sec)
		unix.Close(fd)
	}
	fd := must(unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_NONBLOCK))
	say("cancel on set", unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &unix.ItimerSpec{Value: unix.Timespec{Sec: 1 << 40}}, nil), count(fd))
	say("short read", unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Value: unix.Timespec{Nsec: 1}}, nil), ready(fd, unix.POLLIN))
	_, err := unix.Read(fd, b[:7])
	_, err2 := unix.Write(fd, b)
	say("bad io", err, err2, unix.TimerfdSettime(fd, 4, &unix.ItimerSpec{}, nil), unix.TimerfdSettime(999, 0, &unix.ItimerSpec{}, nil), unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Value: unix.Timespec{Sec: -1}}, nil))
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	due := unix.NsecToTimespec(now.Nano() + 10e6)
	begin := time.Now()
	say("clock_nanosleep absolute", unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &due, nil), time.Since(begin) < 10*time.Second)
	say("clock_nanosleep past", unix.ClockNanosleep(unix.CLOCK_REALTIME, unix.TIMER_ABSTIME, &unix.Timespec{Sec: 1}, nil), unix.ClockNanosleep(unix.CLOCK_BOOTTIME, 0, &unix.Timespec{Nsec: 5}, nil), unix.ClockNanosleep(unix.CLOCK_THREAD_CPUTIME_ID, 0, &unix.Timespec{Nsec: 5}, nil), unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &unix.Timespec{Nsec: -5}, nil), unix.ClockNanosleep(unix.CLOCK_TAI, 0, &unix.Timespec{Nsec: 5}, nil), unix.ClockNanosleep(unix.CLOCK_MONOTONIC_RAW, 0, &unix.Timespec{Nsec: 5}, nil))
}

func machineCalls() {
	var set unix.CPUSet
	set.Set(0)
	say("affinity", unix.SchedSetaffinity(0, &set), unix.SchedSetaffinity(0, &unix.CPUSet{}))
	set.Zero()
	for i := range runtime.NumCPU() {
		set.Set(i)
	}
	unix.SchedSetaffinity(0, &set)
	cpu, node := uint32(99), uint32(99)
	_, err := raw(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), uintptr(unsafe.Pointer(&node)), 0)
	_, err2 := raw(unix.SYS_GETCPU, 0, 0, 0)
	say("getcpu", err, int(cpu) < runtime.NumCPU(), node, err2)
	q, err := raw(unix.SYS_MEMBARRIER, 0, 0)
	_, err2 = raw(unix.SYS_MEMBARRIER, 1, 0)
	_, err3 := raw(unix.SYS_MEMBARRIER, 16, 0)
	_, err4 := raw(unix.SYS_MEMBARRIER, 8, 0)
	_, err5 := raw(unix.SYS_MEMBARRIER, 1<<20, 0)
	_, err6 := raw(unix.SYS_MEMBARRIER, 3, 0)
	say("membarrier", q&9 == 9, err, err2, err3, err4, err5, err6)
	for _, policy := range []uintptr{0, 1, 2, 3, 4, 5, 6, 77} {
		high, err := raw(unix.SYS_SCHED_GET_PRIORITY_MAX, policy)
		low, err2 := raw(unix.SYS_SCHED_GET_PRIORITY_MIN, policy)
		say(fmt.Sprint("priorities ", policy), high, err, low, err2)
	}
	policy, err := raw(unix.SYS_SCHED_GETSCHEDULER, 0)
	zero, five := int32(0), int32(5)
	_, err2 = raw(unix.SYS_SCHED_GETPARAM, 0, uintptr(unsafe.Pointer(&five)))
	say("scheduler", policy, err, err2, five)
	five = 5
	_, err = raw(unix.SYS_SCHED_SETSCHEDULER, 0, 0, uintptr(unsafe.Pointer(&zero)))
	_, err2 = raw(unix.SYS_SCHED_SETSCHEDULER, 0, 0, uintptr(unsafe.Pointer(&five)))
	_, err3 = raw(unix.SYS_SCHED_SETSCHEDULER, 0, 1, uintptr(unsafe.Pointer(&zero)))
	_, err4 = raw(unix.SYS_SCHED_SETPARAM, 0, uintptr(unsafe.Pointer(&five)))
	_, err5 = raw(unix.SYS_SCHED_SETPARAM, 0, uintptr(unsafe.Pointer(&zero)))
	say("set scheduler", err, err2, err3, err4, err5)
	var tick unix.Timespec
	_, err = raw(unix.SYS_SCHED_RR_GET_INTERVAL, 0, uintptr(unsafe.Pointer(&tick)))
	say("interval", err)
	io, err := raw(unix.SYS_IOPRIO_GET, 1, 0)
	_, err2 = raw(unix.SYS_IOPRIO_GET, 9, 0)
	_ = io
	say("io priority", err, err2)
	persona, err := raw(unix.SYS_PERSONALITY, 0xffffffff)
	say("personality", persona, err)
	_, err = unix.Getpriority(9, 0)
	say("nice", unix.Setpriority(unix.PRIO_PROCESS, 0, 0), unix.Setpriority(9, 0, 0), err)
	var l, old unix.Rlimit
	say("prlimit", unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &l), unix.Prlimit(os.Getpid(), unix.RLIMIT_NOFILE, &l, &old), old == l, unix.Prlimit(1<<22-9, unix.RLIMIT_NOFILE, nil, &l), unix.Prlimit(0, 99, nil, &l), unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 9, Max: 8}, nil))
	rnd := make([]byte, 1000)
	for _, flags := range []int{0, unix.GRND_NONBLOCK, unix.GRND_RANDOM, unix.GRND_INSECURE, unix.GRND_RANDOM | unix.GRND_INSECURE, 8} {
		n, err := unix.Getrandom(rnd, flags)
		say(fmt.Sprint("random ", flags), n, err)
	}
	n, err := unix.Getrandom(nil, 0)
	say("random nothing", n, err)
	unix.Sync()
	say("close range", unix.CloseRange(1000, ^uint(0), 0), unix.CloseRange(1000, 2000, unix.CLOSE_RANGE_CLOEXEC))
	f := open("cx", unix.O_RDWR|unix.O_CREAT)
	unix.Dup3(f, 1001, 0)
	unix.CloseRange(1000, 2000, unix.CLOSE_RANGE_CLOEXEC)
	flags, _ := unix.FcntlInt(1001, unix.F_GETFD, 0)
	say("close range cloexec", flags, unix.Close(1001))
	var tm unix.Timex
	_, err = unix.Adjtimex(&tm)
	say("adjtimex read", err, tm.Tick, tm.Time.Sec > 1<<30)
}

func files2() {
	f := open("f", unix.O_RDWR|unix.O_CREAT)
	unix.Write(f, []byte("0123456789"))
	b := make([]byte, 10)
	for _, flags := range []int{unix.RWF_HIPRI, unix.RWF_DSYNC, unix.RWF_SYNC, unix.RWF_NOWAIT, unix.RWF_APPEND, 1 << 12} {
		n, err := unix.Preadv2(f, [][]byte{b[:3], b[3:5]}, 1, flags)
		m, err2 := unix.Pwritev2(f, [][]byte{[]byte("ab"), []byte("c")}, 4, flags)
		say(fmt.Sprintf("v2 %#x", flags), n, err, m, err2, text("f"))
	}
	n, err := unix.Pwritev2(f, [][]byte{[]byte("end")}, -1, 0)
	off, _ := unix.Seek(f, 0, 1)
	say("pwritev2 -1", n, err, off)
	_, err = unix.Preadv(f, [][]byte{b}, -1)
	say("preadv -1", err)
	_, err = raw(unix.SYS_READV, uintptr(f), uintptr(unsafe.Pointer(&b[0])), 1025)
	_, err2 := raw(unix.SYS_READV, uintptr(f), 0, 0)
	_, err3 := raw(unix.SYS_WRITEV, uintptr(f), 0, ^uintptr(0))
	say("iovecs", err, err2, err3)
	var p [2]int
	unix.Pipe2(p[:], unix.O_NONBLOCK)
	_, err = unix.Preadv(p[0], [][]byte{b}, 0)
	_, err2 = unix.Pwritev(p[1], [][]byte{b}, 0)
	_, err3 = unix.Preadv2(p[0], [][]byte{b}, -1, 0)
	say("pipe", err, err2, err3)
	os.WriteFile("g", make([]byte, 3*page), 0o644)
	g := open("g", unix.O_RDWR)
	for _, mode := range []uint32{0, 1, 2, 3, 4, 8, 0x10, 0x11, 0x20, 0x40, 0x80} {
		say(fmt.Sprintf("fallocate %#x", mode), unix.Fallocate(g, mode, page, page), shape("g"))
	}
	say("fallocate far", unix.Fallocate(g, 0, 1<<62, 1<<62), unix.Fallocate(p[0], 0, 0, 1), unix.Fallocate(open(".", unix.O_RDONLY), 0, 0, 1), unix.Fallocate(999, 0, 0, 1))
	m, err := unix.MemfdCreate("with a/slash", unix.MFD_CLOEXEC)
	say("memfd", err)
	_, err = unix.MemfdCreate(strings.Repeat("n", 249), 0)
	_, err2 = unix.MemfdCreate(strings.Repeat("n", 250), 0)
	say("memfd names", err, err2)
	link, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", m))
	say("memfd link", link)
	var st unix.Stat_t
	unix.Fstat(m, &st)
	say("memfd links", st.Nlink, fmt.Sprintf("%o", st.Mode))
	_, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", m), unix.O_RDWR, 0)
	say("memfd again", err)
	os.Symlink("f", "sl")
	os.Mkdir("d", 0o755)
	for _, resolve := range []uint64{0, unix.RESOLVE_BENEATH, unix.RESOLVE_IN_ROOT, unix.RESOLVE_NO_SYMLINKS, unix.RESOLVE_NO_MAGICLINKS, unix.RESOLVE_NO_XDEV, unix.RESOLVE_BENEATH | unix.RESOLVE_IN_ROOT, 1 << 20} {
		for _, path := range []string{"f", "sl", "d/../f", "..", "/", "/proc/version", "/proc/self/exe", "/proc/self/fd/0"} {
			fd, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC, Resolve: resolve})
			say(fmt.Sprintf("openat2 %#x %s", resolve, path), err)
			unix.Close(fd)
		}
	}
	for _, flags := range []uint64{unix.O_PATH, unix.O_PATH | unix.O_RDWR, unix.O_PATH | unix.O_TRUNC, unix.O_TMPFILE | unix.O_RDWR, unix.O_TMPFILE, unix.O_CREAT | unix.O_DIRECTORY, unix.O_DIRECTORY, 1 << 31} {
		fd, err := unix.Openat2(unix.AT_FDCWD, "d", &unix.OpenHow{Flags: flags})
		say(fmt.Sprintf("openat2 flags %#x", flags), err)
		unix.Close(fd)
	}
	how := unix.OpenHow{}
	for _, size := range []uintptr{0, 23, 24, 32, 5000} {
		big := make([]byte, 5000)
		_, err := raw(unix.SYS_OPENAT2, uintptr(^uint(99)), uintptr(unsafe.Pointer(&[]byte("f\x00")[0])), uintptr(unsafe.Pointer(&big[0])), size)
		say(fmt.Sprint("openat2 size ", size), err)
	}
	_ = how
	var x unix.Statx_t
	say("statx", unix.Statx(unix.AT_FDCWD, "sl", unix.AT_SYMLINK_NOFOLLOW, unix.STATX_ALL|unix.STATX_MNT_ID, &x), fmt.Sprintf("%o", x.Mode), x.Size, x.Nlink, x.Blksize, fmt.Sprintf("%#x", x.Mask&0x1fff), x.Mtime.Sec > 1<<30, x.Btime.Sec > 1<<30, x.Btime.Sec <= x.Ctime.Sec, x.Mnt_id > 0, x.Dev_minor > 0 || x.Dev_major > 0, x.Ino > 0)
	say("statx flags", unix.Statx(unix.AT_FDCWD, "f", unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, &x), unix.Statx(unix.AT_FDCWD, "f", unix.AT_STATX_DONT_SYNC, unix.STATX_BASIC_STATS, &x), unix.Statx(unix.AT_FDCWD, "f", 0x6000, unix.STATX_BASIC_STATS, &x), unix.Statx(unix.AT_FDCWD, "f", unix.AT_NO_AUTOMOUNT, unix.STATX_BASIC_STATS, &x))
	unix.Statx(unix.AT_FDCWD, "/proc", 0, unix.STATX_ALL, &x)
	say("statx of a mount", x.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, x.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0)
	pf := must(unix.Open("f", unix.O_PATH, 0))
	say("O_PATH", fmt.Sprint(unix.Fchown(pf, 0, 0)), unix.Ftruncate(pf, 0), unix.Fallocate(pf, 0, 0, 1), unix.Flock(pf, unix.LOCK_SH), unix.Fchdir(pf), unix.Fsync(pf))
	_, err = unix.Mmap(pf, 0, page, unix.PROT_READ, unix.MAP_PRIVATE)
	_, err2 = unix.FcntlInt(uintptr(pf), unix.F_SETFL, 0)
	fl, err3 := unix.FcntlInt(uintptr(pf), unix.F_GETFL, 0)
	_, err4 := unix.IoctlGetInt(pf, unix.TIOCINQ)
	say("O_PATH more", err, err2, fmt.Sprintf("%#x", fl), err3, err4)
	_, err = unix.Getxattr(fmt.Sprintf("/proc/self/fd/%d", pf), "user.x", b)
	say("O_PATH by its link", err)
	dp := must(unix.Open("d", unix.O_PATH|unix.O_DIRECTORY, 0))
	fd, err := unix.Openat(dp, "made", unix.O_CREAT|unix.O_RDWR, 0o600)
	say("openat O_PATH", err, unix.Fchdir(dp), unix.Chdir(".."))
	unix.Close(fd)
	fd, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", pf), unix.O_RDONLY, 0)
	say("open by O_PATH", err)
	say("user xattr", unix.Setxattr("f", "user.a", []byte("v"), 0), unix.Setxattr("sl", "user.b", []byte("w"), 0), unix.Lsetxattr("sl", "user.c", nil, 0))
	size, err := unix.Listxattr("f", nil)
	say("list size", size, err)
	say("remove", unix.Removexattr("f", "user.a"), unix.Removexattr("f", "user.a"))
	say("on a folder", unix.Setxattr("d", "trusted.x", []byte("v"), 0), unix.Setxattr("d", "user.x", []byte("v"), 0))
	say("on proc", unix.Setxattr("/proc/version", "trusted.x", []byte("v"), 0), unix.Setxattr("/dev/null", "user.x", []byte("v"), 0))
	say("fchmodat2", func() error {
		_, err := raw(452, uintptr(^uint(99)), uintptr(unsafe.Pointer(&[]byte("f\x00")[0])), 0o600, 0)
		return err
	}(), shape("f"))
}

func passing() {
	b := make([]byte, 100)
	for _, typ := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET} {
		p := must(unix.Socketpair(unix.AF_UNIX, typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0))
		fl, _ := unix.FcntlInt(uintptr(p[0]), unix.F_GETFL, 0)
		cl, _ := unix.FcntlInt(uintptr(p[0]), unix.F_GETFD, 0)
		say(fmt.Sprint("pair ", typ), fmt.Sprintf("%#x", fl), cl)
		cred, err := unix.GetsockoptUcred(p[0], unix.SOL_SOCKET, unix.SO_PEERCRED)
		say("peer", err, cred.Pid == int32(os.Getpid()), cred.Uid, cred.Gid)
		var pp [2]int
		unix.Pipe2(pp[:], unix.O_NONBLOCK)
		say("send", unix.Sendmsg(p[0], []byte("first"), unix.UnixRights(pp[0]), nil, 0), unix.Sendmsg(p[0], []byte("second"), unix.UnixRights(pp[1], p[0]), nil, 0))
		unix.Close(pp[0])
		oob := make([]byte, unix.CmsgSpace(4*10))
		n, oobn, flags, _, err := unix.Recvmsg(p[1], b, oob, 0)
		say("receive", got(n, err, b), oobn, fmt.Sprintf("%#x", flags))
		msgs, _ := unix.ParseSocketControlMessage(oob[:oobn])
		fds, _ := unix.ParseUnixRights(&msgs[0])
		unix.Write(pp[1], []byte("through the pipe"))
		n, err = unix.Read(fds[0], b)
		say("passed", got(n, err, b))
		n, oobn, flags, _, err = unix.Recvmsg(p[1], b, oob, unix.MSG_PEEK)
		say("peek", got(n, err, b), oobn, fmt.Sprintf("%#x", flags))
		n, oobn, flags, _, err = unix.Recvmsg(p[1], b, nil, 0)
		say("no room", got(n, err, b), oobn, fmt.Sprintf("%#x", flags))
		say("empty", unix.Sendmsg(p[0], nil, unix.UnixRights(pp[1]), nil, 0))
		say("credentials", unix.Sendmsg(p[0], []byte("c"), unix.UnixCredentials(&unix.Ucred{Pid: int32(os.Getpid())}), nil, 0), unix.Sendmsg(p[0], []byte("c"), unix.UnixCredentials(&unix.Ucred{Pid: 1<<22 - 9}), nil, 0))
		unix.SetsockoptInt(p[0], unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
		v, err := unix.GetsockoptInt(p[0], unix.SOL_SOCKET, unix.SO_PASSCRED)
		say("passcred", v, err)
		pidfd, err := unix.GetsockoptInt(p[0], unix.SOL_SOCKET, 77) // SO_PEERPIDFD
		say("peer pidfd", pidfd > 0, err)
		unix.Close(p[0])
		unix.Close(p[1])
	}
	_, err := unix.Socketpair(unix.AF_INET, unix.SOCK_STREAM, 0)
	_, err2 := unix.Socketpair(unix.AF_UNIX, 99, 0)
	_, err3 := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 5)
	say("bad pairs", err, err2, err3)
}
