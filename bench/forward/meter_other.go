//go:build !linux

package forward

import (
	"context"
	"errors"
	"time"
)

// Meter needs packet sockets of Linux.
type Meter struct{}

var errNotLinux = errors.New("forward: it takes Linux")

func NewMeter() (*Meter, error)                                         { return nil, errNotLinux }
func Wire(context.Context, int, time.Duration) (Delay, error)           { return Delay{}, errNotLinux }
func (*Meter) Close()                                                   {}
func (*Meter) Await(context.Context) error                              { return errNotLinux }
func (*Meter) Delay(context.Context, int, time.Duration) (Delay, error) { return Delay{}, errNotLinux }
func (*Meter) Rate(context.Context, int, int, time.Duration) (Flow, error) {
	return Flow{}, errNotLinux
}
