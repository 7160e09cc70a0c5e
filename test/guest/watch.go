package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
)

// watchFolder prints what inotify says of /src, where it makes a file itself, until the
// host has removed the file "new".
func watchFolder() {
	const mask = syscall.IN_CREATE | syscall.IN_DELETE | syscall.IN_MOVED_TO | syscall.IN_CLOSE_WRITE
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC)
	check(err)
	_, err = syscall.InotifyAddWatch(fd, "/src", mask)
	check(err)
	check(os.WriteFile("/src/own", []byte("own"), 0o600))
	fmt.Println("watching")
	names := map[uint32]string{
		syscall.IN_CREATE: "made", syscall.IN_DELETE: "removed", syscall.IN_MOVED_TO: "moved", syscall.IN_CLOSE_WRITE: "written",
	}
	buf := make([]byte, 4096)
	for {
		n, err := syscall.Read(fd, buf)
		check(err)
		for rest := buf[:n]; len(rest) > 0; {
			event, size := binary.LittleEndian.Uint32(rest[4:]), binary.LittleEndian.Uint32(rest[12:])
			name := string(bytes.TrimRight(rest[syscall.SizeofInotifyEvent:][:size], "\x00"))
			rest = rest[syscall.SizeofInotifyEvent+size:]
			fmt.Println("event:", name, names[event])
			if name == "new" && event == syscall.IN_DELETE {
				return
			}
		}
	}
}
