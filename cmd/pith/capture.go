package main

import (
	"os"
	"path/filepath"

	"pith"
)

// captureFile makes the file of --pcap absolute, and sure that it can be written:
// QEMU would only say so when it starts. What it held is lost.
func captureFile(name string) (string, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	f, err := os.Create(path)
	if err != nil {
		return "", pith.Errorf("--pcap %s can't be written: %w", name, err)
	}
	return path, f.Close()
}
