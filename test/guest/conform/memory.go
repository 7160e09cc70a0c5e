package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

const page = 4096

// mmap maps a file by the system call itself, at an address of choice.
func mmap(at uintptr, length, prot, flags, fd int, off int64) (uintptr, error) {
	got, _, e := unix.Syscall6(unix.SYS_MMAP, at, uintptr(length), uintptr(prot), uintptr(flags), uintptr(fd), uintptr(off))
	if e != 0 {
		return 0, e
	}
	return got, nil
}

func at(address uintptr, length int) []byte {
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&address))), length)
}

func addressOf(m []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(m))) }

func munmap(address uintptr, length int) error {
	if _, _, e := unix.Syscall(unix.SYS_MUNMAP, address, uintptr(length), 0); e != 0 {
		return e
	}
	return nil
}

// touch reads a byte, or writes one, and tells of the fault.
func touch(address uintptr, write bool) (outcome string) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(interface{ Addr() uintptr })
			outcome = fmt.Sprint("fault ", ok && e.Addr() == address)
		}
	}()
	m := at(address, 1)
	if write {
		m[0] = 'w'
		return "wrote"
	}
	return fmt.Sprintf("%q", m[0])
}

// reservedMappings asks for more than a machine has: what can't be written to
// takes nothing until it is used.
func reservedMappings() {
	const size = 16 << 30
	m, err := unix.Mmap(-1, 0, size, unix.PROT_READ, unix.MAP_ANON|unix.MAP_PRIVATE)
	say("read-only", len(m) == size, err)
	if err != nil {
		return
	}
	last := m[size-page:]
	say("last page", unix.Mprotect(last, unix.PROT_READ|unix.PROT_WRITE))
	last[0] = 'x'
	say("read", string(last[0]), m[0], m[size/2])
	say("unmap", unix.Munmap(m))
}

func sharedMappings() {
	f := open("f", unix.O_RDWR|unix.O_CREAT)
	unix.Write(f, []byte(strings.Repeat("a", page)+strings.Repeat("b", page)+"cc"))
	const rw = unix.PROT_READ | unix.PROT_WRITE
	room := must(unix.Mmap(-1, 0, 16*page, unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE))
	base := addressOf(room)
	one, err := mmap(base+page, 3*page, rw, unix.MAP_SHARED|unix.MAP_FIXED, f, 0)
	say("fixed", err, one == base+page)
	two, err := mmap(base+6*page, page, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED, f, page)
	say("fixed part", err, two == base+6*page)
	_, err = mmap(base+6*page, page, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED_NOREPLACE, f, page)
	say("no replace", err)
	_, err = mmap(base+6*page+1, page, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED, f, page)
	say("fixed at no page", err)
	at(one, 3*page)[page+7] = 'X'
	b := make([]byte, 3)
	unix.Pread(f, b, page+6)
	say("all see it", string(at(two, 9)[6:9]), string(b))
	unix.Pwrite(f, []byte("YZ"), page+1)
	say("memory sees the file", string(at(one+page, 4)), string(at(two, 4)))
	say("protection", touch(two, true), touch(one, true), touch(base, false))
	say("mprotect", unix.Mprotect(at(two, page), rw), touch(two+3, true), unix.Mprotect(at(two, page), unix.PROT_READ), touch(two+3, true), unix.Mprotect(at(one, page), unix.PROT_NONE), touch(one, false), unix.Mprotect(at(one, page), unix.PROT_READ), touch(one, false))
	say("behind the end", touch(one+2*page+1, false), touch(one+2*page+2, false), touch(one+3*page-1, false))
	far, err := mmap(0, 5*page, rw, unix.MAP_SHARED, f, 0)
	say("far behind", err, touch(far+3*page, false), touch(far+4*page, true))
	n, err := unix.Pread(f, at(far+3*page, 10), 0)
	say("read to behind the end", n, err)
	n, err = unix.Pwrite(f, at(far+3*page, 10), 0)
	say("write from behind the end", n, err)
	at(far, 3*page)[3*page-1] = 'T' // in the last page, behind the end
	say("grow", unix.Ftruncate(f, 4*page), touch(far+3*page, false), touch(far+4*page, false))
	say("shrink", touch(far+3*page, true), unix.Ftruncate(f, 10), touch(far+9, false), touch(far+10, false), touch(far+page, false), touch(two, false))
	say("grow again", unix.Ftruncate(f, 4*page), touch(far+page, false), touch(far+3*page, false), text("f") == "\""+"wYaaaaaaaa"+"\"" || len(text("f")) > page)
	unix.Pwrite(f, []byte("again"), page)
	say("after that", string(at(two, 5)), string(at(far+page, 5)))
	say("unmap part", munmap(one+page, page), touch(one, false), touch(one+page, false), touch(one+2*page, false))
	say("unmap across", munmap(base, 16*page), touch(one, false), touch(two, false))
	ro := open("f", unix.O_RDONLY)
	r, err := mmap(0, page, unix.PROT_READ, unix.MAP_SHARED, ro, 0)
	say("of read-only", err, unix.Mprotect(at(r, page), rw), touch(r, true))
	v, err := mmap(0, page, unix.PROT_READ, 3, ro, 0) // MAP_SHARED_VALIDATE
	say("validate", err, munmap(v, page))

	m, err := unix.MremapPtr(*(*unsafe.Pointer)(unsafe.Pointer(&far)), 5*page, nil, 2*page, unix.MREMAP_MAYMOVE)
	say("remap smaller", err, uintptr(m) == far, touch(far+page, false), touch(far+2*page, false))
	room2 := addressOf(must(unix.Mmap(-1, 0, 8*page, unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE)))
	m, err = unix.MremapPtr(m, 2*page, *(*unsafe.Pointer)(unsafe.Pointer(&room2)), 4*page, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED)
	say("remap elsewhere", err, uintptr(m) == room2, string(at(room2+page, 5)), touch(far, false))
	at(room2, page)[0] = 'M'
	unix.Pread(f, b, 0)
	say("moved mapping", string(b[:1]))
	twice, err := unix.MremapPtr(m, 0, nil, page, unix.MREMAP_MAYMOVE)
	say("a second mapping", err, twice != m, string(at(uintptr(twice), 1)))
	say("unmap all", munmap(room2, 8*page), munmap(uintptr(twice), page))
	unix.Pread(f, b, 0)
	say("the file", string(b[:1]))

	p, err := mmap(0, 4*page, rw, unix.MAP_PRIVATE, f, 2*page)
	say("private behind the end", err, touch(p, true), touch(p+page, false), touch(p+2*page, false))
	q, err := unix.MremapPtr(*(*unsafe.Pointer)(unsafe.Pointer(&p)), 4*page, nil, 400*page, unix.MREMAP_MAYMOVE)
	say("remap across the end", err, touch(uintptr(q), false), touch(uintptr(q)+2*page, false), touch(uintptr(q)+399*page, false), munmap(uintptr(q), 400*page))
	for _, bad := range []struct{ off, length int }{{-page, page}, {0, -1}} {
		_, err := mmap(0, bad.length, unix.PROT_READ, unix.MAP_SHARED, f, int64(bad.off))
		say(fmt.Sprint("bad ", bad.off, " ", bad.length), err == nil || bad.off != 1<<50)
	}

	sealed := must(unix.MemfdCreate("s", unix.MFD_ALLOW_SEALING))
	unix.Ftruncate(sealed, page)
	w, err := mmap(0, page, rw, unix.MAP_SHARED, sealed, 0)
	_, err2 := unix.FcntlInt(uintptr(sealed), unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
	say("seal while mapped", err, err2)
	munmap(w, page)
	_, err = unix.FcntlInt(uintptr(sealed), unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
	_, err2 = mmap(0, page, rw, unix.MAP_SHARED, sealed, 0)
	_, err3 := mmap(0, page, rw, unix.MAP_PRIVATE, sealed, 0)
	say("sealed", err, err2, err3)

	hole, _ := mmap(0, 2*page, rw, unix.MAP_SHARED, f, 0)
	say("remove", unix.Madvise(at(hole, page), unix.MADV_REMOVE), touch(hole, false), touch(hole+page, false))
	say("msync", unix.Msync(at(hole, page), unix.MS_SYNC), unix.Msync(at(hole, page), unix.MS_INVALIDATE), unix.Msync(at(hole, page)[:0:page], unix.MS_ASYNC))
	_, _, e := unix.Syscall(unix.SYS_MSYNC, hole+1, page, unix.MS_SYNC)
	say("msync at no page", e)
	munmap(hole, 2*page)
	_, _, e = unix.Syscall(unix.SYS_MSYNC, hole, page, unix.MS_SYNC)
	say("msync of nothing", e)
	runtime.KeepAlive(room)
	os.Remove("f")
}

func anonymousMemory() {
	const rw = unix.PROT_READ | unix.PROT_WRITE
	m := must(unix.Mmap(-1, 0, 8*page, rw, unix.MAP_ANON|unix.MAP_PRIVATE))
	base := addressOf(m)
	for i := range 8 {
		m[i*page] = byte('0' + i)
	}
	munmap(base+4*page, 4*page)
	p, err := unix.MremapPtr(unsafe.Pointer(&m[0]), 4*page, nil, 6*page, 0)
	say("grow in place", err, uintptr(p) == base, string(at(base+3*page, 1)), touch(base+5*page, true))
	mmap(base+6*page, page, unix.PROT_READ, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_FIXED, -1, 0)
	_, err = unix.MremapPtr(unsafe.Pointer(&m[0]), 6*page, nil, 8*page, 0)
	say("no room", err)
	p, err = unix.MremapPtr(unsafe.Pointer(&m[0]), 6*page, nil, 600*page, unix.MREMAP_MAYMOVE)
	moved := uintptr(p)
	say("move", err, moved != base, string(at(moved+2*page, 1)), touch(moved+599*page, false), touch(base, false))
	p, err = unix.MremapPtr(p, page, nil, page, unix.MREMAP_MAYMOVE|unix.MREMAP_DONTUNMAP)
	say("keep the old place", err, string(at(uintptr(p), 1)), touch(moved, false))
	_, err = unix.MremapPtr(p, page, nil, page, 8)
	_, err2 := unix.MremapPtr(p, page, nil, 0, unix.MREMAP_MAYMOVE)
	_, err3 := unix.MremapPtr(p, page, p, page, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED)
	_, err4 := unix.MremapPtr(p, page, nil, page, unix.MREMAP_FIXED)
	_, err5 := unix.MremapPtr(unsafe.Add(p, 1), page, nil, page, 0)
	nothing := uintptr(0x123456789000)
	_, err6 := unix.MremapPtr(*(*unsafe.Pointer)(unsafe.Pointer(&nothing)), page, nil, 2*page, unix.MREMAP_MAYMOVE)
	say("bad", err, err2, err3, err4, err5, err6)
	a := must(unix.Mmap(-1, 0, 4*page, rw, unix.MAP_ANON|unix.MAP_PRIVATE))
	a[0] = 'a'
	for advice := range 26 {
		switch advice {
		case 9, 12, 13, 14, 15, 18, 19, 24, 25: // depend on how Linux was built
			continue
		}
		say(fmt.Sprint("advice ", advice), unix.Madvise(a, advice))
	}
	say("advice on nothing", unix.Madvise(at(nothing, page), unix.MADV_WILLNEED), unix.Madvise(at(nothing, page)[:0:0], unix.MADV_WILLNEED))
	_, _, e := unix.Syscall(unix.SYS_MADVISE, addressOf(a)+1, page, unix.MADV_WILLNEED)
	say("advice at no page", e)
	unix.Mprotect(a, unix.PROT_READ)
	say("populate", unix.Madvise(a, unix.MADV_POPULATE_READ), unix.Madvise(a, unix.MADV_POPULATE_WRITE))
	vec := make([]byte, 4)
	mincore := func(address uintptr, length int) error {
		_, _, e := unix.Syscall(unix.SYS_MINCORE, address, uintptr(length), uintptr(unsafe.Pointer(&vec[0])))
		if e != 0 {
			return e
		}
		return nil
	}
	say("mincore", mincore(addressOf(a), 2*page), vec[0]&1, mincore(addressOf(a)+1, page), mincore(nothing, page), mincore(addressOf(a), 0))
	_, err = mmap(0, 0, rw, unix.MAP_ANON|unix.MAP_PRIVATE, -1, 0)
	_, err2 = mmap(0, page, rw, unix.MAP_ANON, -1, 0)
	_, err3 = mmap(base+1, page, rw, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_FIXED, -1, 0)
	say("bad mmap", err, err2, err3)
	say("bad munmap", munmap(base+1, page), munmap(base, 0), munmap(nothing, page))
	say("bad mprotect", unix.Mprotect(at(nothing, page), rw), unix.Mprotect(at(base+1, page), rw))
	_, _, e = unix.Syscall(unix.SYS_MLOCK2, addressOf(a), page, 1)
	_, _, e2 := unix.Syscall(unix.SYS_MLOCK2, addressOf(a), page, 8)
	say("mlock2", e == 0, e2)
	say("mlockall", unix.Mlockall(unix.MCL_CURRENT|unix.MCL_FUTURE), unix.Mlockall(0), unix.Munlockall(), unix.Mlock(at(nothing, page)))
}
