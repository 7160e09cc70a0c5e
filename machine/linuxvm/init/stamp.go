//go:build linux

package main

import (
	"os"
	"strconv"
)

// readTSC is this CPU's time-stamp counter, which begins with the machine.
func readTSC() uint64

// traceVariable asks for stamps: it holds the counter's rate in kHz, 0 if nobody
// knows it.
const traceVariable = "PITH_TRACE"

// stampInit prints how many nanoseconds the counter had run as init began.
func stampInit(counter uint64) {
	rate, err := strconv.ParseUint(os.Getenv(traceVariable), 10, 64)
	if err != nil || rate == 0 {
		stamp("init ?")
		return
	}
	stamp("init " + strconv.FormatUint(uint64(float64(counter)/float64(rate)*1e6), 10))
}

// stamp prints how far the start is, where stamps are asked for.
func stamp(text string) {
	if os.Getenv(traceVariable) != "" {
		os.Stdout.WriteString("stamp " + text + "\n")
	}
}
