package linux

import (
	"bytes"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

func TestConsole(t *testing.T) {
	testConsole.taken()
	hello := []byte("hello\n")
	n, _, errno := entry(syscall.SYS_WRITE, 1, uintptr(unsafe.Pointer(&hello[0])), uintptr(len(hello)), 0, 0, 0)
	if ok(t, n, errno) != 6 || testConsole.taken() != "hello\n" {
		t.Fatal("the console did not get what was written")
	}
	testConsole.typed("typed\n")
	var p [100]byte
	n, _, errno = entry(syscall.SYS_READ, 0, uintptr(unsafe.Pointer(&p[0])), 100, 0, 0, 0)
	if ok(t, n, errno) != 6 || string(p[:6]) != "typed\n" {
		t.Fatalf("read %d bytes %q", n, p[:n])
	}
}

func TestConsoleReadBlocks(t *testing.T) {
	got := make(chan string)
	go func() {
		p := make([]byte, 100)
		n, err := Read(0, p)
		if err != nil {
			got <- err.Error()
			return
		}
		got <- string(p[:n])
	}()
	runtime.Gosched()
	testConsole.typed("late\n")
	if s := <-got; s != "late\n" {
		t.Fatalf("got %q", s)
	}
}

func TestWindowSize(t *testing.T) {
	var w winsize
	_, _, errno := entry(syscall.SYS_IOCTL, 1, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&w)), 0, 0, 0)
	if want(t, errno, 0); w.rows != 24 || w.columns != 80 {
		t.Fatalf("%+v", w)
	}
}

// onSmallStack runs f on a fresh goroutine, whose stack is small and has to
// move when it grows.
func onSmallStack(f func()) {
	done := make(chan bool)
	go func() { f(); close(done) }()
	<-done
}

// TestStackBuffer proves that data arrives in buffers on a stack that moves
// during the call: the fake endpoint's Receive and Send use much stack.
func TestStackBuffer(t *testing.T) {
	a := udp(t, 0)
	b := udp(t, 0)
	port := portOf(t, b)
	for range 50 {
		onSmallStack(func() { stackRoundTrip(t, a, b, port) })
	}
}

//go:noinline
func stackRoundTrip(t *testing.T, a, b uintptr, port uint16) {
	var data [64]byte
	for i := range data {
		data[i] = byte(i)
	}
	to := syscall.RawSockaddrInet4{Family: syscall.AF_INET, Port: port<<8 | port>>8, Addr: [4]byte{127, 0, 0, 1}}
	before := uintptr(unsafe.Pointer(&data))
	n, _, errno := entry(syscall.SYS_SENDTO, a, uintptr(unsafe.Pointer(&data)), 64, 0, uintptr(unsafe.Pointer(&to)), syscall.SizeofSockaddrInet4)
	if errno != 0 || n != 64 {
		t.Errorf("sendto: %d %v", n, errno)
		return
	}
	if before == uintptr(unsafe.Pointer(&data)) {
		t.Error("the stack did not move: the test shows nothing")
	}
	// From here the stack is large: shrink is left to the collector.
	var got [64]byte
	var from syscall.RawSockaddrAny
	size := uint32(syscall.SizeofSockaddrAny)
	n, _, errno = entry(syscall.SYS_RECVFROM, b, uintptr(unsafe.Pointer(&got)), 64, 0, uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)))
	if errno != 0 || n != 64 || got != data || from.Addr.Family != syscall.AF_INET || size != syscall.SizeofSockaddrInet4 {
		t.Errorf("recvfrom: %d %v %v %+v %d", n, errno, got, from, size)
	}
}

// TestStackMessage does the same with the nested pointers of a msghdr, which
// the runtime moves along with the stack.
func TestStackMessage(t *testing.T) {
	a := udp(t, 0)
	b := udp(t, 0)
	port := portOf(t, b)
	for range 50 {
		onSmallStack(func() { sendStackMessage(t, a, port) })
		onSmallStack(func() { receiveStackMessage(t, b) })
	}
}

//go:noinline
func sendStackMessage(t *testing.T, a uintptr, port uint16) {
	first, second := [5]byte{'h', 'e', 'l', 'l', 'o'}, [6]byte{' ', 'w', 'o', 'r', 'l', 'd'}
	to := syscall.RawSockaddrInet4{Family: syscall.AF_INET, Port: port<<8 | port>>8, Addr: [4]byte{127, 0, 0, 1}}
	iov := [2]syscall.Iovec{{Base: &first[0], Len: 5}, {Base: &second[0], Len: 6}}
	m := syscall.Msghdr{Name: (*byte)(unsafe.Pointer(&to)), Namelen: syscall.SizeofSockaddrInet4, Iov: &iov[0], Iovlen: 2}
	n, _, errno := entry(syscall.SYS_SENDMSG, a, uintptr(unsafe.Pointer(&m)), 0, 0, 0, 0)
	if errno != 0 || n != 11 {
		t.Errorf("sendmsg: %d %v", n, errno)
	}
}

//go:noinline
func receiveStackMessage(t *testing.T, b uintptr) {
	var first [3]byte
	var second [20]byte
	var control [64]byte
	var from syscall.RawSockaddrAny
	iov := [2]syscall.Iovec{{Base: &first[0], Len: 3}, {Base: &second[0], Len: 20}}
	m := syscall.Msghdr{
		Name: (*byte)(unsafe.Pointer(&from)), Namelen: syscall.SizeofSockaddrAny, Iov: &iov[0], Iovlen: 2,
		Control: &control[0], Controllen: 64,
	}
	n, _, errno := entry(syscall.SYS_RECVMSG, b, uintptr(unsafe.Pointer(&m)), 0, 0, 0, 0)
	if errno != 0 || n != 11 || string(first[:])+string(second[:8]) != "hello world" ||
		m.Namelen != syscall.SizeofSockaddrInet4 || from.Addr.Family != syscall.AF_INET ||
		m.Controllen != 8 || string(control[:8]) != "control!" {
		t.Errorf("recvmsg: %d %v %q %q %+v %q", n, errno, first, second, m, control[:8])
	}
}

// TestStackDuringCollection moves stacks by the collector too, which shrinks
// them, while reads wait.
func TestStackDuringCollection(t *testing.T) {
	r, w := newPipePair(t, 0)
	done := make(chan bool)
	go func() {
		defer close(done)
		sink = deepen(60) // a large stack, which the collector will shrink
		var p [32]byte
		n, _, errno := entry(syscall.SYS_READ, r, uintptr(unsafe.Pointer(&p)), 32, 0, 0, 0)
		if errno != 0 || string(p[:n]) != "after the shrink" {
			t.Errorf("read %q, %v", p[:n], errno)
		}
	}()
	for range 5 {
		runtime.GC()
	}
	if _, err := Write(int(w), []byte("after the shrink")); err != nil {
		t.Fatal(err)
	}
	<-done
}

func TestBadPointers(t *testing.T) {
	r, w := newPipePair(t, syscall.O_NONBLOCK)
	for _, p := range []uintptr{0, 1, 4095, 1 << 47, ^uintptr(0), ^uintptr(0) - 4096} {
		_, errno := do(syscall.SYS_READ, r, p, 10)
		want(t, errno, syscall.EFAULT)
		_, errno = do(syscall.SYS_WRITE, w, p, 10)
		want(t, errno, syscall.EFAULT)
		_, errno = do(syscall.SYS_OPEN, p, 0, 0)
		want(t, errno, syscall.EFAULT)
		_, errno = do(syscall.SYS_UNAME, p, 0, 0)
		want(t, errno, syscall.EFAULT)
		_, errno = do(syscall.SYS_PIPE2, p, 0, 0)
		want(t, errno, syscall.EFAULT)
	}
}

func TestUnknownCallsAreNamedOnce(t *testing.T) {
	testConsole.taken()
	_, errno := do(400, 0, 0, 0)
	want(t, errno, syscall.ENOSYS)
	do(400, 0, 0, 0)
	if got := testConsole.taken(); got != "pith: unknown system call 400 (no name)\n" {
		t.Errorf("the console says %q", got)
	}
	do(syscall.SYS_VFORK, 0, 0, 0)
	do(syscall.SYS_VFORK, 0, 0, 0)
	if got := testConsole.taken(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "vfork is not there on purpose") {
		t.Errorf("the console says %q", got)
	}
	_, errno = do(syscall.SYS_EXECVE, 0, 0, 0)
	want(t, errno, syscall.EFAULT)
	want(t, Exec("/bin/sh"), syscall.ENOSYS)
	want(t, Exec("/bin/sh"), syscall.ENOSYS)
	if got := testConsole.taken(); got != "pith: the program wants to start /bin/sh, but fork and exec are not there on purpose: a unikernel runs one program\n" {
		t.Errorf("the console says %q", got)
	}
	for _, trap := range []uintptr{tableSize, tableSize + 5, 1 << 20, ^uintptr(0)} {
		_, errno := do(trap, 0, 0, 0)
		want(t, errno, syscall.ENOSYS)
	}
}

func TestLowerHalf(t *testing.T) {
	pid, _, errno := entry(syscall.SYS_GETPID, 0, 0, 0, 0, 0, 0)
	if ok(t, pid, errno) != uintptr(syscall.Getpid()) {
		t.Errorf("getpid is not handed on: %d", pid)
	}
	word := uint32(1)
	const wait = 0
	_, _, errno = entry(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(&word)), wait, 0, 0, 0, 0)
	want(t, errno, syscall.EAGAIN)
}

func TestGetrandom(t *testing.T) {
	var p [64]byte
	n, _, errno := entry(sysNumGetrandom, uintptr(unsafe.Pointer(&p)), 64, 0, 0, 0, 0)
	if ok(t, n, errno) != 64 || bytes.Equal(p[:], make([]byte, 64)) {
		t.Errorf("%d bytes: %v", n, p)
	}
	_, errno = do(sysNumGetrandom, uintptr(unsafe.Pointer(&p)), 64, 64)
	want(t, errno, syscall.EINVAL)
}

func TestUname(t *testing.T) {
	var u syscall.Utsname
	_, _, errno := entry(syscall.SYS_UNAME, uintptr(unsafe.Pointer(&u)), 0, 0, 0, 0, 0)
	want(t, errno, 0)
	text := func(f [65]int8) (s string) {
		for _, c := range f {
			if c == 0 {
				break
			}
			s += string(rune(c))
		}
		return s
	}
	if text(u.Sysname) != "Linux" || text(u.Nodename) != "machine" || text(u.Release) != Release || text(u.Machine) != machineName {
		t.Errorf("%q %q %q", text(u.Sysname), text(u.Nodename), text(u.Release))
	}
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, b := udp(t, syscall.SOCK_NONBLOCK), udp(t, syscall.SOCK_NONBLOCK)
	to := &syscall.SockaddrInet4{Port: int(portOf(t, b)), Addr: [4]byte{127, 0, 0, 1}}
	from := new(syscall.SockaddrInet4)
	p := make([]byte, 512)
	// The fake endpoint copies each datagram into two new slices.
	const fake = 2
	if n := testing.AllocsPerRun(200, func() {
		if err := SendtoInet4(int(a), p, 0, to); err != nil {
			t.Fatal(err)
		}
		if _, err := RecvfromInet4(int(b), p, 0, from); err != nil {
			t.Fatal(err)
		}
	}); n > fake {
		t.Errorf("sendto and recvfrom allocate %v times", n-fake)
	}
	r, w := newPipePair(t, syscall.O_NONBLOCK)
	if n := testing.AllocsPerRun(200, func() {
		Write(int(w), p)
		Read(int(r), p)
	}); n > 0 {
		t.Errorf("write and read of a pipe allocate %v times", n)
	}
	if n := testing.AllocsPerRun(200, func() { Write(1, p[:1]); testConsole.taken() }); n > 1 {
		t.Errorf("a write to the console allocates %v times", n-1)
	}
}

func udp(t testing.TB, flags uintptr) uintptr {
	t.Helper()
	fd, errno := do(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM|flags, 0)
	ok(t, fd, errno)
	t.Cleanup(func() { fds.close(fd) })
	sa := &syscall.RawSockaddrInet4{Family: syscall.AF_INET}
	_, _, errno = entry(syscall.SYS_BIND, fd, uintptr(unsafe.Pointer(sa)), syscall.SizeofSockaddrInet4, 0, 0, 0)
	want(t, errno, 0)
	return fd
}

func portOf(t testing.TB, fd uintptr) uint16 {
	t.Helper()
	var sa syscall.RawSockaddrInet4
	size := uint32(unsafe.Sizeof(sa))
	_, _, errno := entry(syscall.SYS_GETSOCKNAME, fd, uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)), 0, 0, 0)
	want(t, errno, 0)
	return sa.Port<<8 | sa.Port>>8
}

func newPipePair(t testing.TB, flags uintptr) (r, w uintptr) {
	t.Helper()
	var pair [2]int32
	_, _, errno := entry(syscall.SYS_PIPE2, uintptr(unsafe.Pointer(&pair)), flags, 0, 0, 0, 0)
	want(t, errno, 0)
	t.Cleanup(func() { fds.close(uintptr(pair[0])); fds.close(uintptr(pair[1])) })
	return uintptr(pair[0]), uintptr(pair[1])
}
