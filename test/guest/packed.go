package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// packed looks at the files of the image that test/packed_test.go builds.
func packed() {
	fmt.Println("args", strings.Join(os.Args[2:], " "))
	fmt.Println("env", os.Getenv("PACKED"))
	check(filepath.WalkDir("/srv", func(path string, d fs.DirEntry, err error) error {
		check(err)
		info, err := d.Info()
		check(err)
		fmt.Println("walk", path, info.Mode(), info.Size())
		return nil
	}))
	text, err := os.ReadFile("/srv/link")
	check(err)
	fmt.Printf("link %q\n", text)
	text, err = os.ReadFile("/etc/Corefile")
	check(err)
	fmt.Printf("file %q\n", text)
	mapPacked("/srv/large")
	self, err := os.ReadFile("/proc/self/exe")
	check(err)
	fmt.Println("self", bytes.Contains(self, bytes.Repeat([]byte("0123456789"), 12_345)))
	for what, err := range map[string]error{
		"write":    write("/etc/Corefile", os.O_WRONLY),
		"truncate": os.Truncate("/etc/Corefile", 0),
		"trunc":    write("/srv/sub/b", os.O_RDWR|os.O_TRUNC),
		"create":   write("/srv/sub/new", os.O_CREATE|os.O_WRONLY),
		"mkdir":    os.Mkdir("/srv/new", 0o755),
		"remove":   os.Remove("/srv/sub/b"),
		"unlink":   os.Remove("/etc/Corefile"),
		"rename":   os.Rename("/etc/Corefile", "/etc/other"),
		"over":     renameOver("/etc/Corefile"),
		"chmod":    os.Chmod("/srv/sub", 0o777),
		"chown":    os.Chown("/srv/sub/b", 1, 1),
		"chtimes":  os.Chtimes("/srv/sub/b", time.Now(), time.Now()),
	} {
		if !errors.Is(err, syscall.EROFS) {
			fmt.Println("FAIL", what, err)
		}
	}
	check(os.WriteFile("/etc/own", nil, 0o644)) // the folder around stays writable
	fmt.Println("done")
}

func write(path string, flags int) error {
	f, err := os.OpenFile(path, flags, 0o644)
	if err == nil {
		f.Close()
	}
	return err
}

func renameOver(path string) error {
	check(os.WriteFile("/tmp/x", nil, 0o644))
	return os.Rename("/tmp/x", path)
}

// mapPacked compares a mapping of a file with what read returns.
func mapPacked(path string) {
	f, err := os.Open(path)
	check(err)
	defer f.Close()
	all, err := os.ReadFile(path)
	check(err)
	mapped, err := syscall.Mmap(int(f.Fd()), 0, len(all), syscall.PROT_READ, syscall.MAP_SHARED)
	check(err)
	fmt.Println("mmap", len(all), bytes.Equal(all, mapped))
	check(syscall.Munmap(mapped))
}
