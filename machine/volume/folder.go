package volume

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"pith"
)

// Rights that access(2) asks for.
const (
	mayPass  = 1
	mayWrite = 2
	mayRead  = 4
)

// CheckFolder refuses a folder of the host's that a machine can't be given. A mount
// of another kind is none of its business.
func CheckFolder(m pith.Mount) error {
	if m.Source == "" {
		return nil
	}
	info, err := os.Stat(m.Source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return pith.Errorf("there is no folder %s to share with the machine: make it first (mkdir -p), or correct the path", m.Source)
	case err != nil:
		return pith.Errorf("the folder %s can't be shared with the machine: %w", m.Source, err)
	case !info.IsDir():
		return pith.Errorf("%s is no folder: only a folder can be shared with a machine; give it a copy of a file with --file %s:%s", m.Source, m.Source, m.Target)
	case syscall.Access(m.Source, mayRead|mayPass) != nil:
		return pith.Errorf("you may not read the folder %s, so a machine of yours can't either", m.Source)
	case !m.ReadOnly && syscall.Access(m.Source, mayWrite) != nil:
		return pith.Errorf("you may not write to the folder %s: share it read-only, with :ro behind it", m.Source)
	}
	return nil
}
