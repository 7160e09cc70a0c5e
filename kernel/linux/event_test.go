package linux

import (
	"encoding/binary"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// epollFor makes an epoll instance that watches one descriptor.
func epollFor(t testing.TB, fd uintptr, events uint32) uintptr {
	t.Helper()
	ep, errno := do(syscall.SYS_EPOLL_CREATE1, 0, 0, 0)
	ok(t, ep, errno)
	t.Cleanup(func() { fds.close(ep) })
	want(t, control(ep, syscall.EPOLL_CTL_ADD, fd, events), 0)
	return ep
}

func control(ep, op, fd uintptr, events uint32) Errno {
	e := syscall.EpollEvent{Events: events, Fd: int32(fd)}
	_, _, errno := entry(syscall.SYS_EPOLL_CTL, ep, op, fd, uintptr(unsafe.Pointer(&e)), 0, 0)
	return errno
}

// events waits and returns what is reported: events by descriptor.
func events(t testing.TB, ep uintptr, ms int) map[int32]uint32 {
	t.Helper()
	var list [8]syscall.EpollEvent
	n, _, errno := entry(syscall.SYS_EPOLL_WAIT, ep, uintptr(unsafe.Pointer(&list)), 8, uintptr(ms), 0, 0)
	ok(t, n, errno)
	got := map[int32]uint32{}
	for _, e := range list[:n] {
		got[e.Fd] = e.Events
	}
	return got
}

func TestEpollLevel(t *testing.T) {
	r, w := newPipePair(t, syscall.O_NONBLOCK)
	ep := epollFor(t, r, syscall.EPOLLIN)
	if got := events(t, ep, 0); len(got) != 0 {
		t.Errorf("events of an empty pipe: %v", got)
	}
	Write(int(w), []byte("x"))
	for range 3 { // it is told again and again
		if got := events(t, ep, 0); got[int32(r)] != syscall.EPOLLIN {
			t.Errorf("events: %v", got)
		}
	}
	Read(int(r), make([]byte, 1))
	if got := events(t, ep, 0); len(got) != 0 {
		t.Errorf("events of an emptied pipe: %v", got)
	}
	closeFD(t, w)
	if got := events(t, ep, 0); got[int32(r)] != syscall.EPOLLHUP {
		t.Errorf("events at the end: %v", got)
	}
	want(t, control(ep, syscall.EPOLL_CTL_ADD, r, 1), syscall.EEXIST)
	closeFD(t, r)
	if got := events(t, ep, 0); len(got) != 0 {
		t.Errorf("events of a closed descriptor: %v", got)
	}
}

func TestEpollEdge(t *testing.T) {
	const edge = 1 << 31
	r, w := newPipePair(t, syscall.O_NONBLOCK)
	Write(int(w), []byte("x"))
	ep := epollFor(t, r, syscall.EPOLLIN|edge)
	if got := events(t, ep, 0); got[int32(r)] != syscall.EPOLLIN {
		t.Errorf("what was ready when it was added: %v", got)
	}
	if got := events(t, ep, 0); len(got) != 0 {
		t.Errorf("an edge is told twice: %v", got)
	}
	Write(int(w), []byte("y"))
	if got := events(t, ep, 0); got[int32(r)] != syscall.EPOLLIN {
		t.Errorf("a second edge: %v", got)
	}
}

func TestEpollOneShot(t *testing.T) {
	r, w := newPipePair(t, syscall.O_NONBLOCK)
	ep := epollFor(t, r, syscall.EPOLLIN|epollOneShot)
	Write(int(w), []byte("x"))
	if got := events(t, ep, 0); len(got) != 1 {
		t.Errorf("%v", got)
	}
	if got := events(t, ep, 0); len(got) != 0 {
		t.Errorf("told twice: %v", got)
	}
	want(t, control(ep, syscall.EPOLL_CTL_MOD, r, syscall.EPOLLIN|epollOneShot), 0)
	if got := events(t, ep, 0); len(got) != 1 {
		t.Errorf("after EPOLL_CTL_MOD: %v", got)
	}
	want(t, control(ep, syscall.EPOLL_CTL_DEL, r, 0), 0)
	want(t, control(ep, syscall.EPOLL_CTL_DEL, r, 0), syscall.ENOENT)
}

func TestEpollWaits(t *testing.T) {
	r, w := newPipePair(t, syscall.O_NONBLOCK)
	ep := epollFor(t, r, syscall.EPOLLIN)
	start := time.Now()
	if got := events(t, ep, 20); len(got) != 0 || time.Since(start) < 20*time.Millisecond {
		t.Errorf("%v after %v", got, time.Since(start))
	}
	go func() { time.Sleep(5 * time.Millisecond); Write(int(w), []byte("x")) }()
	if got := events(t, ep, -1); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

func TestEpollErrors(t *testing.T) {
	r, _ := newPipePair(t, 0)
	ep := epollFor(t, r, syscall.EPOLLIN)
	file, _ := openFile(t, "/data/packed.txt", syscall.O_RDONLY, 0)
	defer closeFD(t, file)
	want(t, control(ep, syscall.EPOLL_CTL_ADD, file, 1), syscall.EPERM)
	want(t, control(ep, syscall.EPOLL_CTL_ADD, ep, 1), syscall.EINVAL)
	want(t, control(ep, syscall.EPOLL_CTL_ADD, 9999, 1), syscall.EBADF)
	want(t, control(r, syscall.EPOLL_CTL_ADD, r, 1), syscall.EINVAL)
	other := epollFor(t, ep, syscall.EPOLLIN)
	want(t, control(ep, syscall.EPOLL_CTL_ADD, other, 1), syscall.ELOOP)
	if Pollable(int32(file)) || !Pollable(int32(r)) || Pollable(-1) || Pollable(1<<30) {
		t.Error("Pollable is wrong")
	}
	closeFD(t, r)
	if Pollable(int32(r)) {
		t.Error("a closed descriptor is pollable")
	}
}

func TestNestedEpoll(t *testing.T) {
	r, w := newPipePair(t, syscall.O_NONBLOCK)
	inner := epollFor(t, r, syscall.EPOLLIN)
	outer := epollFor(t, inner, syscall.EPOLLIN)
	if got := events(t, outer, 0); len(got) != 0 {
		t.Errorf("%v", got)
	}
	Write(int(w), []byte("x"))
	if got := events(t, outer, 1000); got[int32(inner)] != syscall.EPOLLIN {
		t.Errorf("%v", got)
	}
}

func TestPoll(t *testing.T) {
	r, w := newPipePair(t, 0)
	list := make([]byte, 4*pollfdSize)
	for i, fd := range []uint32{uint32(r), uint32(w), 9999, ^uint32(0)} {
		binary.LittleEndian.PutUint32(list[8*i:], fd)
		binary.LittleEndian.PutUint16(list[8*i+4:], syscall.EPOLLIN|syscall.EPOLLOUT)
	}
	n, _, errno := entry(syscall.SYS_POLL, uintptr(unsafe.Pointer(&list[0])), 4, 0, 0, 0, 0)
	if ok(t, n, errno) != 2 || load16(list[6:]) != 0 || load16(list[14:]) != syscall.EPOLLOUT || load16(list[22:]) != pollNval {
		t.Errorf("%d %v", n, list)
	}
	go func() { time.Sleep(5 * time.Millisecond); Write(int(w), []byte("x")) }()
	n, _, errno = entry(syscall.SYS_POLL, uintptr(unsafe.Pointer(&list[0])), 1, ^uintptr(0), 0, 0, 0)
	if ok(t, n, errno) != 1 || load16(list[6:]) != syscall.EPOLLIN {
		t.Errorf("%d %v", n, list)
	}
}

func TestSelect(t *testing.T) {
	r, w := newPipePair(t, 0)
	var in, out syscall.FdSet
	in.Bits[r/64] |= 1 << (r % 64)
	out.Bits[w/64] |= 1 << (w % 64)
	tv := syscall.Timeval{Usec: 10000}
	n, _, errno := entry(syscall.SYS_SELECT, max(r, w)+1, uintptr(unsafe.Pointer(&in)), uintptr(unsafe.Pointer(&out)), 0, uintptr(unsafe.Pointer(&tv)), 0)
	if ok(t, n, errno) != 1 || in.Bits[r/64] != 0 || out.Bits[w/64] != 1<<(w%64) {
		t.Errorf("%d %v %v", n, in.Bits, out.Bits)
	}
	in.Bits[r/64] |= 1 << (r % 64)
	n, _, errno = entry(syscall.SYS_SELECT, r+1, uintptr(unsafe.Pointer(&in)), 0, 0, uintptr(unsafe.Pointer(&tv)), 0)
	if ok(t, n, errno) != 0 || in.Bits[r/64] != 0 || tv.Usec != 0 {
		t.Errorf("%d %v %v", n, in.Bits, tv)
	}
	in.Bits[15] = 1 << 62
	_, _, errno = entry(syscall.SYS_SELECT, 1024, uintptr(unsafe.Pointer(&in)), 0, 0, 0, 0)
	want(t, errno, syscall.EBADF)
}

// inotifyEvents reads what an instance has to tell, as "mask name" each.
func inotifyEvents(t testing.TB, fd uintptr) (got []string) {
	t.Helper()
	p := make([]byte, 4096)
	n, err := Read(int(fd), p)
	if err == syscall.EAGAIN {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	names := map[uint32]string{
		syscall.IN_CREATE: "create", syscall.IN_MODIFY: "modify", syscall.IN_DELETE: "delete",
		syscall.IN_MOVED_FROM: "from", syscall.IN_MOVED_TO: "to", syscall.IN_CLOSE_WRITE: "written",
		syscall.IN_ATTRIB: "attrib", syscall.IN_IGNORED: "ignored", syscall.IN_DELETE_SELF: "gone",
		syscall.IN_CREATE | syscall.IN_ISDIR: "create dir", syscall.IN_OPEN: "open", syscall.IN_CLOSE_NOWRITE: "closed",
	}
	for rest := p[:n]; len(rest) > 0; {
		size := inHeader + int(load32(rest[12:]))
		got = append(got, strings.TrimSpace(names[load32(rest[4:])]+" "+strings.TrimRight(string(rest[inHeader:size]), "\x00")))
		rest = rest[size:]
	}
	return got
}

func TestInotify(t *testing.T) {
	do(syscall.SYS_MKDIR, pointer("/tmp/watched"), 0o755, 0)
	t.Cleanup(func() {
		do(syscall.SYS_UNLINK, pointer("/tmp/watched/c"), 0, 0)
		do(syscall.SYS_RMDIR, pointer("/tmp/watched/d"), 0, 0)
		do(syscall.SYS_RMDIR, pointer("/tmp/watched"), 0, 0)
	})
	fd, errno := do(syscall.SYS_INOTIFY_INIT1, syscall.O_NONBLOCK, 0, 0)
	ok(t, fd, errno)
	defer closeFD(t, fd)
	// What fsnotify asks for.
	const mask = syscall.IN_MOVED_TO | syscall.IN_MOVED_FROM | syscall.IN_CREATE | syscall.IN_ATTRIB |
		syscall.IN_MODIFY | syscall.IN_MOVE_SELF | syscall.IN_DELETE | syscall.IN_DELETE_SELF
	wd, errno := do(syscall.SYS_INOTIFY_ADD_WATCH, fd, pointer("/tmp/watched"), mask)
	ok(t, wd, errno)
	testPoller.take(fd)
	writeFile(t, "/tmp/watched/a", "x")
	if got := strings.Join(inotifyEvents(t, fd), ", "); got != "create a, modify a" {
		t.Errorf("%s", got)
	}
	if testPoller.take(fd)&uint32(readable) == 0 {
		t.Error("no edge")
	}
	do(syscall.SYS_RENAME, pointer("/tmp/watched/a"), pointer("/tmp/watched/b"), 0)
	do(syscall.SYS_MKDIR, pointer("/tmp/watched/d"), 0o755, 0)
	do(syscall.SYS_UNLINK, pointer("/tmp/watched/b"), 0, 0)
	if got := strings.Join(inotifyEvents(t, fd), ", "); got != "from a, to b, create dir d, delete b" {
		t.Errorf("%s", got)
	}
	_, errno = do(syscall.SYS_INOTIFY_RM_WATCH, fd, wd, 0)
	want(t, errno, 0)
	if got := strings.Join(inotifyEvents(t, fd), ", "); got != "ignored" {
		t.Errorf("%s", got)
	}
	writeFile(t, "/tmp/watched/c", "x")
	if got := inotifyEvents(t, fd); got != nil {
		t.Errorf("%s", got)
	}
	_, errno = do(syscall.SYS_INOTIFY_RM_WATCH, fd, wd, 0)
	want(t, errno, syscall.EINVAL)
}

// TestInotifyOfFile: a file that was open for writing is told of as such when it is
// closed, written or not, and a watched file as changed when another one takes its
// name.
func TestInotifyOfFile(t *testing.T) {
	fd, errno := do(syscall.SYS_INOTIFY_INIT1, syscall.O_NONBLOCK, 0, 0)
	ok(t, fd, errno)
	defer closeFD(t, fd)
	writeFile(t, "/tmp/watched-file", "x")
	writeFile(t, "/tmp/other-file", "y")
	const mask = syscall.IN_CLOSE | syscall.IN_ATTRIB | syscall.IN_DELETE_SELF
	wd, errno := do(syscall.SYS_INOTIFY_ADD_WATCH, fd, pointer("/tmp/watched-file"), mask)
	ok(t, wd, errno)
	for flags, want := range map[int]string{syscall.O_RDONLY: "closed", syscall.O_RDWR: "written"} {
		f, errno := openFile(t, "/tmp/watched-file", flags, 0)
		ok(t, f, errno)
		closeFD(t, f)
		if got := strings.Join(inotifyEvents(t, fd), ", "); got != want {
			t.Errorf("opened with %#x and closed: %s", flags, got)
		}
	}
	_, errno = do(syscall.SYS_RENAME, pointer("/tmp/other-file"), pointer("/tmp/watched-file"), 0)
	want(t, errno, 0)
	if got := strings.Join(inotifyEvents(t, fd), ", "); got != "attrib, gone, ignored" {
		t.Errorf("replaced: %s", got)
	}
	do(syscall.SYS_UNLINK, pointer("/tmp/watched-file"), 0, 0)
}
