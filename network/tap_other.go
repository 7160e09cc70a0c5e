//go:build !linux

package network

import (
	"os"

	"pith"
)

func openTap(m Mode, _ int) ([]*os.File, error) {
	return nil, pith.Errorf("network %s: taps and bridges are a part of Linux; use user", m)
}

func checkTap(m Mode) error {
	_, err := openTap(m, 1)
	return err
}
