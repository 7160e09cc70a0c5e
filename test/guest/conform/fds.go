package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func descriptors() {
	f := open("f", unix.O_RDWR|unix.O_CREAT)
	d, err := unix.Dup(f)
	say("dup", err)
	unix.Write(f, []byte("abc"))
	off, _ := unix.Seek(d, 0, 1)
	say("shared offset", off)
	say("dup2", unix.Dup2(f, 200), unix.Dup2(f, f), unix.Dup2(999, 5), unix.Dup2(f, -1), unix.Dup3(f, f, 0), unix.Dup3(f, 201, 1), unix.Dup3(f, 201, unix.O_CLOEXEC))
	flags, err := unix.FcntlInt(201, unix.F_GETFD, 0)
	say("cloexec", flags, err)
	flags, err = unix.FcntlInt(200, unix.F_GETFD, 0)
	say("no cloexec", flags, err)
	n, err := unix.FcntlInt(uintptr(f), unix.F_DUPFD, 300)
	say("dupfd", n, err)
	n, err = unix.FcntlInt(uintptr(f), unix.F_DUPFD_CLOEXEC, 300)
	say("dupfd cloexec", n, err)
	_, err = unix.FcntlInt(uintptr(f), unix.F_DUPFD, -1)
	say("dupfd -1", err)
	_, err = unix.FcntlInt(uintptr(f), unix.F_SETFL, unix.O_APPEND|unix.O_NONBLOCK|unix.O_RDONLY)
	flags, _ = unix.FcntlInt(uintptr(f), unix.F_GETFL, 0)
	say("setfl", err, fmt.Sprintf("%#x", flags))
	_, err = unix.FcntlInt(uintptr(f), 4711, 0)
	say("fcntl unknown", err)
	_, err = unix.FcntlInt(999, unix.F_GETFL, 0)
	say("fcntl bad", err)
	say("close", unix.Close(d), unix.Close(d), unix.Close(-1))
	say("close range", unix.CloseRange(300, 310, 0), unix.CloseRange(5, 4, 0), unix.CloseRange(200, 201, 1<<8))
	_, err = unix.FcntlInt(300, unix.F_GETFD, 0)
	say("closed", err)
	_, err = unix.IoctlGetInt(f, unix.TIOCINQ)
	say("fionread", err)
	_, err = unix.IoctlGetTermios(f, unix.TCGETS)
	say("tcgets", err)
	_, err = unix.IoctlGetInt(f, 0x12345678)
	say("ioctl unknown", err)
	target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f))
	say("fd link", target[strings.LastIndex(target, "/"):], err)
	os.Remove("f")
	target, _ = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f))
	say("fd link of unlinked", target[strings.LastIndex(target, "/"):])
	var r unix.Rlimit
	say("nofile", unix.Getrlimit(unix.RLIMIT_NOFILE, &r), r.Cur >= 1024)
	low := unix.Rlimit{Cur: 64, Max: r.Max}
	say("set nofile", unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	var fds []int
	for {
		fd, err := unix.Dup(f)
		if err != nil {
			say("too many", err)
			break
		}
		fds = append(fds, fd)
	}
	say("dup2 beyond", unix.Dup2(f, 64))
	for _, fd := range fds {
		unix.Close(fd)
	}
	unix.Setrlimit(unix.RLIMIT_NOFILE, &r)
	say("rlimit bad", unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 2, Max: 1}), unix.Getrlimit(99, &r))
	m, err := unix.MemfdCreate("name", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	say("memfd", err)
	unix.Write(m, []byte("12345"))
	link, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", m))
	say("memfd link", link)
	var st unix.Stat_t
	unix.Fstat(m, &st)
	say("memfd stat", shapeOf(&st))
	seals, err := unix.FcntlInt(uintptr(m), unix.F_GET_SEALS, 0)
	say("seals", seals, err)
	_, err = unix.FcntlInt(uintptr(m), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW)
	say("seal", err, unix.Ftruncate(m, 1), unix.Ftruncate(m, 9))
	_, err = unix.Pwrite(m, []byte("xy"), 4)
	say("write beyond seal", err)
	_, err = unix.FcntlInt(uintptr(m), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_SEAL)
	say("seal write", err)
	_, err = unix.Pwrite(m, []byte("x"), 0)
	say("write sealed", err)
	_, err = unix.FcntlInt(uintptr(m), unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
	say("seal sealed", err)
	_, err = unix.MemfdCreate("x", 0x1000)
	say("memfd bad", err)
	m2 := must(unix.MemfdCreate("y", 0))
	_, err = unix.FcntlInt(uintptr(m2), unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
	say("memfd without sealing", err)
	_, err = unix.FcntlInt(uintptr(f), unix.F_GET_SEALS, 0)
	say("seals of a tmpfs file", err)
}

func lock(fd, cmd int, typ int16, start, length int64) error {
	l := unix.Flock_t{Type: typ, Start: start, Len: length}
	return unix.FcntlFlock(uintptr(fd), cmd, &l)
}

func locks() {
	a, b := open("f", unix.O_RDWR|unix.O_CREAT), open("f", unix.O_RDWR)
	ro := open("f", unix.O_RDONLY)
	say("flock", unix.Flock(a, unix.LOCK_EX), unix.Flock(b, unix.LOCK_EX|unix.LOCK_NB), unix.Flock(b, unix.LOCK_SH|unix.LOCK_NB), unix.Flock(a, unix.LOCK_SH), unix.Flock(b, unix.LOCK_SH|unix.LOCK_NB))
	say("flock upgrade", unix.Flock(a, unix.LOCK_EX|unix.LOCK_NB), unix.Flock(b, unix.LOCK_UN), unix.Flock(a, unix.LOCK_EX|unix.LOCK_NB), unix.Flock(a, 0), unix.Flock(999, unix.LOCK_EX))
	done := make(chan error)
	go func() { done <- unix.Flock(b, unix.LOCK_EX) }()
	select {
	case <-done:
		say("flock did not wait")
	case <-time.After(30 * time.Millisecond):
	}
	unix.Close(a)
	within(func() { say("flock after close", <-done) })
	unix.Flock(b, unix.LOCK_UN)
	a = open("f", unix.O_RDWR)
	const ofdGet, ofdSet, ofdSetWait = 36, 37, 38
	say("ofd", lock(a, ofdSet, unix.F_WRLCK, 0, 10), lock(b, ofdSet, unix.F_WRLCK, 5, 10), lock(b, ofdSet, unix.F_WRLCK, 10, 10), lock(b, ofdSet, unix.F_RDLCK, 9, 1))
	l := unix.Flock_t{Type: unix.F_WRLCK, Start: 0, Len: 100}
	say("ofd get", unix.FcntlFlock(uintptr(b), ofdGet, &l), l.Type, l.Start, l.Len, l.Pid, l.Whence)
	l = unix.Flock_t{Type: unix.F_WRLCK, Start: 50, Len: 1}
	say("ofd get free", unix.FcntlFlock(uintptr(b), ofdGet, &l), l.Type)
	say("ofd split", lock(a, ofdSet, unix.F_UNLCK, 3, 2), lock(b, ofdSet, unix.F_WRLCK, 3, 2), lock(b, ofdSet, unix.F_WRLCK, 5, 1))
	l = unix.Flock_t{Type: unix.F_WRLCK, Pid: 5}
	say("ofd pid", unix.FcntlFlock(uintptr(a), ofdSet, &l))
	say("read-only", lock(ro, ofdSet, unix.F_WRLCK, 100, 1), lock(ro, ofdSet, unix.F_RDLCK, 100, 1), lock(ro, unix.F_SETLK, unix.F_WRLCK, 100, 1))
	go func() { done <- lock(b, ofdSetWait, unix.F_WRLCK, 0, 1) }()
	time.Sleep(20 * time.Millisecond)
	lock(a, ofdSet, unix.F_UNLCK, 0, 0)
	within(func() { say("ofd wait", <-done) })
	unix.Close(b)
	b = open("f", unix.O_RDWR)
	say("posix", lock(a, unix.F_SETLK, unix.F_WRLCK, 0, 10), lock(b, unix.F_SETLK, unix.F_WRLCK, 5, 10), lock(b, unix.F_SETLKW, unix.F_RDLCK, 0, 1))
	say("posix against ofd", lock(b, ofdSet, unix.F_WRLCK, 0, 100))
	l = unix.Flock_t{Type: unix.F_WRLCK, Start: 0, Len: 100}
	say("posix get", unix.FcntlFlock(uintptr(a), unix.F_GETLK, &l), l.Type)
	l = unix.Flock_t{Type: unix.F_WRLCK, Start: 2, Len: 4}
	say("ofd sees posix", unix.FcntlFlock(uintptr(b), ofdGet, &l), l.Type, l.Start, l.Len, l.Pid == int32(os.Getpid()))
	unix.Close(open("f", unix.O_RDONLY)) // closing any descriptor drops the process's locks
	say("dropped by close", lock(b, ofdSet, unix.F_WRLCK, 0, 100))
	say("posix waits for ofd", lock(a, unix.F_SETLK, unix.F_RDLCK, 0, 1))
	say("bad", lock(a, unix.F_SETLK, 9, 0, 1), lock(a, unix.F_SETLK, unix.F_WRLCK, -5, 1), lock(999, unix.F_SETLK, unix.F_WRLCK, 0, 1))
	l = unix.Flock_t{Type: unix.F_WRLCK, Whence: 7}
	say("bad whence", unix.FcntlFlock(uintptr(a), unix.F_SETLK, &l))
	var p [2]int
	unix.Pipe(p[:])
	say("locks on a pipe", lock(p[0], unix.F_SETLK, unix.F_RDLCK, 0, 1))
	dir := open(".", unix.O_RDONLY)
	say("locks on a folder", unix.Flock(dir, unix.LOCK_EX|unix.LOCK_NB), lock(dir, unix.F_SETLK, unix.F_RDLCK, 0, 1))
}

func mappings() {
	f := open("f", unix.O_RDWR|unix.O_CREAT)
	unix.Write(f, []byte(strings.Repeat("a", 5000)))
	m, err := unix.Mmap(f, 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	say("shared", err)
	m[0] = 'X'
	b := make([]byte, 3)
	unix.Pread(f, b, 0)
	say("file sees memory", string(b))
	unix.Pwrite(f, []byte("YZ"), 1)
	say("memory sees file", string(m[:4]))
	m2, err := unix.Mmap(f, 4096, 4096, unix.PROT_READ, unix.MAP_SHARED)
	say("second", err)
	m[4096] = 'Q'
	say("coherent", m2[0] == 'Q', m2[5000-4096] == 0)
	say("msync", unix.Msync(m, unix.MS_SYNC), unix.Msync(m, unix.MS_ASYNC), unix.Msync(m, unix.MS_SYNC|unix.MS_ASYNC))
	unix.Ftruncate(f, 20000)
	unix.Pwrite(f, []byte("grown"), 15000)
	m3, err := unix.Mmap(f, 0, 20480, unix.PROT_READ, unix.MAP_SHARED)
	say("after growth", err, string(m3[15000:15005]), m3[0] == 'X')
	p, err := unix.Mmap(f, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	p[0] = 'P'
	unix.Pread(f, b, 0)
	say("private", err, string(b[:1]), string(p[:1]))
	say("unmap", unix.Munmap(p), unix.Munmap(m2))
	unix.Pread(f, b, 0)
	say("after unmap", string(b))
	ro := open("f", unix.O_RDONLY)
	_, err = unix.Mmap(ro, 0, 4096, unix.PROT_WRITE|unix.PROT_READ, unix.MAP_SHARED)
	say("shared writable of read-only", err)
	q, err := unix.Mmap(ro, 0, 4096, unix.PROT_WRITE|unix.PROT_READ, unix.MAP_PRIVATE)
	say("private writable of read-only", err)
	unix.Munmap(q)
	wo := open("f", unix.O_WRONLY)
	_, err = unix.Mmap(wo, 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
	say("of write-only", err)
	for _, c := range []struct {
		fd     int
		off    int64
		length int
		flags  int
	}{{f, 1, 4096, unix.MAP_SHARED}, {f, 0, 0, unix.MAP_SHARED}, {999, 0, 4096, unix.MAP_SHARED}, {f, 0, 4096, 0}, {open(".", unix.O_RDONLY), 0, 4096, unix.MAP_SHARED}} {
		_, err := unix.Mmap(c.fd, c.off, c.length, unix.PROT_READ, c.flags)
		say(fmt.Sprint("bad ", c.off, " ", c.length, " ", c.flags), err)
	}
	file("small", "tiny")
	s := open("small", unix.O_RDONLY)
	v := must(unix.Mmap(s, 0, 4096, unix.PROT_READ, unix.MAP_SHARED))
	say("small", string(v[:6]) == "tiny\x00\x00")
	unix.Close(s)
	os.Remove("small")
	say("unlinked and closed", string(v[:4]))
	say("unmap", unix.Munmap(v))
	anon, err := unix.Mmap(-1, 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	say("anonymous", err, anon[8191])
	say("mprotect", unix.Mprotect(anon, unix.PROT_READ), unix.Mprotect(anon, unix.PROT_READ|unix.PROT_WRITE))
	say("madvise", unix.Madvise(anon, unix.MADV_DONTNEED), unix.Madvise(anon, unix.MADV_WILLNEED), unix.Madvise(anon, unix.MADV_RANDOM), unix.Madvise(anon, 9999))
	anon[0] = 1
	unix.Madvise(anon, unix.MADV_DONTNEED)
	say("zero after dontneed", anon[0])
	vec := make([]byte, 2)
	_, _, e := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&anon[0])), 8192, uintptr(unsafe.Pointer(&vec[0])))
	say("mincore", e == 0)
	say("mlock", unix.Mlock(anon), unix.Munlock(anon), unix.Munmap(anon))
	say("madvise on a shared file", unix.Madvise(m3, unix.MADV_RANDOM), unix.Madvise(m3, unix.MADV_WILLNEED))
	sh, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_SHARED)
	say("anonymous shared", err, len(sh))
	r, err := unix.Mremap(sh, 16384, unix.MREMAP_MAYMOVE)
	say("mremap", err, len(r))
	mem := must(unix.MemfdCreate("m", 0))
	unix.Ftruncate(mem, 4096)
	mm, err := unix.Mmap(mem, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	mm[7] = 9
	unix.Pread(mem, b, 7)
	say("memfd", err, b[0])
	unix.Close(mem)
	say("memfd after close", mm[7])
	z := open("/dev/zero", unix.O_RDWR)
	zm, err := unix.Mmap(z, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	say("dev zero", err, len(zm))
	fixed := must(unix.Mmap(-1, 0, 3*4096, unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE))
	at := uintptr(unsafe.Pointer(unsafe.SliceData(fixed)))
	got, _, e := unix.Syscall6(unix.SYS_MMAP, at, 4096, unix.PROT_READ, unix.MAP_FIXED|unix.MAP_PRIVATE, uintptr(f), 0)
	say("fixed private", e == 0, got == at, e == 0 && fixed[1] == 'Y')
}

func pipes() {
	var p [2]int
	say("pipe", unix.Pipe2(p[:], unix.O_NONBLOCK), unix.Pipe2(p[:], 1<<20))
	unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC)
	b := make([]byte, 1<<20)
	_, err := unix.Read(p[0], b)
	say("read empty", err)
	n, err := unix.Write(p[1], b)
	say("fill", n, err)
	_, err = unix.Write(p[1], b[:1])
	say("write full", err)
	size, err := unix.FcntlInt(uintptr(p[1]), unix.F_GETPIPE_SZ, 0)
	say("size", size, err)
	_, err = unix.FcntlInt(uintptr(p[1]), unix.F_SETPIPE_SZ, 4096)
	say("shrink full", err)
	unix.Read(p[0], b)
	size, err = unix.FcntlInt(uintptr(p[1]), unix.F_SETPIPE_SZ, 100000)
	say("set size", size, err)
	size, err = unix.FcntlInt(uintptr(p[1]), unix.F_SETPIPE_SZ, 1)
	say("set size 1", size, err)
	unix.Write(p[1], []byte("abc"))
	q, err := unix.IoctlGetInt(p[0], unix.TIOCINQ)
	say("fionread", q, err)
	_, err = unix.Write(p[0], b[:1])
	say("write read end", err)
	_, err = unix.Read(p[1], b[:1])
	say("read write end", err)
	_, err = unix.Seek(p[0], 0, 0)
	say("seek", err)
	_, err = unix.Pread(p[0], b, 0)
	say("pread", err)
	say("truncate", unix.Ftruncate(p[1], 0), unix.Fsync(p[1]), unix.Fallocate(p[1], 0, 0, 1), unix.Fadvise(p[1], 0, 1, 0))
	var st unix.Stat_t
	unix.Fstat(p[0], &st)
	say("stat", fmt.Sprintf("%o", st.Mode), st.Nlink)
	unix.Close(p[1])
	n, err = unix.Read(p[0], b)
	say("rest", n, err)
	n, err = unix.Read(p[0], b)
	say("end", n, err)
	unix.Pipe2(p[:], 0)
	unix.Close(p[0])
	_, err = unix.Write(p[1], []byte("x"))
	say("broken", err)
	poll := []unix.PollFd{{Fd: int32(p[1]), Events: unix.POLLOUT}}
	n, err = unix.Poll(poll, 0)
	say("poll broken", n, err, fmt.Sprintf("%#x", poll[0].Revents))
	r, w, _ := os.Pipe()
	go func() { time.Sleep(10 * time.Millisecond); w.Write([]byte("late")); w.Close() }()
	got := make([]byte, 10)
	within(func() { n, err := r.Read(got); say("wait", string(got[:n]), err) })
	r.SetReadDeadline(time.Now().Add(-time.Second))
	_, err = r.Read(got)
	say("deadline", os.IsTimeout(err))
	unix.Mkfifo("fifo", 0o644)
	_, err = unix.Open("fifo", unix.O_WRONLY|unix.O_NONBLOCK, 0)
	say("fifo without reader", err)
	fr := must(unix.Open("fifo", unix.O_RDONLY|unix.O_NONBLOCK, 0))
	n, err = unix.Read(fr, got)
	say("fifo without writer", n, err)
	fw, err := unix.Open("fifo", unix.O_WRONLY|unix.O_NONBLOCK, 0)
	say("fifo", err)
	unix.Write(fw, []byte("through"))
	n, _ = unix.Read(fr, got)
	say("fifo read", string(got[:n]))
	_, err = unix.Read(fr, got)
	say("fifo empty", err)
	var pk [2]int
	pk[0], pk[1] = -1, -1
	say("packets", unix.Pipe2(pk[:], unix.O_DIRECT|unix.O_NONBLOCK))
	unix.Write(pk[1], []byte("one"))
	unix.Write(pk[1], []byte("two"))
	n, err = unix.Read(pk[0], got)
	say("packet", string(got[:max(n, 0)]), err)
	runtime.KeepAlive(r)
}

func transfers() {
	file("f", strings.Repeat("0123456789", 2000))
	in := open("f", unix.O_RDONLY)
	out := open("out", unix.O_RDWR|unix.O_CREAT)
	off := int64(5)
	n, err := unix.Sendfile(out, in, &off, 100)
	say("sendfile", n, off, err, fmt.Sprintf("%.12s", text("out")))
	n, err = unix.Sendfile(out, in, nil, 1<<20)
	say("sendfile all", n, err, shape("out"))
	n, err = unix.Sendfile(out, in, nil, 10)
	say("sendfile end", n, err)
	n, err = unix.Sendfile(in, in, nil, 10)
	say("sendfile to read-only", n, err)
	app := open("out", unix.O_WRONLY|unix.O_APPEND)
	_, err = unix.Sendfile(app, in, &off, 10)
	say("sendfile append", err)
	a, b := int64(0), int64(100000)
	n, err = unix.CopyFileRange(in, &a, out, &b, 50, 0)
	say("copy range", n, a, b, err, shape("out"))
	_, err = unix.CopyFileRange(in, &a, out, &b, 50, 1)
	say("copy range flags", err)
	_, err = unix.CopyFileRange(in, &a, app, &b, 50, 0)
	say("copy range append", err)
	x, y := int64(0), int64(10)
	_, err = unix.CopyFileRange(out, &x, out, &y, 50, 0)
	say("copy range overlap", err)
	var p, q [2]int
	unix.Pipe2(p[:], unix.O_NONBLOCK)
	unix.Pipe2(q[:], unix.O_NONBLOCK)
	_, err = unix.CopyFileRange(p[0], nil, out, &b, 50, 0)
	say("copy range pipe", err)
	off = 0
	m, err := unix.Splice(in, &off, p[1], nil, 1000, 0)
	say("splice in", m, off, err)
	m, err = unix.Tee(p[0], q[1], 10, 0)
	say("tee", m, err)
	buf := make([]byte, 20)
	n, err = unix.Read(q[0], buf)
	say("tee read", string(buf[:max(n, 0)]), err)
	m, err = unix.Splice(p[0], nil, q[1], nil, 100, 0)
	say("splice pipe to pipe", m, err)
	to := int64(0)
	out2 := open("out2", unix.O_RDWR|unix.O_CREAT)
	m, err = unix.Splice(q[0], nil, out2, &to, 100, 0)
	say("splice out", m, to, err, fmt.Sprintf("%.12s", text("out2")))
	m, err = unix.Splice(q[0], nil, out2, &to, 100, unix.SPLICE_F_NONBLOCK)
	say("splice empty", m, err)
	_, err = unix.Splice(in, nil, out2, nil, 100, 0)
	say("splice no pipe", err)
	_, err = unix.Splice(p[0], &off, out2, nil, 100, 0)
	say("splice pipe offset", err)
	_, err = unix.Tee(in, q[1], 10, 0)
	say("tee no pipe", err)
	n2, err := unix.Vmsplice(p[1], []unix.Iovec{{Base: &buf[0], Len: 5}}, 0)
	say("vmsplice", n2, err)
	s := must(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0))
	unix.Write(p[1], []byte("socket"))
	unix.Read(p[0], make([]byte, 5000))
	unix.Write(p[1], []byte("socket"))
	m, err = unix.Splice(p[0], nil, s[0], nil, 100, 0)
	say("splice to socket", m, err)
	m, err = unix.Splice(s[1], nil, p[1], nil, 100, 0)
	say("splice from socket", m, err)
	n, err = unix.Sendfile(s[0], in, &off, 3)
	say("sendfile to socket", n, err)
	_, err = unix.Sendfile(out, s[1], nil, 3)
	say("sendfile from socket", err)
}

func epollWait(ep int, ms int) string {
	events := make([]unix.EpollEvent, 10)
	n, err := unix.EpollWait(ep, events, ms)
	if err != nil {
		return number(err)
	}
	var out []string
	for _, e := range events[:n] {
		out = append(out, fmt.Sprintf("%d:%#x", e.Pad, e.Events))
	}
	return fmt.Sprint(out)
}

func events() {
	e, err := unix.Eventfd(3, unix.EFD_NONBLOCK)
	say("eventfd", err)
	b := make([]byte, 8)
	n, err := unix.Read(e, b)
	say("read", n, err, b[0])
	_, err = unix.Read(e, b)
	say("read again", err)
	n, err = unix.Write(e, []byte{5, 0, 0, 0, 0, 0, 0, 0})
	say("write", n, err)
	_, err = unix.Write(e, []byte{5})
	say("write short", err)
	_, err = unix.Read(e, b[:4])
	say("read short", err)
	binary.LittleEndian.PutUint64(b, ^uint64(0))
	_, err = unix.Write(e, b)
	say("write all ones", err)
	binary.LittleEndian.PutUint64(b, ^uint64(0)-1)
	_, err = unix.Write(e, b)
	say("write too much", err)
	s := must(unix.Eventfd(2, unix.EFD_SEMAPHORE|unix.EFD_NONBLOCK))
	unix.Read(s, b)
	first := b[0]
	_, err = unix.Read(s, b)
	_, err2 := unix.Read(s, b)
	say("semaphore", first, err, err2)
	_, err = unix.Eventfd(0, 1<<15)
	say("eventfd bad", err)

	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	say("epoll", err)
	ctl := func(op, fd int, ev uint32) error {
		return unix.EpollCtl(ep, op, fd, &unix.EpollEvent{Events: ev, Fd: int32(fd), Pad: 7})
	}
	say("add", ctl(unix.EPOLL_CTL_ADD, e, unix.EPOLLIN), ctl(unix.EPOLL_CTL_ADD, e, unix.EPOLLIN), ctl(unix.EPOLL_CTL_MOD, s, 0), ctl(unix.EPOLL_CTL_DEL, s, 0), ctl(unix.EPOLL_CTL_ADD, ep, unix.EPOLLIN), ctl(unix.EPOLL_CTL_ADD, 999, 1), ctl(9, s, 1))
	f := open("f", unix.O_RDWR|unix.O_CREAT)
	say("add file", ctl(unix.EPOLL_CTL_ADD, f, unix.EPOLLIN))
	say("wait", epollWait(ep, 0), epollWait(ep, 0))
	ctl(unix.EPOLL_CTL_MOD, e, unix.EPOLLIN|unix.EPOLLET)
	say("edge", epollWait(ep, 0), epollWait(ep, 0))
	unix.Write(e, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	say("edge again", epollWait(ep, 100), epollWait(ep, 0))
	ctl(unix.EPOLL_CTL_MOD, e, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLONESHOT)
	say("one shot", epollWait(ep, 0), epollWait(ep, 0))
	ctl(unix.EPOLL_CTL_MOD, e, unix.EPOLLOUT)
	say("out", epollWait(ep, 0))
	unix.Close(e)
	say("closed", epollWait(ep, 0))
	_, err = unix.EpollWait(ep, make([]unix.EpollEvent, 0, 1)[:0:1], 0)
	say("wait for none", err)
	ep2 := must(unix.EpollCreate1(0))
	say("nested", unix.EpollCtl(ep2, unix.EPOLL_CTL_ADD, ep, &unix.EpollEvent{Events: unix.EPOLLIN, Pad: 9}), unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, ep2, &unix.EpollEvent{Events: unix.EPOLLIN}))
	ctl(unix.EPOLL_CTL_ADD, s, unix.EPOLLOUT)
	say("nested wait", epollWait(ep2, 0))

	t, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK)
	say("timerfd", err)
	_, err = unix.Read(t, b)
	say("not set", err)
	var old unix.ItimerSpec
	say("set", unix.TimerfdSettime(t, 0, &unix.ItimerSpec{Value: unix.Timespec{Nsec: 5e6}, Interval: unix.Timespec{Nsec: 1e6}}, &old), old)
	time.Sleep(50 * time.Millisecond)
	n, err = unix.Read(t, b)
	say("expired", n, err, binary.LittleEndian.Uint64(b) > 5)
	say("disarm", unix.TimerfdSettime(t, 0, &unix.ItimerSpec{}, &old), old.Interval)
	say("get", unix.TimerfdGettime(t, &old), old)
	say("bad", unix.TimerfdSettime(t, 0, &unix.ItimerSpec{Value: unix.Timespec{Nsec: 2e9}}, nil), unix.TimerfdSettime(f, 0, &unix.ItimerSpec{}, nil))
	_, err = unix.TimerfdCreate(99, 0)
	say("bad clock", err)
	say("absolute past", unix.TimerfdSettime(t, unix.TFD_TIMER_ABSTIME, &unix.ItimerSpec{Value: unix.Timespec{Nsec: 1}}, nil))
	poll := []unix.PollFd{{Fd: int32(t), Events: unix.POLLIN}, {Fd: -1}, {Fd: 999}, {Fd: int32(f), Events: unix.POLLIN | unix.POLLOUT}}
	n, err = unix.Poll(poll, 1000)
	say("poll", n, err, poll[0].Revents, poll[1].Revents, poll[2].Revents, poll[3].Revents)
	n, err = unix.Poll(nil, 1)
	say("poll nothing", n, err)
	n, err = unix.Ppoll(poll[:1], &unix.Timespec{}, nil)
	say("ppoll", n, err)
	var set unix.FdSet
	set.Set(t)
	n, err = unix.Select(t+1, &set, nil, nil, &unix.Timeval{})
	say("select", n, err, set.IsSet(t))

	say("kill nobody", syscall.Kill(1<<22-7, 0), syscall.Kill(os.Getpid(), 0), syscall.Kill(os.Getpid(), 99))
}

func drain(fd int) string {
	buf := make([]byte, 65536)
	var out []string
	for {
		n, err := unix.Read(fd, buf)
		if err != nil || n <= 0 {
			return strings.Join(out, " ")
		}
		for off := 0; off < n; {
			e := (*unix.InotifyEvent)(unsafe.Pointer(&buf[off]))
			name := strings.TrimRight(string(buf[off+16:off+16+int(e.Len)]), "\x00")
			out = append(out, fmt.Sprintf("%d:%#x:%s", e.Wd, e.Mask, name))
			off += 16 + int(e.Len)
		}
	}
}

func watches() {
	i, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	say("init", err)
	os.Mkdir("d", 0o755)
	file("d/old", "x")
	w, err := unix.InotifyAddWatch(i, "d", unix.IN_ALL_EVENTS)
	say("add", w, err)
	w, err = unix.InotifyAddWatch(i, "d", unix.IN_ALL_EVENTS)
	say("add again", w, err)
	_, err = unix.InotifyAddWatch(i, "none", unix.IN_ALL_EVENTS)
	say("add none", err)
	_, err = unix.InotifyAddWatch(i, "d", 0)
	say("add nothing", err)
	_, err = unix.InotifyAddWatch(i, "d/old", unix.IN_ALL_EVENTS|unix.IN_ONLYDIR)
	say("only folders", err)
	step := func(what string, f func()) {
		f()
		say(what, drain(i))
	}
	step("create", func() { file("d/new", "text") })
	step("append", func() { fd := open("d/new", unix.O_WRONLY|unix.O_APPEND); unix.Write(fd, []byte("x")); unix.Close(fd) })
	step("read", func() { text("d/new") })
	step("mkdir", func() { os.Mkdir("d/sub", 0o755) })
	step("chmod", func() { os.Chmod("d/new", 0o600) })
	step("chtimes", func() { os.Chtimes("d/new", time.Unix(1, 0), time.Unix(1, 0)) })
	step("truncate", func() { os.Truncate("d/new", 1) })
	step("rename inside", func() { os.Rename("d/new", "d/newer") })
	step("rename out", func() { os.Rename("d/newer", "out") })
	step("rename in", func() { os.Rename("out", "d/back") })
	step("rename over", func() { os.Rename("d/back", "d/old") })
	step("link", func() { os.Link("d/old", "d/link"); os.Symlink("x", "d/sym") })
	step("unlink", func() { os.Remove("d/link") })
	step("rmdir", func() { os.Remove("d/sub") })
	step("list", func() { listing("d") })
	fw, err := unix.InotifyAddWatch(i, "d/old", unix.IN_ALL_EVENTS)
	say("add file", fw, err)
	step("write watched file", func() { file("d/old", "zz") })
	step("remove watched file", func() { os.Remove("d/old") })
	_, err = unix.InotifyRmWatch(i, uint32(fw))
	say("rm gone", err)
	step("move watched folder", func() { os.Rename("d", "d2") })
	_, err = unix.InotifyRmWatch(i, uint32(w))
	step("rm", func() { say("rm", err) })
	step("after rm", func() { file("d2/silent", "") })
	w, _ = unix.InotifyAddWatch(i, "d2", unix.IN_CREATE|unix.IN_ONESHOT)
	step("one shot", func() { file("d2/a", ""); file("d2/b", "") })
	w, _ = unix.InotifyAddWatch(i, "d2", unix.IN_DELETE_SELF)
	step("remove folder", func() { os.RemoveAll("d2") })
	_, err = unix.Write(i, []byte("x"))
	say("write", err)
	_ = w
}
