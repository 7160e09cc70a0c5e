package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// keptFiles is how many files crash has at a time.
const keptFiles = 40

// crash writes to /data until somebody kills the machine, and prints what is
// durable after it is. What it finds at its start must be whole.
func crash() {
	check(os.MkdirAll("/data/files", 0o755))
	var wg sync.WaitGroup
	for _, writer := range []func(){appendLog, replaceState, makeFiles} {
		wg.Go(writer)
	}
	wg.Wait()
}

var printing sync.Mutex

func ack(what string, n uint64) {
	printing.Lock()
	fmt.Println("ack", what, n)
	printing.Unlock()
}

// sealed is a record: number, length, contents, checksum.
func sealed(n uint64, size int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, n)
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	b = append(b, bytes.Repeat([]byte{byte(n*7 + 1)}, size)...)
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// opened takes a record off b.
func opened(b []byte) (n uint64, rest []byte, err error) {
	if len(b) < 16 {
		return 0, nil, errors.New("cut short")
	}
	n = binary.LittleEndian.Uint64(b)
	end := 12 + int(binary.LittleEndian.Uint32(b[8:]))
	if end+4 > len(b) || crc32.ChecksumIEEE(b[:end]) != binary.LittleEndian.Uint32(b[end:]) {
		return 0, nil, fmt.Errorf("record %d is torn", n)
	}
	return n, b[end+4:], nil
}

func appendLog() {
	f, err := os.OpenFile("/data/log", os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	check(err)
	old, err := os.ReadFile("/data/log")
	check(err)
	next := uint64(1)
	for len(old) > 0 {
		n, rest, err := opened(old)
		check(err)
		if n != next {
			check(fmt.Errorf("record %d of the log is missing", next))
		}
		old, next = rest, next+1
	}
	for ; ; next++ {
		_, err := f.Write(sealed(next, rand.IntN(6000)))
		check(err)
		check(f.Sync())
		ack("log", next)
	}
}

func syncDir(path string) {
	d, err := os.Open(path)
	check(err)
	check(d.Sync())
	check(d.Close())
}

func writeSynced(path string, b []byte) {
	f, err := os.Create(path)
	check(err)
	_, err = f.Write(b)
	check(err)
	check(f.Sync())
	check(f.Close())
}

func replaceState() {
	next := uint64(1)
	b, err := os.ReadFile("/data/state")
	if err == nil {
		n, _, err := opened(b)
		check(err)
		next = n + 1
	} else if !errors.Is(err, fs.ErrNotExist) {
		check(err)
	}
	for ; ; next++ {
		writeSynced("/data/state.new", sealed(next, 20000+rand.IntN(50000)))
		check(os.Rename("/data/state.new", "/data/state"))
		syncDir("/data")
		ack("state", next)
	}
}

func makeFiles() {
	entries, err := os.ReadDir("/data/files")
	check(err)
	path := func(n uint64) string { return filepath.Join("/data/files", strconv.FormatUint(n, 10)) }
	last := uint64(0)
	for _, e := range entries {
		n, err := strconv.ParseUint(e.Name(), 10, 64)
		check(err)
		last = max(last, n)
	}
	next := last + 1
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join("/data/files", e.Name()))
		check(err)
		_, _, err = opened(b)
		if err != nil && e.Name() == strconv.FormatUint(last, 10) {
			next, err = last, os.Remove(path(last)) // the one that the crash came before
		}
		check(err)
	}
	for ; ; next++ {
		writeSynced(path(next), sealed(next, rand.IntN(10000)))
		syncDir("/data/files")
		ack("made", next)
		for _, e := range entries { // what a crash has left
			if n, _ := strconv.ParseUint(e.Name(), 10, 64); n+keptFiles <= next {
				os.Remove(path(n))
			}
		}
		if next <= keptFiles {
			continue
		}
		if err := os.Remove(path(next - keptFiles)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			check(err)
		}
		syncDir("/data/files")
		ack("gone", next-keptFiles)
	}
}
