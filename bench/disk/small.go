package main

import (
	"fmt"
	"syscall"
	"time"
)

// Small operations are timed in batches, so that the clock costs nothing.
const (
	batches = 5
	batch   = 5_000
)

// inMemory measures operations on a small file of a folder in memory, in nanoseconds
// each: the best of the batches.
func inMemory(dir string) {
	name := dir + "/small"
	fd, err := syscall.Open(name, syscall.O_RDWR|syscall.O_CREAT, 0o644)
	check(err)
	buf := make([]byte, 128)
	_, err = syscall.Write(fd, make([]byte, block))
	check(err)
	timed("open+close", func() {
		fd, err := syscall.Open(name, syscall.O_RDONLY, 0)
		check(err)
		check(syscall.Close(fd))
	})
	timed("stat", func() {
		var st syscall.Stat_t
		check(syscall.Stat(name, &st))
	})
	timed("read-128", func() {
		_, err := syscall.Pread(fd, buf, 0)
		check(err)
	})
	timed("write-128", func() {
		_, err := syscall.Pwrite(fd, buf, 0)
		check(err)
	})
	timed("create+remove", func() {
		fd, err := syscall.Open(dir+"/new", syscall.O_CREAT|syscall.O_WRONLY, 0o644)
		check(err)
		check(syscall.Close(fd))
		check(syscall.Unlink(dir + "/new"))
	})
	check(syscall.Close(fd))
}

func timed(name string, f func()) {
	best := time.Duration(1<<63 - 1)
	for range batches {
		begin := time.Now()
		for range batch {
			f()
		}
		best = min(best, time.Since(begin))
	}
	fmt.Printf("%s %.0f ns\n", name, float64(best.Nanoseconds())/batch)
}
