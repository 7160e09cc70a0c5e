package forward

import (
	"context"
	"errors"
	"time"
)

// The ends of a pair of interfaces with nothing between them.
const wireLeft, wireRight = "pithwire0", "pithwire1"

// Wire is the delay of packets through nothing but a pair of interfaces: what the
// measurement itself takes.
func Wire(ctx context.Context, size int, length time.Duration) (d Delay, err error) {
	err = ip(ctx, "link add "+wireLeft+" type veth peer name "+wireRight, "link set "+wireLeft+" up", "link set "+wireRight+" up")
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, ip(context.WithoutCancel(ctx), "link del "+wireLeft)) }()
	to, err := hardwareAddr(wireRight)
	if err != nil {
		return d, err
	}
	m, err := newMeter(wireLeft, wireRight, to)
	if err != nil {
		return d, err
	}
	defer m.Close()
	if err := m.Await(ctx); err != nil {
		return d, err
	}
	return m.Delay(ctx, size, length)
}
