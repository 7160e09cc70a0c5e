package qemu

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"pith/machine"
)

// raiseBacklog raises the backlog of a QEMU's sockets that listen. Its user network gives
// them one of 1 (libslirp's tcp_listen): of fifty clients that came at once most hung. The
// sockets are borrowed from QEMU's process, which its parent may do (pidfd_getfd(2)), and
// told to listen once more.
func raiseBacklog(id machine.ProcessID) error {
	process, err := unix.PidfdOpen(id.PID, 0)
	if err != nil {
		return fmt.Errorf("open process %d: %w", id.PID, err)
	}
	defer unix.Close(process)
	if !id.Alive() { // and the number may be another's
		return nil
	}
	files, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(id.PID), "fd"))
	if err != nil {
		return fmt.Errorf("list process %d's files: %w", id.PID, err)
	}
	for _, f := range files {
		number, err := strconv.Atoi(f.Name())
		if err != nil {
			return fmt.Errorf("process %d has a file %q", id.PID, f.Name())
		}
		if err := listenMore(process, number); err != nil {
			return fmt.Errorf("process %d, file %d: %w", id.PID, number, err)
		}
	}
	return nil
}

// listenMore raises the backlog of a process's file, if that is a socket that listens.
func listenMore(process, number int) error {
	fd, err := unix.PidfdGetfd(process, number, 0)
	if err == unix.EBADF {
		return nil // closed meanwhile
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
		return nil // no socket, or none that listens
	}
	return unix.Listen(fd, backlog)
}
