package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func opens() {
	file("f", "0123456789")
	os.Mkdir("d", 0o755)
	os.Symlink("f", "l")
	os.Symlink("nowhere", "dangling")
	os.Symlink("loop", "loop")
	for _, o := range []struct {
		path  string
		flags int
	}{
		{"f", unix.O_RDONLY}, {"f", unix.O_RDWR}, {"f", 3}, {"f", unix.O_CREAT | unix.O_EXCL}, {"f", unix.O_DIRECTORY},
		{"d", unix.O_RDONLY}, {"d", unix.O_WRONLY}, {"d", unix.O_CREAT}, {"d/", unix.O_RDONLY | unix.O_CREAT},
		{"l", unix.O_NOFOLLOW}, {"l", unix.O_NOFOLLOW | unix.O_PATH}, {"l", unix.O_CREAT | unix.O_EXCL},
		{"dangling", unix.O_RDONLY}, {"dangling", unix.O_CREAT | unix.O_EXCL}, {"dangling", unix.O_CREAT | unix.O_WRONLY},
		{"loop", unix.O_RDONLY}, {"loop", unix.O_NOFOLLOW}, {"f/", unix.O_RDONLY}, {"f/x", unix.O_RDONLY},
		{"none", unix.O_RDONLY}, {"none/x", unix.O_CREAT}, {"", unix.O_RDONLY}, {"new/", unix.O_CREAT},
		{strings.Repeat("x", 255), unix.O_CREAT}, {strings.Repeat("x", 256), unix.O_CREAT},
		{strings.Repeat("y/", 2100), unix.O_RDONLY}, {"d", unix.O_TMPFILE | unix.O_RDWR}, {"d", unix.O_TMPFILE},
		{"none", unix.O_TMPFILE | unix.O_RDWR}, {"f", unix.O_TMPFILE | unix.O_RDWR}, {".", unix.O_PATH}, {"..", unix.O_RDONLY},
		{"f", unix.O_RDWR | unix.O_TRUNC}, {"f", unix.O_RDONLY | unix.O_NOATIME}, {"/", unix.O_RDONLY}, {"//", unix.O_RDONLY},
	} {
		fd, err := unix.Open(o.path, o.flags, 0o600)
		name := o.path
		if len(name) > 20 {
			name = fmt.Sprint(name[:4], "...", len(name))
		}
		say(fmt.Sprintf("open %s %#x", name, o.flags), err)
		if err == nil {
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			say("flags", fmt.Sprintf("%#x", flags), err)
			unix.Close(fd)
		}
	}
	for _, how := range []unix.OpenHow{
		{Flags: unix.O_RDONLY}, {Flags: unix.O_RDONLY, Resolve: unix.RESOLVE_BENEATH}, {Flags: unix.O_RDONLY, Mode: 0o7},
		{Flags: unix.O_RDONLY, Resolve: unix.RESOLVE_NO_SYMLINKS}, {Flags: unix.O_RDONLY, Resolve: 1 << 40},
		{Flags: unix.O_CREAT | unix.O_RDWR, Mode: 0o640, Resolve: unix.RESOLVE_IN_ROOT}, {Flags: 1 << 50},
		{Flags: unix.O_RDONLY, Resolve: unix.RESOLVE_NO_MAGICLINKS},
		{Flags: unix.O_CREAT | unix.O_RDWR, Mode: 0o200000},
	} {
		for _, path := range []string{"l", "../open/f", "d/../f", "/proc/self/cwd/f", "d", "dangling2"} {
			fd, err := unix.Openat2(unix.AT_FDCWD, path, &how)
			say(fmt.Sprintf("openat2 %s %#x %#o %#x", path, how.Flags, how.Mode, how.Resolve), err)
			unix.Close(fd)
			os.Remove("dangling2")
		}
	}
	d := open("d", unix.O_RDONLY)
	file("d/in", "x")
	for _, path := range []string{"in", "../f", "/etc", "", "."} {
		fd, err := unix.Openat(d, path, unix.O_RDONLY, 0)
		say("openat d "+path, err)
		unix.Close(fd)
	}
	f := open("f", unix.O_RDONLY)
	_, err := unix.Openat(f, "x", unix.O_RDONLY, 0)
	say("openat file", err)
	_, err = unix.Openat(999, "x", unix.O_RDONLY, 0)
	say("openat bad", err)
	p := must(unix.Open("f", unix.O_PATH, 0))
	_, err = unix.Read(p, make([]byte, 1))
	say("read O_PATH", err)
	say("fchmod O_PATH", unix.Fchmod(p, 0o600))
	var st unix.Stat_t
	say("fstat O_PATH", unix.Fstat(p, &st), shapeOf(&st))
	say("fsync O_PATH", unix.Fsync(p))
	say("fstat bad", unix.Fstat(999, &st))
	t, err := unix.Open("d", unix.O_TMPFILE|unix.O_RDWR, 0o600)
	if err != nil {
		say("tmpfile", err) // folders of a host have none
		return
	}
	unix.Write(t, []byte("hidden"))
	say("tmpfile", unix.Fstat(t, &st), shapeOf(&st))
	say("tmpfile link", unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", t), unix.AT_FDCWD, "d/linked", unix.AT_SYMLINK_FOLLOW), text("d/linked"))
	say("tmpfile link again", unix.Linkat(t, "", unix.AT_FDCWD, "d/linked2", unix.AT_EMPTY_PATH))
	x := must(unix.Open("d", unix.O_TMPFILE|unix.O_RDWR|unix.O_EXCL, 0o600))
	say("tmpfile excl link", unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", x), unix.AT_FDCWD, "d/linked3", unix.AT_SYMLINK_FOLLOW))
}

func data() {
	f := open("f", unix.O_RDWR|unix.O_CREAT)
	n, err := unix.Write(f, []byte("hello"))
	say("write", n, err)
	n, err = unix.Pwrite(f, []byte("X"), 10)
	say("pwrite", n, err, text("f"))
	off, err := unix.Seek(f, 0, 1)
	say("seek cur", off, err)
	for _, s := range []struct {
		off    int64
		whence int
	}{{-1, 0}, {0, 2}, {5, 2}, {-20, 2}, {0, 3}, {0, 4}, {11, 3}, {100, 4}, {0, 9}, {1 << 62, 0}} {
		off, err := unix.Seek(f, s.off, s.whence)
		say(fmt.Sprint("seek ", s.off, s.whence), off, err)
	}
	unix.Seek(f, 0, 0)
	buf := make([]byte, 100)
	n, err = unix.Read(f, buf)
	say("read", n, err)
	n, err = unix.Read(f, buf)
	say("read at end", n, err)
	n, err = unix.Read(f, nil)
	say("read nothing", n, err)
	n, err = unix.Pread(f, buf, -1)
	say("pread -1", n, err)
	n, err = unix.Pread(f, buf, 1<<40)
	say("pread far", n, err)
	n, err = unix.Preadv(f, [][]byte{buf[:2], buf[2:5]}, 1)
	say("preadv", n, err, string(buf[:5]))
	n, err = unix.Writev(f, [][]byte{[]byte("ab"), nil, []byte("cde")})
	say("writev", n, err, text("f"))
	n, err = unix.Pwritev2(f, [][]byte{[]byte("zz")}, 0, 0)
	say("pwritev2", n, err)
	n, err = unix.Pwritev2(f, [][]byte{[]byte("end")}, 0, 0x10) // RWF_APPEND
	say("pwritev2 append", n, err, text("f"))
	n, err = unix.Preadv2(f, [][]byte{buf[:4]}, -1, 0)
	say("preadv2 -1", n, err)
	n, err = unix.Preadv2(f, [][]byte{buf[:4]}, 0, 0x400)
	say("preadv2 unknown flag", n, err)
	say("truncate", unix.Ftruncate(f, 3), text("f"))
	say("extend", unix.Ftruncate(f, 6), text("f"))
	say("truncate -1", unix.Ftruncate(f, -1))
	say("truncate path", unix.Truncate("f", 2), text("f"))
	say("truncate dir", unix.Truncate(".", 2))
	say("truncate none", unix.Truncate("none", 2))
	ro := open("f", unix.O_RDONLY)
	_, err = unix.Write(ro, []byte("x"))
	say("write read-only", err)
	say("truncate read-only", unix.Ftruncate(ro, 0))
	wo := open("f", unix.O_WRONLY)
	_, err = unix.Read(wo, buf)
	say("read write-only", err)
	a := open("f", unix.O_WRONLY|unix.O_APPEND)
	n, err = unix.Pwrite(a, []byte("Q"), 0)
	say("pwrite append", n, err, text("f"))
	say("fallocate", unix.Fallocate(f, 0, 0, 10000), shape("f"))
	say("fallocate keep", unix.Fallocate(f, unix.FALLOC_FL_KEEP_SIZE, 0, 20000), shape("f"))
	say("punch", unix.Fallocate(f, unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, 0, 4096), text("f")[:4])
	say("punch without keep", unix.Fallocate(f, unix.FALLOC_FL_PUNCH_HOLE, 0, 4096))
	say("zero range", unix.Fallocate(f, unix.FALLOC_FL_ZERO_RANGE, 0, 4096))
	say("collapse", unix.Fallocate(f, unix.FALLOC_FL_COLLAPSE_RANGE, 0, 4096))
	say("fallocate 0", unix.Fallocate(f, 0, 0, 0))
	say("fallocate -1", unix.Fallocate(f, 0, -1, 10))
	say("fallocate read-only", unix.Fallocate(ro, 0, 0, 10))
	sparse := open("sparse", unix.O_RDWR|unix.O_CREAT)
	unix.Pwrite(sparse, []byte("a"), 0)
	unix.Pwrite(sparse, []byte("b"), 1<<20)
	for _, s := range []struct {
		off    int64
		whence int
	}{{0, unix.SEEK_HOLE}, {4096, unix.SEEK_DATA}, {1 << 20, unix.SEEK_HOLE}, {1<<20 + 1, unix.SEEK_DATA}} {
		off, err := unix.Seek(sparse, s.off, s.whence)
		say(fmt.Sprint("sparse seek ", s.off, s.whence), off, err)
	}
	var st unix.Stat_t
	unix.Fstat(sparse, &st)
	say("sparse blocks", st.Blocks, st.Size)
	say("fsync", unix.Fsync(f), unix.Fdatasync(f), unix.Syncfs(f), unix.SyncFileRange(f, 0, 0, 0))
	say("fadvise", unix.Fadvise(f, 0, 0, unix.FADV_DONTNEED), unix.Fadvise(f, 0, 0, 99))
	dir := open(".", unix.O_RDONLY)
	_, err = unix.Read(dir, buf)
	say("read dir", err)
	_, err = unix.Pread(dir, buf, 0)
	say("pread dir", err)
	say("fsync dir", unix.Fsync(dir))
	say("truncate dir fd", unix.Ftruncate(dir, 0))
	fd := open("gone", unix.O_RDWR|unix.O_CREAT)
	os.Remove("gone")
	unix.Write(fd, []byte("still"))
	n, err = unix.Pread(fd, buf, 0)
	say("unlinked", string(buf[:n]), err)
	unix.Fstat(fd, &st)
	say("unlinked links", st.Nlink)
}

func names() {
	file("f", "x")
	os.Mkdir("d", 0o755)
	os.Mkdir("full", 0o755)
	file("full/x", "")
	say("mkdir exists", unix.Mkdir("d", 0o755), unix.Mkdir("f", 0o755), unix.Mkdir("f/x", 0o755), unix.Mkdir("none/x", 0o755), unix.Mkdir("", 0o755))
	say("mkdir dots", unix.Mkdir(".", 0o755), unix.Mkdir("..", 0o755), unix.Mkdir("/", 0o755), unix.Mkdir("d/.", 0o755))
	say("mkdir slash", unix.Mkdir("e/", 0o2770), shape("e"))
	say("mkdir sticky", unix.Mkdir("s", 0o1777), shape("s"))
	say("rmdir", unix.Rmdir("full"), unix.Rmdir("f"), unix.Rmdir("none"), unix.Rmdir("."), unix.Rmdir("d/."), unix.Rmdir("d/.."), unix.Rmdir("/"), unix.Rmdir("e/"))
	say("unlink", unix.Unlink("d"), unix.Unlink("none"), unix.Unlink("f/"), unix.Unlink("f/x"), unix.Unlink(""), unix.Unlink("."))
	say("unlinkat", unix.Unlinkat(unix.AT_FDCWD, "s", unix.AT_REMOVEDIR), unix.Unlinkat(unix.AT_FDCWD, "f", 0x1000))
	say("link", unix.Link("f", "f2"), shape("f"), unix.Link("f", "f2"), unix.Link("d", "d2"), unix.Link("none", "n2"), unix.Link("f", "none/x"))
	say("link slash", unix.Link("f/", "f3"), unix.Link("f", "f3/"))
	say("symlink", unix.Symlink("f", "l"), shape("l"), unix.Symlink("f", "l"), unix.Symlink("", "e1"), unix.Symlink("f", ""), unix.Symlink(strings.Repeat("x", 4096), "long"))
	say("link of link", unix.Linkat(unix.AT_FDCWD, "l", unix.AT_FDCWD, "l2", 0), shape("l2"), unix.Linkat(unix.AT_FDCWD, "l", unix.AT_FDCWD, "l3", unix.AT_SYMLINK_FOLLOW), shape("l3"))
	buf := make([]byte, 3)
	os.Symlink("longer-target", "long")
	n, err := unix.Readlink("long", buf)
	say("readlink short buffer", n, string(buf), err)
	_, err = unix.Readlink("f", buf)
	say("readlink file", err)
	_, err = unix.Readlink("none", buf)
	say("readlink none", err)
	l := must(unix.Open("l", unix.O_PATH|unix.O_NOFOLLOW, 0))
	n, err = unix.Readlinkat(l, "", buf)
	say("readlinkat empty", n, err)
	say("mkfifo", unix.Mkfifo("p", 0o644), shape("p"), unix.Mkfifo("p", 0o644))
	say("mknod", unix.Mknod("n", unix.S_IFREG|0o600, 0), shape("n"), unix.Mknod("c", unix.S_IFCHR|0o600, 0x103), shape("c"), unix.Mknod("dd", unix.S_IFDIR|0o600, 0), unix.Mknod("zz", 0o170000, 0))
	say("mknod sock", unix.Mknod("so", unix.S_IFSOCK|0o600, 0), shape("so"))
	_, err = unix.Open("so", unix.O_RDWR, 0)
	say("open socket file", err)
	say("chdir", unix.Chdir("f"), unix.Chdir("none"), unix.Chdir("d"))
	wd, err := os.Getwd()
	say("getwd", wd[strings.LastIndex(wd, "/"):], err)
	os.Remove("../d")
	_, err = unix.Getcwd(make([]byte, 200))
	say("getcwd removed", err)
	_, err = os.ReadDir(".")
	say("read removed", err)
	_, err = unix.Open("x", unix.O_CREAT|unix.O_RDWR, 0o600)
	say("create in removed", err)
	say("stat removed", shape("."))
	say("parent of removed", unix.Access("../f", 0))
	os.Chdir("..")
	_, err = unix.Getcwd(make([]byte, 2))
	say("getcwd short", err)
	say("listing", listing("."))
	p := "x"
	for range 45 {
		os.Symlink(p, p+"x")
		p += "x"
	}
	file("x", "end")
	say("40 links", text(strings.Repeat("x", 41)))
	say("41 links", text(strings.Repeat("x", 42)))
}

func renames() {
	reset := func() {
		os.RemoveAll("w")
		os.MkdirAll("w/d/sub", 0o755)
		os.MkdirAll("w/e", 0o755)
		file("w/f", "f")
		file("w/g", "g")
		file("w/d/x", "x")
		os.Symlink("f", "w/l")
	}
	for _, flags := range []uint{0, unix.RENAME_NOREPLACE, unix.RENAME_EXCHANGE, 3, 8} {
		for _, r := range [][2]string{
			{"f", "g"}, {"f", "new"}, {"f", "f"}, {"f", "d"}, {"d", "f"}, {"d", "e"}, {"e", "d"}, {"d", "d/sub/y"}, {"d", "new"},
			{"none", "g"}, {"l", "f"}, {"f", "l"}, {"f", "new/"}, {"d", "new/"}, {"f/", "new"}, {"d/", "e/"}, {"f", "d/sub/z"},
			{"d/sub", "d"}, {".", "new"}, {"d/.", "new"}, {"d", "."}, {"d", ".."}, {"f", "none/x"}, {"f/x", "g"}, {"", "g"}, {"d", "d/x"},
		} {
			reset()
			os.Chdir("w")
			err := unix.Renameat2(unix.AT_FDCWD, r[0], unix.AT_FDCWD, r[1], flags)
			say(fmt.Sprintf("%s -> %s %d", r[0], r[1], flags), err, listing("."), listing("d"), text("f"), text("g"))
			os.Chdir("..")
		}
	}
	reset()
	os.Link("w/f", "w/same")
	say("two names of one", unix.Rename("w/f", "w/same"), listing("w"))
	f := open("w/g", unix.O_RDONLY)
	say("over an open file", unix.Rename("w/f", "w/g"), text("w/g"))
	b := make([]byte, 1)
	unix.Pread(f, b, 0)
	say("the open file", string(b))
	say("across", unix.Rename("w/g", "/proc/self/x"), unix.Link("w/g", "/proc/self/x"))
}

func attributes() {
	file("f", "x")
	os.Mkdir("d", 0o755)
	os.Symlink("f", "l")
	say("chmod", unix.Chmod("f", 0o6755), shape("f"), unix.Chmod("none", 0), unix.Chmod("l", 0o600), shape("f"))
	say("fchmodat nofollow", unix.Fchmodat(unix.AT_FDCWD, "l", 0o600, unix.AT_SYMLINK_NOFOLLOW), unix.Fchmodat(unix.AT_FDCWD, "f", 0o640, 0), unix.Fchmodat(unix.AT_FDCWD, "f", 0o640, 0x40))
	unix.Chmod("f", 0o6755)
	say("chown", unix.Chown("f", 12, 34), shape("f"), unix.Chown("f", -1, -1), shape("f"))
	unix.Chmod("f", 0o6745)
	say("chown group", unix.Chown("f", -1, 5), shape("f"))
	say("lchown", unix.Lchown("l", 7, 8), shape("l"), shape("f"))
	say("fchownat", unix.Fchownat(unix.AT_FDCWD, "d", 3, 4, 0), shape("d"), unix.Fchownat(unix.AT_FDCWD, "d", 3, 4, 0x40))
	unix.Chmod("f", 0o6777)
	w := open("f", unix.O_WRONLY)
	unix.Write(w, []byte("more"))
	say("write keeps root's bits", shape("f"))
	unix.Chmod("f", 0)
	say("mode 0", unix.Access("f", unix.R_OK), unix.Access("f", unix.W_OK), unix.Access("f", unix.X_OK), text("f"))
	unix.Chmod("f", 0o001)
	say("access x", unix.Access("f", unix.X_OK), unix.Access("d", unix.X_OK), unix.Access("none", 0), unix.Access("f", 8), unix.Faccessat(unix.AT_FDCWD, "l", unix.R_OK, unix.AT_SYMLINK_NOFOLLOW), unix.Faccessat(unix.AT_FDCWD, "l", 0, unix.AT_EACCESS))
	old := unix.Umask(0o077)
	say("umask", fmt.Sprintf("%o", old))
	m := open("masked", unix.O_CREAT|unix.O_RDWR)
	say("masked", shape("masked"))
	unix.Close(m)
	unix.Mkdir("maskeddir", 0o777)
	say("masked dir", shape("maskeddir"))
	unix.Umask(0o022)
	os.Mkdir("sg", 0o755)
	unix.Chown("sg", 0, 77)
	unix.Chmod("sg", 0o2755)
	os.Mkdir("sg/sub", 0o755)
	file("sg/file", "")
	say("set-group-ID folder", shape("sg"), shape("sg/sub"), shape("sg/file"))
	at := time.Unix(1000, 123456789)
	say("chtimes", os.Chtimes("f", at, at.Add(time.Second)))
	var st unix.Stat_t
	unix.Stat("f", &st)
	say("times", st.Atim, st.Mtim)
	ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: -5, Nsec: 3}}
	say("utimensat", unix.UtimesNanoAt(unix.AT_FDCWD, "f", ts, 0))
	unix.Stat("f", &st)
	say("times", st.Atim, st.Mtim)
	say("utimensat bad", unix.UtimesNanoAt(unix.AT_FDCWD, "f", []unix.Timespec{{Nsec: 2e9}, {}}, 0), unix.UtimesNanoAt(unix.AT_FDCWD, "none", ts, 0), unix.UtimesNanoAt(unix.AT_FDCWD, "f", ts, 0x40))
	say("utimensat link", unix.UtimesNanoAt(unix.AT_FDCWD, "l", []unix.Timespec{{Sec: 1}, {Sec: 2}}, unix.AT_SYMLINK_NOFOLLOW))
	unix.Lstat("l", &st)
	say("times of link", st.Mtim)
	moves := func(what string, f func()) {
		unix.UtimesNanoAt(unix.AT_FDCWD, "f", []unix.Timespec{{Sec: 1}, {Sec: 1}}, 0)
		unix.UtimesNanoAt(unix.AT_FDCWD, "d", []unix.Timespec{{Sec: 1}, {Sec: 1}}, 0)
		var a, b, c, d unix.Stat_t
		unix.Stat("f", &a)
		unix.Stat("d", &c)
		time.Sleep(20 * time.Millisecond)
		f()
		unix.Stat("f", &b)
		unix.Stat("d", &d)
		say("times after "+what, "f:", a.Atim != b.Atim, a.Mtim != b.Mtim, a.Ctim != b.Ctim, "d:", c.Atim != d.Atim, c.Mtim != d.Mtim, c.Ctim != d.Ctim)
	}
	unix.Chmod("f", 0o644)
	moves("read", func() { text("f") })
	moves("write", func() { file("f", "y") })
	moves("truncate", func() { unix.Truncate("f", 0) })
	moves("truncate to the same", func() { unix.Truncate("f", 0) })
	moves("chmod", func() { unix.Chmod("f", 0o644) })
	moves("link", func() { unix.Link("f", "d/f") })
	moves("create", func() { file("d/g", "") })
	moves("unlink", func() { os.Remove("d/f") })
	moves("rename", func() { os.Rename("f", "d/f"); os.Rename("d/f", "f") })
	moves("readdir", func() { listing("d") })
	moves("empty write", func() { fd := open("f", unix.O_WRONLY); unix.Write(fd, nil); unix.Close(fd) })
	var x unix.Statx_t
	say("statx", unix.Statx(unix.AT_FDCWD, "f", 0, unix.STATX_ALL, &x), fmt.Sprintf("%#x", x.Mask&unix.STATX_BASIC_STATS), x.Mask&unix.STATX_BTIME != 0, x.Size, x.Nlink, fmt.Sprintf("%o", x.Mode))
	say("statx empty", unix.Statx(w, "", unix.AT_EMPTY_PATH, unix.STATX_SIZE, &x), x.Size)
	say("statx bad", unix.Statx(unix.AT_FDCWD, "f", 0x10000, 0, &x), unix.Statx(unix.AT_FDCWD, "", 0, 0, &x), unix.Statx(unix.AT_FDCWD, "f", 0, 1<<31, &x))
	var s unix.Statfs_t
	say("statfs", unix.Statfs("f", &s), fmt.Sprintf("%#x", s.Type), s.Bsize, s.Namelen, s.Bfree <= s.Blocks, s.Bavail <= s.Bfree, s.Ffree <= s.Files, s.Blocks > 0, s.Files > 0)
	say("statfs proc", unix.Statfs("/proc", &s), fmt.Sprintf("%#x", s.Type))
	say("fstatfs", unix.Fstatfs(w, &s), fmt.Sprintf("%#x", s.Type), unix.Fstatfs(999, &s), unix.Statfs("none", &s))
}

func directories() {
	for i := range 300 {
		file(fmt.Sprintf("f%03d", i), "")
	}
	os.Mkdir("d", 0o755)
	say("count", len(strings.Fields(listing("."))))
	fd := open(".", unix.O_RDONLY)
	n, err := unix.Getdents(fd, make([]byte, 10))
	say("getdents small", n, err)
	f := open("f000", unix.O_RDONLY)
	_, err = unix.Getdents(f, make([]byte, 1000))
	say("getdents file", err)
	buf := make([]byte, 1000)
	total := 0
	for {
		n, err := unix.Getdents(fd, buf)
		if n <= 0 {
			say("getdents end", n, err)
			break
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		total += len(names)
	}
	say("getdents all", total)
	off, err := unix.Seek(fd, 0, 0)
	say("rewind", off, err)
	seen := 0
	for {
		n, _ := unix.Getdents(fd, buf)
		if n <= 0 {
			break
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			os.Remove(name)
			seen++
		}
	}
	say("remove while reading", seen, listing("."))
	say("nlink", shape("."))
	say("glob", must(os.ReadDir(".")) != nil)
}
