package linux

import (
	"bytes"
	"math/rand"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

func TestPipe(t *testing.T) {
	r, w := newPipePair(t, syscall.O_NONBLOCK)
	p := make([]byte, 100)
	if _, err := Read(int(r), p); err != syscall.EAGAIN {
		t.Fatalf("read of an empty pipe: %v", err)
	}
	testPoller.take(r)
	Write(int(w), []byte("x"))
	if got := testPoller.take(r); got&uint32(readable) == 0 {
		t.Errorf("no edge for the reader: %#x", got)
	}
	Read(int(r), p)
	big := make([]byte, 100000)
	if n, err := Write(int(w), big); n != pipeDefault || err != nil {
		t.Errorf("a large write takes %d, %v", n, err)
	}
	if _, err := Write(int(w), p); err != syscall.EAGAIN {
		t.Errorf("a write to a full pipe: %v", err)
	}
	testPoller.take(w)
	Read(int(r), p)
	if got := testPoller.take(w); got&uint32(writable) != 0 {
		t.Errorf("an edge before an atomic write fits: %#x", got)
	}
	Read(int(r), make([]byte, 4096))
	if got := testPoller.take(w); got&uint32(writable) == 0 {
		t.Errorf("no edge for the writer: %#x", got)
	}
	testPoller.take(r)
	closeFD(t, w)
	if got := testPoller.take(r); got&uint32(hungUp) == 0 {
		t.Errorf("no edge at the end: %#x", got)
	}
	total := 0
	for {
		n, err := Read(int(r), big)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		total += n
	}
	if total != pipeDefault-4196 {
		t.Errorf("%d bytes were left", total)
	}
	r, w = newPipePair(t, 0)
	closeFD(t, r)
	if _, err := Write(int(w), p); err != syscall.EPIPE {
		t.Errorf("write without a reader: %v", err)
	}
}

func TestBlockingPipe(t *testing.T) {
	r, w := newPipePair(t, 0)
	data := make([]byte, 1<<20)
	rand.New(rand.NewSource(1)).Read(data)
	go func() {
		for rest := data; len(rest) > 0; {
			n, err := Write(int(w), rest[:min(len(rest), 200000)])
			if err != nil {
				t.Error(err)
				return
			}
			rest = rest[n:]
		}
		fds.close(w)
	}()
	var got []byte
	p := make([]byte, 3333)
	for {
		n, err := Read(int(r), p)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		got = append(got, p[:n]...)
	}
	if !bytes.Equal(got, data) {
		t.Errorf("%d bytes of %d arrived, or others", len(got), len(data))
	}
}

// TestRing compares the ring with a plain slice.
func TestRing(t *testing.T) {
	g := rand.New(rand.NewSource(2))
	r := ring{limit: 10000}
	var model []byte
	for range 5000 {
		p := make([]byte, g.Intn(3000))
		g.Read(p)
		if g.Intn(2) == 0 {
			n := r.put(p)
			if n != min(len(p), 10000-len(model)) {
				t.Fatalf("put took %d", n)
			}
			model = append(model, p[:n]...)
			continue
		}
		peek := g.Intn(3) == 0
		n := r.take(p, peek)
		if n != min(len(p), len(model)) || !bytes.Equal(p[:n], model[:n]) {
			t.Fatalf("take gave %d bytes, or wrong ones", n)
		}
		if !peek {
			model = model[n:]
		}
		if g.Intn(100) == 0 {
			r.resize(10000)
		}
	}
}

func TestFIFO(t *testing.T) {
	_, errno := do(syscall.SYS_MKNOD, pointer("/tmp/fifo"), syscall.S_IFIFO|0o600, 0)
	want(t, errno, 0)
	_, errno = openFile(t, "/tmp/fifo", syscall.O_WRONLY|syscall.O_NONBLOCK, 0)
	want(t, errno, syscall.ENXIO)
	reader := make(chan uintptr)
	go func() {
		fd, _ := openFile(t, "/tmp/fifo", syscall.O_RDONLY, 0)
		reader <- fd
	}()
	w, errno := openFile(t, "/tmp/fifo", syscall.O_WRONLY, 0)
	ok(t, w, errno)
	r := <-reader
	Write(int(w), []byte("through"))
	p := make([]byte, 20)
	if n, _ := Read(int(r), p); string(p[:n]) != "through" {
		t.Errorf("%q", p[:n])
	}
	closeFD(t, w)
	if n, err := Read(int(r), p); n != 0 || err != nil {
		t.Errorf("at the end: %d %v", n, err)
	}
	closeFD(t, r)
}

func TestEventfd(t *testing.T) {
	fd, errno := do(syscall.SYS_EVENTFD2, 3, syscall.O_NONBLOCK, 0)
	ok(t, fd, errno)
	defer closeFD(t, fd)
	p := make([]byte, 8)
	Write(int(fd), []byte{4, 0, 0, 0, 0, 0, 0, 0})
	if n, err := Read(int(fd), p); n != 8 || err != nil || load64(p) != 7 {
		t.Errorf("%d %v %v", n, err, p)
	}
	if _, err := Read(int(fd), p); err != syscall.EAGAIN {
		t.Errorf("%v", err)
	}
	if _, err := Write(int(fd), bytes.Repeat([]byte{255}, 8)); err != syscall.EINVAL {
		t.Errorf("%v", err)
	}
}

func TestTimerfd(t *testing.T) {
	fd, errno := do(syscall.SYS_TIMERFD_CREATE, clockMonotonic, 0, 0)
	ok(t, fd, errno)
	defer closeFD(t, fd)
	set := itimerspec{interval: syscall.Timespec{Nsec: 5e6}, value: syscall.Timespec{Nsec: 1e6}}
	start := time.Now()
	_, _, errno = entry(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&set)), 0, 0, 0)
	want(t, errno, 0)
	p := make([]byte, 8)
	for total := uint64(0); total < 4; total += load64(p) {
		if n, err := Read(int(fd), p); n != 8 || err != nil { // blocks
			t.Fatal(n, err)
		}
	}
	if took := time.Since(start); took < 15*time.Millisecond {
		t.Errorf("four expirations in %v", took)
	}
	var now itimerspec
	_, _, errno = entry(syscall.SYS_TIMERFD_GETTIME, fd, uintptr(unsafe.Pointer(&now)), 0, 0, 0, 0)
	if want(t, errno, 0); now.interval.Nsec != 5e6 || now.value.Nano() <= 0 || now.value.Nano() > 5e6 {
		t.Errorf("%+v", now)
	}
	// An absolute time that has passed expires at once.
	set = itimerspec{value: syscall.Timespec{Nsec: 1}}
	_, _, errno = entry(syscall.SYS_TIMERFD_SETTIME, fd, timerAbsolute, uintptr(unsafe.Pointer(&set)), 0, 0, 0)
	want(t, errno, 0)
	if n, err := Read(int(fd), p); n != 8 || err != nil || load64(p) != 1 {
		t.Error(n, err, p)
	}
	set.value.Nsec = 1e9
	_, _, errno = entry(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&set)), 0, 0, 0)
	want(t, errno, syscall.EINVAL)
}
