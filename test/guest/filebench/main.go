// Command filebench measures small operations on files, in nanoseconds each:
// its argument is an empty folder on a tmpfs. It runs on Linux and in a machine
// alike.
package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

func main() {
	dir := os.Args[1]
	check(os.MkdirAll(dir, 0o755))
	name := dir + "/file"
	check(os.WriteFile(name, make([]byte, 4096), 0o644))
	fd, err := syscall.Open(name, syscall.O_RDWR, 0)
	check(err)
	buf := make([]byte, 128)
	measure("open and close", func() {
		fd, err := syscall.Open(name, syscall.O_RDONLY, 0)
		check(err)
		syscall.Close(fd)
	})
	measure("stat", func() {
		var st syscall.Stat_t
		check(syscall.Stat(name, &st))
	})
	measure("read 128 bytes", func() {
		_, err := syscall.Pread(fd, buf, 0)
		check(err)
	})
	measure("write 128 bytes", func() {
		_, err := syscall.Pwrite(fd, buf, 0)
		check(err)
	})
	measure("create and remove", func() {
		fd, err := syscall.Open(dir+"/new", syscall.O_CREAT|syscall.O_WRONLY, 0o644)
		check(err)
		syscall.Close(fd)
		check(syscall.Unlink(dir + "/new"))
	})
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// measure prints the best of five rounds.
func measure(what string, f func()) {
	const rounds, times = 5, 20000
	best := time.Duration(1<<63 - 1)
	for range rounds {
		begin := time.Now()
		for range times {
			f()
		}
		best = min(best, time.Since(begin)/times)
	}
	fmt.Printf("%-18s %6d ns\n", what, best.Nanoseconds())
}
