package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// useFolder works in the host's folder at /src, and says what came of it.
func useFolder() {
	if len(os.Args) > 2 {
		lookAtFolder()
		return
	}
	check(filepath.WalkDir("/src", func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			fmt.Println("found", path, d.Type())
		}
		return err
	}))
	large, err := os.ReadFile("/src/large")
	check(err)
	fmt.Printf("large %d %x\n", len(large), sha256.Sum256(large))
	writeFolder(large)
	mapFolder()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() { ownFile(i) })
	}
	group.Wait()
	followPage()
}

// writeFolder makes what the host then looks at.
func writeFolder(large []byte) {
	check(os.MkdirAll("/src/made/deep", 0o750))
	check(os.WriteFile("/src/made/copy", large, 0o640))
	f, err := os.OpenFile("/src/made/file", os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	check(err)
	for range 3 {
		_, err = f.WriteString("word ")
		check(err)
	}
	check(f.Truncate(10))
	check(f.Chmod(0o644))
	check(f.Sync())
	check(os.Chtimes(f.Name(), time.Unix(1000, 5), time.Unix(2000, 7)))
	check(os.Rename(f.Name(), "/src/made/deep/renamed"))
	check(os.Link("/src/made/deep/renamed", "/src/made/second"))
	check(os.Symlink("deep/renamed", "/src/made/link"))
	text, err := os.ReadFile("/src/made/link")
	fmt.Printf("through the link %q, %v\n", text, err)
	check(f.Close())
	dir, err := os.Open("/src/made")
	check(err)
	check(dir.Sync())
	check(dir.Close())
	check(os.WriteFile("/src/gone", nil, 0o600))
	check(os.Remove("/src/gone"))
	_, err = os.ReadFile("/src/outside") // leads to a file of the host's, which a machine has not
	fmt.Println("outside missing", errors.Is(err, fs.ErrNotExist))
}

// mapFolder maps a file: what is read is as it was; writing is refused.
func mapFolder() {
	f, err := os.OpenFile("/src/made/deep/renamed", os.O_RDWR, 0)
	check(err)
	_, err = syscall.Mmap(int(f.Fd()), 0, 5, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	fmt.Println("mapped to write:", err)
	check(f.Close())
	f, err = os.Open("/src/made/deep/renamed")
	check(err)
	m, err := syscall.Mmap(int(f.Fd()), 0, 5, syscall.PROT_READ, syscall.MAP_SHARED)
	fmt.Printf("mapped to read: %q, %v\n", m, err)
	check(f.Close())
}

// ownFile writes, reads and lists beside others that do the same.
func ownFile(i int) {
	dir := fmt.Sprint("/src/made/own", i)
	check(os.Mkdir(dir, 0o755))
	for j := range 20 {
		text := bytes.Repeat([]byte{byte(i), byte(j)}, 1+i*j*100)
		name := fmt.Sprintf("%s/%d", dir, j)
		check(os.WriteFile(name, text, 0o644))
		got, err := os.ReadFile(name)
		check(err)
		if !bytes.Equal(got, text) {
			fmt.Println("another text in", name)
		}
	}
	list, err := os.ReadDir(dir)
	check(err)
	fmt.Println("own files", len(list))
}

// followPage answers each change that the host makes of /src/page, until that is
// "last".
func followPage() {
	seen := ""
	for seen != "last" {
		b, err := os.ReadFile("/src/page")
		if err == nil && string(b) != seen {
			seen = string(b)
			check(os.WriteFile("/src/seen~", b, 0o644))
			check(os.Rename("/src/seen~", "/src/seen"))
		}
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Println("page", seen)
}

// lookAtFolder tries to change what is read-only.
func lookAtFolder() {
	b, err := os.ReadFile("/src/page")
	fmt.Printf("page %q, %v\n", b, err)
	fmt.Println("write", os.WriteFile("/src/page", nil, 0o644))
	fmt.Println("make", os.Mkdir("/src/new", 0o755))
	fmt.Println("remove", os.Remove("/src/page"))
	fmt.Println("chmod", os.Chmod("/src/page", 0o600))
	mounts, err := os.ReadFile("/proc/mounts")
	check(err)
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "/src") {
			fmt.Print("mount ", line)
		}
	}
}
