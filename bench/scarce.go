package bench

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Share is how much of something the host has used up, in percent.
type Share struct {
	Of   string
	Used float64
}

func (s Share) String() string { return fmt.Sprintf("%s %.0f %%", s.Of, s.Used) }

// HostClock is how long the host's CPUs were busy, and in all, in ticks.
type HostClock struct{ busy, total uint64 }

// ReadHostClock reads the clock.
func ReadHostClock() (HostClock, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return HostClock{}, fmt.Errorf("bench: %w", err)
	}
	return parseHostClock(string(text))
}

// parseHostClock reads the first line of /proc/stat: user, nice, system, idle,
// iowait, irq, softirq, steal; guests' time is in user's.
func parseHostClock(text string) (c HostClock, err error) {
	line, _, _ := strings.Cut(text, "\n")
	words := strings.Fields(line)
	if len(words) < 9 || words[0] != "cpu" {
		return c, fmt.Errorf("bench: %q is no first line of /proc/stat", line)
	}
	for i, word := range words[1:9] {
		ticks, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			return c, fmt.Errorf("bench: /proc/stat: %w", err)
		}
		c.total += ticks
		if i != 3 && i != 4 {
			c.busy += ticks
		}
	}
	return c, nil
}

// Scarce is what the host has used of its CPUs since c, and of its memory,
// threads and open files now; the scarcest first.
func (c HostClock) Scarce() ([]Share, error) {
	now, err := ReadHostClock()
	if err != nil {
		return nil, err
	}
	var all []Share
	add := func(of string, used, there float64) {
		if there > 0 {
			all = append(all, Share{of, 100 * used / there})
		}
	}
	add("CPU", float64(now.busy-c.busy), float64(now.total-c.total))
	total, err := statusField("/proc/meminfo", "MemTotal")
	if err != nil {
		return nil, err
	}
	available, err := statusField("/proc/meminfo", "MemAvailable")
	if err != nil {
		return nil, err
	}
	add("memory", float64(total-available), float64(total))
	threads, most, err := threadsUsed()
	if err != nil {
		return nil, err
	}
	add("threads", threads, most)
	files, err := numbers("/proc/sys/fs/file-nr") // used, free, most
	if err != nil {
		return nil, err
	}
	add("open files", files[0], files[len(files)-1])
	slices.SortStableFunc(all, func(a, b Share) int { return cmp.Compare(b.Used, a.Used) })
	return all, nil
}

// threadsUsed are the host's threads, and how many there can be.
func threadsUsed() (used, most float64, err error) {
	text, err := os.ReadFile("/proc/loadavg") // 0.1 0.2 0.3 running/threads last
	if err != nil {
		return 0, 0, fmt.Errorf("bench: %w", err)
	}
	_, rest, _ := strings.Cut(string(text), "/")
	if used, err = strconv.ParseFloat(strings.Fields(rest + " ?")[0], 64); err != nil {
		return 0, 0, fmt.Errorf("bench: /proc/loadavg: %w", err)
	}
	most = 1 << 22
	for _, file := range []string{"/proc/sys/kernel/threads-max", "/proc/sys/kernel/pid_max"} {
		n, err := numbers(file)
		if err != nil {
			return 0, 0, err
		}
		most = min(most, n[0])
	}
	return used, most, nil
}

// numbers are all numbers in a file of /proc, at least one.
func numbers(file string) ([]float64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	var all []float64
	for _, word := range strings.Fields(string(text)) {
		n, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return nil, fmt.Errorf("bench: %s: %w", file, err)
		}
		all = append(all, n)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("bench: %s is empty", file)
	}
	return all, nil
}
