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
	if name == filepath.Clean(name) {
		for _, wanted := range u.wanted {
			if name == wanted {
				return place(filepath.Dir(name), filepath.Base(name), contents, mode)
			}
			if below, ok := strings.CutPrefix(name, wanted+"/"); ok {
				return place(wanted, below, contents, mode)
			}
		}
	}
	return fmt.Errorf("the machine sent %q, which nobody asked for", name)
}

// place writes a file below a folder. A symbolic link that leads out of it is not
// followed.
func place(folder, name string, contents []byte, mode uint32) error {
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	return root.WriteFile(name, contents, os.FileMode(mode&0o777))
}
