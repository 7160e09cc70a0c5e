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
	if len(m.send) > 0 && m.consoleDevice != nil {
		atExit = m.sendFiles
	}
}

func (m *machine) sendFiles() {
	port := m.consoleDevice.AwaitPort(abi.FilesPort)
	for _, path := range m.send {
		err := sendPath(port, path)
		if err != nil && err != syscall.ENOENT { // a file that wasn't made is none to send
			complain("cannot send " + path + ": " + err.Error())
		}
	}
	awaitTaken(port)
}

// sendPath sends a file, or all files of a folder.
func sendPath(port *vconsole.Port, path string) error {
	tree := linux.Tree()
	node, errno := tree.Lookup(tree.Root(), path, true)
	if errno != 0 {
		return errno
	}
	if !node.IsDir() {
		return sendFile(port, path, node)
	}
	var names []string
	errno = tree.ReadDir(node, 0, func(e fs.Entry) bool {
		if e.Name != "." && e.Name != ".." {
			names = append(names, e.Name)
		}
		return true
	})
	if errno != 0 {
		return errno
	}
	for _, name := range names {
		if err := sendPath(port, path+"/"+name); err != nil {
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
