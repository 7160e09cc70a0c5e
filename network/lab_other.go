//go:build !linux

package network

import (
	"context"
	"net"
	"os"

	"pith"
)

// Lab is a deployment's networks, which take Linux.
type Lab struct{}

// MakeLab refuses: other hosts have no network namespaces.
func MakeLab(string, []pith.Network) (*Lab, error) {
	return nil, pith.Errorf("networks between machines (driver bridge) take Linux; without it a service is alone in its network: write {driver: user}")
}

// FindLab finds none.
func FindLab(string) *Lab { return nil }

// Exists is false.
func (l *Lab) Exists() bool { return false }

// Path is "".
func (l *Lab) Path() string { return "" }

// Do refuses.
func (l *Lab) Do(func() error) error {
	return pith.Errorf("a network namespace takes Linux")
}

// Tap refuses.
func (l *Lab) Tap(string) (*os.File, error) { return nil, l.Do(nil) }

// Bridge refuses.
func (l *Lab) Bridge(string) (string, error) { return "", l.Do(nil) }

// Dial refuses.
func (l *Lab) Dial(context.Context, string, string) (net.Conn, error) { return nil, l.Do(nil) }

// Remove has nothing to remove.
func (l *Lab) Remove() error { return nil }
