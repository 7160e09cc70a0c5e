//go:build !linux

package machine

import (
	"errors"
	"time"
)

// Usage is known on Linux only.
func (p ProcessID) Usage() (cpu time.Duration, memory int64, err error) {
	return 0, 0, errors.New("what a process uses is known on Linux hosts only")
}
