//go:build !linux

package port

import (
	"errors"

	"pith/service/packet"
)

func open(string) (packet.Port, error) {
	return nil, errors.New("network cards can be opened on Linux, and in a Pith image")
}
