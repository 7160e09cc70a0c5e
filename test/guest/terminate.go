package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// terminate waits for SIGTERM and ends by its own doing.
func terminate() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	fmt.Println("waiting")
	fmt.Println("goodbye:", <-signals)
}

var sink [32]byte

// burn keeps a CPU busy for some milliseconds.
//
//go:noinline
func burn() {
	for range 2000 {
		sink = sha256.Sum256(sink[:])
	}
}
