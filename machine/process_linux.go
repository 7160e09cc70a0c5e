package machine

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// startTime is field 22 of /proc/PID/stat: clock ticks since the host's boot.
// Source: proc(5).
func startTime(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStartTime(stat)
}

func parseStartTime(stat []byte) (uint64, error) {
	// The second field is the program's name in parentheses, and may hold
	// spaces and parentheses itself: count from the last one.
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 {
		return 0, fmt.Errorf("no name in %q", stat)
	}
	fields := bytes.Fields(stat[i+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("only %d fields", len(fields)+2)
	}
	if state := fields[0][0]; state == 'Z' || state == 'X' {
		return 0, fmt.Errorf("ended")
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}
