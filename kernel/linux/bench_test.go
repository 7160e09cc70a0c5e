package linux

import (
	"syscall"
	"testing"
	"unsafe"
)

func BenchmarkPipeTyped(b *testing.B) {
	r, w := newPipePair(b, syscall.O_NONBLOCK)
	p := make([]byte, 512)
	for b.Loop() {
		Write(int(w), p)
		Read(int(r), p)
	}
}

func BenchmarkPipeEntry(b *testing.B) {
	r, w := newPipePair(b, syscall.O_NONBLOCK)
	p := make([]byte, 512)
	for b.Loop() {
		entry(syscall.SYS_WRITE, w, uintptr(unsafe.Pointer(&p[0])), 512, 0, 0, 0)
		entry(syscall.SYS_READ, r, uintptr(unsafe.Pointer(&p[0])), 512, 0, 0, 0)
	}
}

func BenchmarkReadFile(b *testing.B) {
	writeFile(b, "/tmp/bench", string(make([]byte, 4096)))
	fd, errno := openFile(b, "/tmp/bench", syscall.O_RDONLY, 0)
	ok(b, fd, errno)
	defer closeFD(b, fd)
	p := make([]byte, 4096)
	for b.Loop() {
		Pread(int(fd), p, 0)
	}
}

func BenchmarkOpenClose(b *testing.B) {
	path := pointer("/proc/../etc/passwd")
	for b.Loop() {
		fd, _ := do(syscall.SYS_OPEN, path, syscall.O_RDONLY, 0)
		do(syscall.SYS_CLOSE, fd, 0, 0)
	}
}

func BenchmarkStat(b *testing.B) {
	writeFile(b, "/tmp/bench", "text")
	path := pointer("/tmp/bench")
	var st syscall.Stat_t
	for b.Loop() {
		do(syscall.SYS_STAT, path, uintptr(unsafe.Pointer(&st)), 0)
	}
}
