//go:build !linux

package flood

import "errors"

type socket struct{}

var errNoFrames = errors.New("frames need packet sockets of Linux")

func openSocket(string) (*socket, error) { return nil, errNoFrames }
func (*socket) send([]byte) error        { return errNoFrames }
func (*socket) close()                   {}
func isFull(error) bool                  { return false }
