package linux

import (
	"bytes"
	"fmt"
	"net/netip"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// unfit is the calls that a fuzzer must not make: they would wait for ever,
// end the test, change its memory, or (recvmmsg and sendmmsg) find pointers in what they
// have just received.
var unfit = set{
	syscall.SYS_PAUSE: true, syscall.SYS_REBOOT: true, syscall.SYS_NANOSLEEP: true, syscall.SYS_CLOCK_NANOSLEEP: true,
	syscall.SYS_MMAP: true, syscall.SYS_MUNMAP: true, syscall.SYS_MREMAP: true, syscall.SYS_MPROTECT: true, syscall.SYS_MADVISE: true,
	syscall.SYS_POLL: true, syscall.SYS_PPOLL: true, syscall.SYS_SELECT: true, syscall.SYS_PSELECT6: true,
	syscall.SYS_EPOLL_WAIT: true, syscall.SYS_EPOLL_PWAIT: true, sysNumEpollPwait2: true, syscall.SYS_FLOCK: true, syscall.SYS_FCNTL: true,
	syscall.SYS_RECVMMSG: true, sysNumSendmmsg: true, sysNumPidfdSend: true,
}

// fuzzMemory is memory whose first part random pointers point into; its
// contents are the fuzzer's. It is longer than any length that an argument
// says; a pointer taken for a length reaches beyond all memory, since the
// kernel maps high up.
var fuzzMemory = func() []byte {
	p, err := syscall.Mmap(-1, 0, 256<<10, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	return p
}()

const fuzzPointers = 32 << 10

// FuzzEntry makes random calls. Each is a number and six arguments, of which
// each is a small number, a descriptor or a pointer into fuzzMemory.
func FuzzEntry(f *testing.F) {
	for trap := range uintptr(tableSize) {
		if table[trap] != nil {
			f.Add(uint16(trap), []byte{0, 3, 1, 0, 2, 40, 0, 8, 1, 100, 0, 16}, []byte("/tmp/fuzz\x00../x\x00"))
		}
	}
	f.Fuzz(func(t *testing.T, number uint16, args, contents []byte) {
		trap := uintptr(number)
		if passes(trap) || blocks(trap) || unfit.has(trap) {
			t.Skip()
		}
		clear(fuzzMemory)
		copy(fuzzMemory[:fuzzPointers], contents)
		mend()
		fillFDs(t)
		var a [6]uintptr
		for i := range a {
			if len(args) < 2 {
				break
			}
			a[i] = argument(args[0], args[1])
			args = args[2:]
		}
		done := make(chan any, 1)
		go func() {
			defer func() {
				if r := recover(); r != nil {
					done <- fmt.Sprintf("%v\n%s", r, debug.Stack())
				}
				close(done)
			}()
			RawEntry(trap, a[0], a[1], a[2], a[3], a[4], a[5])
		}()
		select {
		case panicked := <-done:
			if panicked != nil {
				t.Fatalf("call %d %s %#x: %s", trap, callName(trap), a, panicked)
			}
		case <-time.After(time.Second):
			t.Logf("call %d %s %#x waits", trap, callName(trap), a) // on a blocking descriptor: allowed
		}
		testConsole.taken()
	})
}

// argument makes an argument of two bytes.
func argument(kind, value byte) uintptr {
	switch kind % 6 {
	case 0:
		return uintptr(value)
	case 1:
		return uintptr(unsafe.Pointer(&fuzzMemory[int(value)*16]))
	case 2:
		return uintptr(unsafe.Pointer(&fuzzMemory[fuzzPointers/2+int(value)*64]))
	case 3:
		return uintptr(value) << 8
	case 4:
		return ^uintptr(value)
	}
	if value%2 == 0 {
		return 1 << (value % 16)
	}
	return 1 << (47 + value%17)
}

// mend makes pointers among the contents point into fuzzMemory too: what
// points to no memory ends the program, as its own access would.
func mend() {
	for at := 0; at < fuzzPointers; at += 8 {
		if p := load64(fuzzMemory[at:]); p >= lowest && p < highest {
			store64(fuzzMemory[at:], uint64(uintptr(unsafe.Pointer(&fuzzMemory[p%fuzzPointers]))))
		}
	}
}

// fillFDs makes sure that descriptors 3 to 12 are open, each of another kind.
func fillFDs(t *testing.T) {
	makers := []func() (uintptr, Errno){
		func() (uintptr, Errno) { return openFile(t, "/tmp/fuzz", syscall.O_RDWR|syscall.O_CREAT, 0o600) },
		func() (uintptr, Errno) { return openFile(t, "/tmp", syscall.O_RDONLY, 0) },
		func() (uintptr, Errno) {
			return do(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK, 0)
		},
		func() (uintptr, Errno) {
			return do(syscall.SYS_SOCKET, syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
		},
		func() (uintptr, Errno) {
			return do(syscall.SYS_SOCKET, syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_NONBLOCK, 0)
		},
		func() (uintptr, Errno) { return do(syscall.SYS_EVENTFD2, 1, syscall.O_NONBLOCK, 0) },
		func() (uintptr, Errno) { return do(syscall.SYS_EPOLL_CREATE1, 0, 0, 0) },
		func() (uintptr, Errno) { return do(syscall.SYS_INOTIFY_INIT1, syscall.O_NONBLOCK, 0, 0) },
		func() (uintptr, Errno) { return do(syscall.SYS_TIMERFD_CREATE, 1, syscall.O_NONBLOCK, 0) },
		func() (uintptr, Errno) { return openFile(t, "/dev/zero", syscall.O_RDWR, 0) },
	}
	for i, make := range makers {
		fd := uintptr(3 + i)
		if _, errno := open(fd); errno == 0 {
			continue
		}
		if got, errno := make(); errno == 0 && got != fd {
			do(syscall.SYS_DUP2, got, fd, 0)
			fds.close(got)
		}
	}
}

func FuzzSockaddr(f *testing.F) {
	var room [maxSockaddr]byte
	for _, s := range []string{"1.2.3.4:5", "[2001:db8::1]:80", "[fe80::1%2]:80"} {
		n := encodeAddress(room[:], netip.MustParseAddrPort(s), syscall.AF_INET6)
		f.Add(bytes.Clone(room[:n]), true)
	}
	f.Add([]byte{2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, false)
	f.Fuzz(func(t *testing.T, name []byte, six bool) {
		name = name[:min(len(name), maxSockaddr)]
		family := syscall.AF_INET
		if six {
			family = syscall.AF_INET6
		}
		a, errno := decodeAddress(name, family)
		if errno != 0 {
			return
		}
		var room [maxSockaddr]byte
		n := encodeAddress(room[:], a, family)
		if again, errno := decodeAddress(room[:n], family); errno != 0 || again != a {
			t.Errorf("%v became %v, %v", a, again, errno)
		}
	})
}

func FuzzUnixName(f *testing.F) {
	f.Add([]byte("\x01\x00/tmp/socket\x00junk"))
	f.Add([]byte("\x01\x00\x00abstract"))
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, sockaddr []byte) {
		name, errno := unixName(sockaddr)
		if errno != 0 {
			return
		}
		var room [maxSockaddr]byte
		encoded := encodeUnix(&room, name)
		if len(encoded) > syscall.SizeofSockaddrUnix {
			return // a path that fills all of sun_path leaves no room for the NUL
		}
		again, errno := unixName(encoded)
		if errno != 0 || again != name {
			t.Errorf("%q became %q, %v", name, again, errno)
		}
	})
}

func FuzzControlMessages(f *testing.F) {
	f.Add(syscall.UnixRights(0, 1))
	f.Add(bytes.Repeat([]byte{255}, 40))
	f.Fuzz(func(t *testing.T, control []byte) {
		before := fds.slot(1).file.Load().refs.Load()
		m := message{control: control}
		rights, errno := m.takeRights()
		if errno != 0 && rights != nil {
			t.Error("files beside an error")
		}
		dropFiles(rights)
		if after := fds.slot(1).file.Load().refs.Load(); after != before {
			t.Errorf("%d references became %d", before, after)
		}
	})
}

func FuzzNetlinkRequest(f *testing.F) {
	ask := make([]byte, 17)
	store32(ask, 17)
	store16(ask[4:], syscall.RTM_GETLINK)
	store16(ask[6:], syscall.NLM_F_DUMP|syscall.NLM_F_REQUEST)
	f.Add(ask)
	f.Add(append(ask, ask...))
	f.Fuzz(func(t *testing.T, request []byte) {
		file, errno := newNetlink(syscall.SOCK_RAW, 0, syscall.O_NONBLOCK)
		ok(t, 0, errno)
		defer file.unref()
		n := file.object.(*netlink)
		m := message{data: request}
		n.send(&m)
		for _, reply := range n.replies {
			messages, err := syscall.ParseNetlinkMessage(reply)
			if err != nil || len(messages) == 0 && len(reply) > 0 {
				t.Errorf("%d messages, %v", len(messages), err)
			}
		}
	})
}

// FuzzPath wants any path to be resolved, and what it leads to be found again
// by the directory's own path.
func FuzzPath(f *testing.F) {
	for _, p := range []string{"/", "//etc/../etc/./hosts", "/proc/self/fd/0", "/proc/self/../self/cwd/tmp/", "/dev/fd/1/x"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if strings.Contains(path, "\x00") {
			return
		}
		node, errno := tree.Lookup(tree.Root(), path, true)
		if errno != 0 || !node.IsDir() {
			return
		}
		name, errno := tree.Path(node)
		if errno != 0 {
			return
		}
		again, errno := tree.Lookup(tree.Root(), name, true)
		if errno != 0 || again != node {
			t.Errorf("%q leads to %q, which is another directory: %v", path, name, errno)
		}
	})
}
