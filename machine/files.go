package machine

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"pith"
	"pith/abi"
)

// ParseFile reads SOURCE:TARGET, a file or folder of the host and where it goes
// in the machine.
func ParseFile(text string) (pith.File, error) {
	source, target, found := strings.Cut(text, ":")
	if !found || source == "" || !path.IsAbs(target) {
		return pith.File{}, pith.Errorf("%q is no file to copy: write SOURCE:TARGET, as in ./Corefile:/etc/Corefile", text)
	}
	absolute, err := filepath.Abs(source)
	if err != nil {
		return pith.File{}, err
	}
	return pith.File{Source: absolute, Target: path.Clean(target)}, nil
}

// FilesSize is how many bytes the machine's copies of files take. It fails where
// one can't be read.
func FilesSize(files []pith.File) (int64, error) {
	var size int64
	err := WalkFiles(files, func(name string, mode uint32, data []byte) {
		size += int64(len(name) + len(data) + 24)
	})
	return size, err
}

// appendFiles appends the records of files to an instance block.
func appendFiles(block []byte, files []pith.File) ([]byte, error) {
	err := WalkFiles(files, func(name string, mode uint32, data []byte) {
		block = abi.Record(block, abi.RecordFile, abi.File(mode, name, data))
	})
	return block, err
}

// appendPlace appends the folder that a file is to be written in, or that is
// itself to be filled (see Spec.Send).
func appendPlace(block []byte, path string) []byte {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		path = filepath.Dir(path)
	}
	return abi.Record(block, abi.RecordFile, abi.File(syscall.S_IFDIR|0o755, path, nil))
}

// WalkFiles calls f for each file, folder and symbolic link of files: its path in
// the machine, its mode (type and permissions, as stat has them) and its contents
// or text. The order depends on names only.
func WalkFiles(files []pith.File, f func(name string, mode uint32, data []byte)) error {
	for _, file := range files {
		err := filepath.WalkDir(file.Source, func(from string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(file.Source, from)
			if err != nil {
				return err
			}
			return readFile(from, path.Join(file.Target, filepath.ToSlash(rel)), from == file.Source, f)
		})
		if errors.Is(err, fs.ErrNotExist) {
			return pith.Errorf("there is no %s to copy into the machine", file.Source)
		}
		if err != nil {
			return pith.Errorf("%s can't be copied into the machine: %w", file.Source, err)
		}
	}
	return nil
}

// readFile hands one entry of a folder to f. A link that was named itself is
// followed; sockets, pipes and devices are left out.
func readFile(from, name string, named bool, f func(string, uint32, []byte)) error {
	look := os.Lstat
	if named {
		look = os.Stat
	}
	info, err := look(from)
	if err != nil {
		return err
	}
	permissions := uint32(info.Mode().Perm())
	switch info.Mode().Type() {
	case fs.ModeDir:
		f(name, syscall.S_IFDIR|permissions, nil)
	case fs.ModeSymlink:
		to, err := os.Readlink(from)
		if err != nil {
			return err
		}
		f(name, syscall.S_IFLNK|permissions, []byte(to))
	case 0:
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		f(name, syscall.S_IFREG|permissions, data)
	}
	return nil
}
