// Command disk measures files: it is the same program in a machine, in the Linux guest
// and on the host. Usage: disk VOLUME MEMORY, a folder on a disk and one on a tmpfs. It
// prints one line for each measure, NAME VALUE UNIT, of the best of some rounds, and
// "done" at the end. The first measure reads, once, what an earlier run has left on the
// disk, which no cache of this machine's can have; the first run of all goes without.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

const (
	rounds  = 3
	block   = 4096
	synced  = 300      // appends with fsync
	renamed = 100      // small files made, synced and renamed
	large   = 64 << 20 // bytes written and read in sequence
	piece   = 1 << 20
	small   = 32 << 10 // what io.Copy reads at once
	random  = 2000     // blocks read here and there
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: disk VOLUME MEMORY")
		os.Exit(2)
	}
	dir := os.Args[1]
	if _, err := os.Stat(filepath.Join(dir, "large")); !errors.Is(err, fs.ErrNotExist) {
		check(err)
		fmt.Printf("read-first %.1f MB/s\n", rate(large/1e6, func() { readLarge(dir, piece) }))
	}
	report("append+fsync", "ops/s", func() float64 { return rate(synced, func() { appendSynced(dir) }) })
	report("replace", "ops/s", func() float64 { return rate(renamed, func() { replace(dir) }) })
	report("write", "MB/s", func() float64 { return rate(large/1e6, func() { writeLarge(dir) }) })
	report("read", "MB/s", func() float64 { return rate(large/1e6, func() { readLarge(dir, piece) }) })
	report("read-32K", "MB/s", func() float64 { return rate(large/1e6, func() { readLarge(dir, small) }) })
	report("read-random", "ops/s", func() float64 { return rate(random, func() { readRandom(dir) }) })
	inMemory(os.Args[2])
	fmt.Println("done")
}

func report(name, unit string, measure func() float64) {
	best := 0.0
	for range rounds {
		best = max(best, measure())
	}
	fmt.Printf("%s %.1f %s\n", name, best, unit)
}

func rate(n float64, f func()) float64 {
	begin := time.Now()
	f()
	return n / time.Since(begin).Seconds()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "disk:", err)
		os.Exit(1)
	}
}

func appendSynced(dir string) {
	f, err := os.Create(filepath.Join(dir, "appended"))
	check(err)
	defer f.Close()
	for range synced {
		_, err := f.Write(make([]byte, block))
		check(err)
		check(f.Sync())
	}
}

func replace(dir string) {
	for range renamed {
		f, err := os.Create(filepath.Join(dir, "new"))
		check(err)
		_, err = f.Write(make([]byte, block))
		check(err)
		check(f.Sync())
		check(f.Close())
		check(os.Rename(f.Name(), filepath.Join(dir, "current")))
	}
}

func writeLarge(dir string) {
	f, err := os.Create(filepath.Join(dir, "large"))
	check(err)
	defer f.Close()
	b := make([]byte, piece)
	for range large / piece {
		_, err := f.Write(b)
		check(err)
	}
	check(f.Sync())
}

func readLarge(dir string, size int) {
	f, err := os.Open(filepath.Join(dir, "large"))
	check(err)
	defer f.Close()
	b := make([]byte, size)
	for range large / size {
		_, err := f.Read(b)
		check(err)
	}
}

func readRandom(dir string) {
	f, err := os.Open(filepath.Join(dir, "large"))
	check(err)
	defer f.Close()
	r, b := rand.New(rand.NewPCG(1, 2)), make([]byte, block)
	for range random {
		_, err := f.ReadAt(b, r.Int64N(large/block)*block)
		check(err)
	}
}
