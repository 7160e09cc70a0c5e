package flood

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// socket sends frames out of an interface (packet(7)).
type socket struct{ fd int }

func openSocket(device string) (*socket, error) {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", device, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: link.Index}); err != nil {
		return nil, errors.Join(fmt.Errorf("packet socket on %s: %w", device, err), unix.Close(fd))
	}
	return &socket{fd}, nil
}

func (s *socket) send(frame []byte) error {
	_, err := unix.Write(s.fd, frame)
	return err
}

func (s *socket) close() { unix.Close(s.fd) }

// isFull reports whether a frame did not go because a queue is full.
func isFull(err error) bool { return errors.Is(err, unix.ENOBUFS) }
