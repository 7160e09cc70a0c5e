package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"pith/abi"
)

// maxRecord bounds one record of a guest's files, in bytes.
const maxRecord = 1 << 30

// Unpacker writes the files that a machine sends when its program ends
// (abi.FilesPort) to the host, at the paths that they were asked for by. The
// guest is not trusted: other paths are refused.
type Unpacker struct {
	wanted  []string
	pending []byte
	broken  bool
}

// NewUnpacker takes the paths of files and folders that are wanted.
func NewUnpacker(wanted []string) *Unpacker { return &Unpacker{wanted: wanted} }

// Write takes a piece of the stream. An error tells of a file that wasn't
// written; the files behind it still are.
func (u *Unpacker) Write(p []byte) (int, error) {
	if u.broken {
		return len(p), nil
	}
	u.pending = append(u.pending, p...)
	for {
		typ, payload, rest, ok := abi.Next(u.pending)
		if !ok {
			u.broken = len(u.pending) > maxRecord
			return len(p), nil
		}
		if err := u.unpack(typ, payload); err != nil {
			fmt.Fprintln(os.Stderr, "pith:", err)
		}
		u.pending = rest
	}
}

func (u *Unpacker) unpack(typ uint32, payload []byte) error {
	mode, name, contents, ok := abi.SplitFile(payload)
	if typ != abi.RecordFile || !ok {
		return fmt.Errorf("the machine sent a record of type %d that is no file", typ)
	}
	if !u.wants(name) {
		return fmt.Errorf("the machine sent %q, which nobody asked for", name)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	return os.WriteFile(name, contents, os.FileMode(mode&0o777))
}

// wants tells whether a path is one of those wanted, or lies in one.
func (u *Unpacker) wants(name string) bool {
	if name != filepath.Clean(name) {
		return false
	}
	for _, w := range u.wanted {
		if name == w || strings.HasPrefix(name, w+"/") {
			return true
		}
	}
	return false
}
