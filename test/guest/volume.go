package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// mapRemoved maps a file of the volume that has neither name nor descriptor any more.
func mapRemoved() {
	f, err := os.Create("/data/short")
	check(err)
	_, err = f.WriteString("short-lived")
	check(err)
	m, err := syscall.Mmap(int(f.Fd()), 0, 11, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	check(err)
	check(os.Remove("/data/short"))
	check(f.Close())
	copy(m, "SHORT")
	fmt.Printf("mapped %q\n", m)
	check(syscall.Munmap(m))
}

// syncVolume writes a file, calls sync by the SYSCALL instruction itself, as package
// golang.org/x/sys/unix does, and waits to be killed.
func syncVolume() {
	check(os.WriteFile("/data/synced", []byte("by sync"), 0o600))
	unix.Sync()
	fmt.Println("synced")
	select {}
}

// showSynced prints what of it is there.
func showSynced() {
	text, err := os.ReadFile("/data/synced")
	fmt.Printf("%q %v\n", text, err)
}

// useVolume looks at /data, writes to it, and says what came of it.
func useVolume() {
	old, err := os.ReadFile("/data/dir/file")
	fmt.Printf("found %q, missing %v\n", old, errors.Is(err, fs.ErrNotExist))
	err = os.MkdirAll("/data/dir", 0o700)
	fmt.Println("read-only", errors.Is(err, syscall.EROFS) || errors.Is(os.WriteFile("/data/x", nil, 0o600), syscall.EROFS))
	if len(os.Args) > 2 {
		return
	}
	f, err := os.OpenFile("/data/dir/file", os.O_RDWR|os.O_CREATE|os.O_APPEND|os.O_SYNC, 0o640)
	check(err)
	_, err = f.WriteString("word ")
	check(err)
	check(f.Sync())
	check(os.Symlink("dir/file", "/data/link"+fmt.Sprint(len(old))))
	check(os.Link("/data/dir/file", "/data/other"+fmt.Sprint(len(old))))
	m, err := syscall.Mmap(int(f.Fd()), 0, 5, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	check(err)
	copy(m, "WORD ")
	check(syscall.Munmap(m))
	check(os.Remove("/data/dir/file")) // open, and with another name
	check(os.Rename("/data/other"+fmt.Sprint(len(old)), "/data/dir/file"))
	mapRemoved()
	var st syscall.Statfs_t
	check(syscall.Statfs("/data", &st))
	fmt.Printf("type %#x, size %d MiB\n", st.Type, int64(st.Blocks)*st.Bsize>>20)
	fmt.Println("last") // not synced: written at the end
	check(os.WriteFile("/data/unsynced", []byte("kept"), 0o600))
}

// unsynced says what an earlier run has written to /data, writes there without any
// sync, and waits for a signal that it doesn't handle.
func unsynced() {
	b, _ := os.ReadFile("/data/unsynced")
	fmt.Printf("found %q\n", b)
	if len(b) > 0 {
		return
	}
	check(os.WriteFile("/data/unsynced", []byte("kept"), 0o600))
	fmt.Println("written")
	time.Sleep(time.Hour)
}

// unwilling says what an earlier run has written to /data. If that is nothing it writes
// there without any sync, and when it is to end, once more with and once more without, and
// does not end.
func unwilling() {
	before, err := os.ReadFile("/data/before")
	if err == nil {
		synced, _ := os.ReadFile("/data/synced")
		after, err := os.ReadFile("/data/after")
		fmt.Printf("before %q, synced %q, after whole or not there: %t\n", before, synced, err != nil || len(after) == 0 || string(after) == "after")
		return
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	check(os.WriteFile("/data/before", []byte("before"), 0o600))
	fmt.Println("written")
	<-asked
	f, err := os.Create("/data/synced")
	check(err)
	_, err = f.WriteString("synced")
	check(err)
	check(f.Sync())
	check(os.WriteFile("/data/after", []byte("after"), 0o600))
	fmt.Println("unwilling")
	select {}
}
