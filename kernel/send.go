package kernel

import (
	"errors"
	"syscall"
	"time"

	"pith/abi"
	"pith/kernel/fs"
	"pith/kernel/linux"
	vconsole "pith/kernel/virtio/console"
)

// AtExit is called when the program ends by os.Exit or by its main function's
// return (package os as the builder changes it).
func AtExit() { atExit() }

var atExit = func() {}

// sendAtEnd lets the files that the driver wants go to it at the end.
func (m *machine) sendAtEnd() {
	if len(m.send)+len(m.changed) > 0 && m.consoleDevice != nil {
		atExit = m.sendFiles
	}
}

func (m *machine) sendFiles() {
	s := sender{port: m.consoleDevice.AwaitPort(abi.FilesPort), tree: linux.Tree()}
	for _, path := range m.send {
		s.send(path)
	}
	s.changed = true
	for _, path := range m.changed {
		s.send(path)
	}
	awaitTaken(s.port)
}

// sender sends files to the driver.
type sender struct {
	port    *vconsole.Port
	tree    *fs.Tree
	changed bool // only regular files that the program has written, by their own names
}

func (s *sender) send(path string) {
	err := s.sendPath(path)
	if err != nil && err != syscall.ENOENT { // a file that wasn't made is none to send
		complain("cannot send " + path + ": " + err.Error())
	}
}

// sendPath sends a file, or all files of a folder.
func (s *sender) sendPath(path string) error {
	node, errno := s.tree.Lookup(s.tree.Root(), path, !s.changed)
	if errno != 0 {
		return errno
	}
	if s.changed && (node.Tree() != s.tree || !node.IsDir() && (!node.IsRegular() || node.Untouched())) {
		return nil
	}
	if !node.IsDir() {
		return sendFile(s.port, path, node)
	}
	var names []string
	errno = s.tree.ReadDir(node, 0, func(e fs.Entry) bool {
		if e.Name != "." && e.Name != ".." {
			names = append(names, e.Name)
		}
		return true
	})
	if errno != 0 {
		return errno
	}
	for _, name := range names {
		if err := s.sendPath(path + "/" + name); err != nil {
			return err
		}
	}
	return nil
}

// sendFile sends a regular file as abi.RecordFile has it.
func sendFile(port *vconsole.Port, path string, node *fs.Node) error {
	if !node.IsRegular() {
		return errors.New("it is no regular file")
	}
	size := node.Size()
	if size > maxSent {
		return errors.New("it is too large")
	}
	data := make([]byte, size)
	done, errno := node.ReadAt(data, 0)
	if errno != 0 {
		return errno
	}
	_, err := port.Write(abi.Record(nil, abi.RecordFile, abi.File(node.Mode(), path, data[:done])))
	return err
}

// maxSent bounds a file that is sent, in bytes: a record's length has 32 bits.
const maxSent = 1 << 30

// awaitTaken returns when the host has all that was written to a port.
func awaitTaken(port *vconsole.Port) {
	for {
		given, taken := port.UnderWay()
		if given == taken {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
