package machine

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"pith"
)

// RootFile is a file, folder or symbolic link that a machine which runs on a
// Linux kernel finds in its otherwise empty root.
type RootFile struct {
	Name string // without the leading slash
	Mode uint32 // type and permissions, as stat has them
	Data []byte // contents, or a link's text
}

// RootFiles are the files that every such machine has, those by which Go's
// resolver works, then its own copies and its working directory.
func (s Spec) RootFiles() ([]RootFile, error) {
	const readOnly = syscall.S_IFREG | 0o444
	files := []RootFile{
		{"etc/hosts", readOnly, []byte("127.0.0.1 localhost " + s.Name + "\n::1 localhost\n")},
		{"etc/hostname", readOnly, []byte(s.Name + "\n")},
		{"etc/resolv.conf", readOnly, []byte(resolvConf(s.Links))},
	}
	if dir := strings.TrimPrefix(path.Clean(s.Dir), "/"); dir != "" && dir != "." {
		files = append(files, RootFile{dir, syscall.S_IFDIR | 0o755, nil})
	}
	err := WalkFiles(s.Files, func(name string, mode uint32, data []byte) {
		if name = strings.TrimPrefix(name, "/"); name != "" {
			files = append(files, RootFile{name, mode, data})
		}
	})
	return files, err
}

// resolvConf names the DNS servers of all cards; it is never empty, since Go
// would take 127.0.0.1 then.
func resolvConf(links []pith.Link) string {
	var b strings.Builder
	for _, l := range links {
		for _, a := range l.DNS {
			fmt.Fprintf(&b, "nameserver %s\n", a)
		}
	}
	if b.Len() == 0 {
		return "nameserver 0.0.0.0\n"
	}
	return b.String()
}

// WriteRoot puts files into the folder dir. No link leads out of it.
func WriteRoot(dir string, files []RootFile) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range files {
		if err := writeRootFile(root, f); err != nil {
			return fmt.Errorf("/%s: %w", f.Name, err)
		}
	}
	return nil
}

func writeRootFile(root *os.Root, f RootFile) error {
	if err := root.MkdirAll(path.Dir(f.Name), 0o755); err != nil {
		return err
	}
	permissions := fs.FileMode(f.Mode & 0o777)
	if f.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		if err := root.MkdirAll(f.Name, 0o755); err != nil {
			return err
		}
		return root.Chmod(f.Name, permissions)
	}
	root.Remove(f.Name) // of an earlier file of that name
	if f.Mode&syscall.S_IFMT == syscall.S_IFLNK {
		return root.Symlink(string(f.Data), f.Name)
	}
	if err := root.WriteFile(f.Name, f.Data, 0o600); err != nil {
		return err
	}
	return root.Chmod(f.Name, permissions)
}
