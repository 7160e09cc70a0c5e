//go:build !linux

package machine

import (
	"fmt"
	"hash/fnv"
	"os/exec"
	"strconv"
	"strings"
)

// startTime asks ps, which every Unix has, for the moment the process began
// and hashes its text: only equality matters.
func startTime(pid int) (uint64, error) {
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0, fmt.Errorf("ps: %w", err)
	}
	state, start, ok := strings.Cut(strings.TrimSpace(string(out)), " ")
	if !ok || strings.HasPrefix(state, "Z") {
		return 0, fmt.Errorf("ended")
	}
	h := fnv.New64a()
	h.Write([]byte(strings.TrimSpace(start)))
	return h.Sum64(), nil
}
