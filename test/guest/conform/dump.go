package main

import (
	"bytes"
	"os"
	"runtime/debug"
)

// dumps has the Go runtime write to a file itself, between writes of the program's.
func dumps() {
	f, err := os.Create("heap")
	say("create", err)
	f.WriteString("before\n")
	debug.WriteHeapDump(f.Fd())
	f.WriteString("after\n")
	data, err := os.ReadFile("heap")
	say("heap dump", bytes.HasPrefix(data, []byte("before\ngo1.7 heap dump\n")), bytes.HasSuffix(data, []byte("after\n")), len(data) > 10000, err)
	say("close", f.Close())
}
