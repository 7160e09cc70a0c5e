package machine

import (
	"fmt"
	"os"
	"syscall"
)

// ProcessID names one process for good: a number alone may be another
// process's by the time it is used. The zero value names none.
type ProcessID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // when it began, in the host's own unit
}

// Identify looks a running process up.
func Identify(pid int) (ProcessID, error) {
	start, err := startTime(pid)
	if err != nil {
		return ProcessID{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return ProcessID{PID: pid, Start: start}, nil
}

// Self identifies this process.
func Self() (ProcessID, error) { return Identify(os.Getpid()) }

// Alive reports whether the very process still runs. A process that has ended
// but was not waited for does not.
func (p ProcessID) Alive() bool {
	if p.PID <= 0 {
		return false
	}
	start, err := startTime(p.PID)
	return err == nil && start == p.Start
}

// Kill ends the process if it is still the one that p names.
func (p ProcessID) Kill() error {
	if !p.Alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	return nil
}
