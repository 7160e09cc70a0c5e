package linux

import (
	"bufio"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"unsafe"
)

// hostSpace is a Space of a Linux process: an alias is the second mapping that
// mremap(2) makes of shared memory. Who shows what is read from the kernel's
// list of mappings. It leaves out limits.
type hostSpace struct {
	mu      sync.Mutex
	sources map[uint64]uintptr // by inode of the shared memory
}

const remapMayMove, remapFixed = 1, 2

// hostMapping is a line of /proc/self/maps.
type hostMapping struct {
	start, end, offset uintptr
	inode              uint64
}

func hostMappings() (list []hostMapping) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		panic(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var m hostMapping
		var access, device string
		fmt.Sscanf(lines.Text(), "%x-%x %s %x %s %d", &m.start, &m.end, &access, &m.offset, &device, &m.inode)
		list = append(list, m)
	}
	return list
}

func mappingAt(at uintptr) hostMapping {
	for _, m := range hostMappings() {
		if at >= m.start && at < m.end {
			return m
		}
	}
	return hostMapping{}
}

func (h *hostSpace) Alias(addr, size, prot, flags, source uintptr, _ bool) (uintptr, Errno) {
	if source >= nowhere {
		at, _, errno := rawTrap(syscall.SYS_MMAP, addr, size, syscall.PROT_NONE, flags|syscall.MAP_ANON, failed, 0)
		return at, Errno(errno)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m := mappingAt(source)
	if h.sources[m.inode] == 0 {
		h.sources[m.inode] = m.start - m.offset
	}
	how := uintptr(remapMayMove)
	if flags&syscall.MAP_FIXED != 0 {
		how |= remapFixed
	}
	at, _, errno := rawTrap(syscall.SYS_MREMAP, source, 0, size, how, addr, 0)
	if errno == 0 {
		_, _, errno = rawTrap(syscall.SYS_MPROTECT, at, size, prot, 0, 0, 0)
	}
	return at, Errno(errno)
}

func (h *hostSpace) Source(addr, size uintptr) uintptr {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range hostMappings() {
		source := h.sources[m.inode]
		if source == 0 || m.end <= addr || m.start >= addr+size || m.start == source+m.offset {
			continue
		}
		return source + m.offset + max(addr, m.start) - m.start
	}
	return 0
}

func (h *hostSpace) Aliased(start, end uintptr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range hostMappings() {
		if h.sources[m.inode] == start && m.start != start+m.offset {
			return true
		}
	}
	return false
}

func (h *hostSpace) SetLimit(start, end, limit uintptr) Errno { return 0 }

// TestMapShared: each mapping of a file has its own address and protection, can
// go in parts, and lasts until its last part is gone.
func TestMapShared(t *testing.T) {
	writeFile(t, "/tmp/shared", string(make([]byte, 3*pageSize)))
	fd, _ := openFile(t, "/tmp/shared", syscall.O_RDWR, 0)
	defer closeFD(t, fd)
	at := func(addr, size, prot, flags, off uintptr) uintptr {
		t.Helper()
		r, _, errno := entry(syscall.SYS_MMAP, addr, size, prot, flags, fd, off)
		return ok(t, r, errno)
	}
	const rw = syscall.PROT_READ | syscall.PROT_WRITE
	place := at(0, 4*pageSize, rw, syscall.MAP_SHARED, 0)
	a := at(place, 3*pageSize, rw, syscall.MAP_SHARED|syscall.MAP_FIXED, 0)
	b := at(0, pageSize, syscall.PROT_READ, syscall.MAP_SHARED, pageSize)
	if a != place || a == b-pageSize {
		t.Fatalf("mapped at %#x and %#x, want %#x and another place", a, b, place)
	}
	memory(address{at: a}, 3*pageSize)[pageSize+5] = 'x'
	if memory(address{at: b}, pageSize)[5] != 'x' || readAll(t, "/tmp/shared")[pageSize+5] != 'x' {
		t.Error("the mappings and the file differ")
	}
	f, errno := open(fd)
	want(t, errno, 0)
	node := f.object.(*regular).node
	for _, part := range []uintptr{a + pageSize, a, a + 2*pageSize, a + 3*pageSize, b} {
		if s := sharing.files[node]; s == nil || !s.mapped {
			t.Fatal("the file is let go while it is mapped")
		}
		_, errno := do(syscall.SYS_MUNMAP, part, pageSize, 0)
		want(t, errno, 0)
	}
	if s := sharing.files[node]; s == nil || s.mapped {
		t.Error("the file is held while nothing maps it")
	}
	do(syscall.SYS_UNLINK, pointer("/tmp/shared"), 0, 0)
}

// TestUnlinkedMapping: the memory of a file that has neither name nor opener
// goes with its last mapping.
func TestUnlinkedMapping(t *testing.T) {
	writeFile(t, "/tmp/gone", "text")
	fd, _ := openFile(t, "/tmp/gone", syscall.O_RDONLY, 0)
	at, _, errno := entry(syscall.SYS_MMAP, 0, pageSize, syscall.PROT_READ, syscall.MAP_SHARED, fd, 0)
	ok(t, at, errno)
	f, _ := open(fd)
	node := f.object.(*regular).node
	do(syscall.SYS_UNLINK, pointer("/tmp/gone"), 0, 0)
	closeFD(t, fd)
	if got := unsafe.String((*byte)(address{at: at}.pointer()), 4); got != "text" {
		t.Errorf("the mapping holds %q", got)
	}
	_, errno = do(syscall.SYS_MUNMAP, at, pageSize, 0)
	want(t, errno, 0)
	if sharing.files[node] != nil {
		t.Error("the memory is still there")
	}
}
