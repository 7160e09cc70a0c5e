package machine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// ticks are what proc(5) counts CPU time in, a second: USER_HZ, which is 100 on
// every architecture that Pith's tool runs on.
const ticks = 100

// Usage is what the host has spent on the process so far: CPU time, and memory
// that it holds now, in bytes.
func (p ProcessID) Usage() (cpu time.Duration, memory int64, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		return 0, 0, err
	}
	if start, err := parseStartTime(stat); err != nil || start != p.Start {
		return 0, 0, errors.New("the process has ended")
	}
	return parseUsage(stat)
}

// parseUsage takes fields 14, 15 and 24: user and system time in ticks, and
// resident pages.
func parseUsage(stat []byte) (cpu time.Duration, memory int64, err error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 22 {
		return 0, 0, fmt.Errorf("only %d fields", len(fields)+2)
	}
	var n [3]int64
	for i, field := range []int{11, 12, 21} {
		if n[i], err = strconv.ParseInt(string(fields[field]), 10, 64); err != nil {
			return 0, 0, err
		}
	}
	return time.Duration(n[0]+n[1]) * time.Second / ticks, n[2] * int64(os.Getpagesize()), nil
}
