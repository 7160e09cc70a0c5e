package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// ticks is how many clock ticks /proc counts a second (USER_HZ, which is 100 on
// every Linux that Go runs on).
const ticks = 100

// HostLoad is the host's load average of the last minute.
func HostLoad() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return -1
	}
	first, _, _ := strings.Cut(string(text), " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return -1
	}
	return load
}

// ProcessCPU is the CPU time that a process has used, with all of its threads, and
// its children that are there.
func ProcessCPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	total, err := parseStat(text)
	if err != nil {
		return 0, err
	}
	for _, child := range children(pid) {
		if used, err := ProcessCPU(child); err == nil { // else it has just ended
			total += used
		}
	}
	return total, nil
}

// children are a process's, as far as the kernel tells (CONFIG_PROC_CHILDREN).
func children(pid int) []int {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil
	}
	var all []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

// parseStat adds utime and stime of /proc/pid/stat, fields 14 and 15. Field 2,
// the name, is in parentheses and may hold anything.
func parseStat(text []byte) (time.Duration, error) {
	end := bytes.LastIndexByte(text, ')')
	fields := strings.Fields(string(text[end+1:]))
	if end < 0 || len(fields) < 13 {
		return 0, fmt.Errorf("bench: %q is no /proc/pid/stat", text)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("bench: /proc/pid/stat: %w", err)
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("bench: /proc/pid/stat: %w", err)
	}
	return time.Duration(user+system) * time.Second / ticks, nil
}

// WakeUps is how often threads of a process have begun to wait: each of these
// waits ended, or will end, in a wake-up.
func WakeUps(pid int, threads []int) (int64, error) {
	total := int64(0)
	for _, id := range threads {
		n, err := statusField(fmt.Sprintf("/proc/%d/task/%d/status", pid, id), "voluntary_ctxt_switches")
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// PrivateMemory is what a process holds for itself, in bytes.
func PrivateMemory(pid int) (int64, error) {
	file := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	clean, err := statusField(file, "Private_Clean")
	if err != nil {
		return 0, err
	}
	dirty, err := statusField(file, "Private_Dirty")
	return (clean + dirty) << 10, err
}

// statusField is the number behind "name:" in a file of /proc.
func statusField(file, name string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, name+":")
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.Fields(rest + " ?")[0], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("bench: %s in %s: %w", name, file, err)
		}
		return n, nil
	}
	return 0, fmt.Errorf("bench: no %s in %s", name, file)
}

// HostFacts describes the host for the head of a report.
func HostFacts() []string {
	facts := []string{fmt.Sprintf("host: %d CPUs%s, load average %.2f", runtime.NumCPU(), cpuModel(), HostLoad())}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		facts = append(facts, "host kernel: "+strings.TrimSpace(string(text)))
	}
	if out, err := exec.Command("qemu-system-x86_64", "--version").Output(); err == nil {
		line, _, _ := strings.Cut(string(out), "\n")
		facts = append(facts, line)
	}
	return append(facts, "Go: "+runtime.Version())
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return " (" + strings.TrimSpace(model) + ")"
		}
	}
	return ""
}
