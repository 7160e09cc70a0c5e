package main

import (
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
