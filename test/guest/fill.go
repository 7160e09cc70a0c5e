package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// fillSize is the size of one of fill's files.
const fillSize = 256 << 10

func fillPath(n int) string { return "/data/fill-" + strconv.Itoa(n) }

// fill makes files in /data, each on the disk before the next one, until that fails,
// and says what can be done then.
func fill() {
	n := 0
	err := error(nil)
	for ; err == nil; n++ {
		err = writeFile(fillPath(n), sealed(uint64(n), fillSize))
	}
	n--
	fmt.Println("whole", n)
	fmt.Println("full", errors.Is(err, syscall.ENOSPC), "failed", errors.Is(err, syscall.EIO))
	os.Remove(fillPath(n))
	checkFilled(n)
	fmt.Println("overwrite", writeOver(fillPath(0), sealed(0, fillSize)))
	fmt.Println("replace", os.Rename(fillPath(n-1), fillPath(n-2)))
	fmt.Println("remove", os.Remove(fillPath(n-3)), os.Remove(fillPath(n-4)))
	fmt.Println("again", writeFile("/data/again", sealed(0, fillSize)))
}

// filled checks the files that fill said were whole.
func filled() {
	n, err := strconv.Atoi(os.Args[2])
	check(err)
	checkFilled(n)
	fmt.Println("write", writeFile("/data/later", sealed(0, fillSize)))
}

func checkFilled(n int) {
	for i := range n {
		b, err := os.ReadFile(fillPath(i))
		check(err)
		if !bytes.Equal(b, sealed(uint64(i), fillSize)) {
			check(fmt.Errorf("file %d is not whole", i))
		}
	}
}

// writeFile makes a file that is on the disk when it returns.
func writeFile(path string, b []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func writeOver(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	return errors.Join(err, f.Sync(), f.Close())
}
