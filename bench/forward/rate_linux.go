package forward

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	burst = 32
	// lost is after how long without progress what is under way counts as lost.
	lost = 20 * time.Millisecond
)

// tenths is in how many parts the time is looked at.
const tenths = 10

// Rate sends for a while with so many packets under way, and counts those that come
// through. A fifth of the time before does not count.
func (m *Meter) Rate(ctx context.Context, size, window int, length time.Duration) (Flow, error) {
	if err := checkSize(size); err != nil {
		return Flow{}, err
	}
	var frames [flows][]byte
	for flow := range frames {
		frames[flow] = frame(m.to, m.from, size, flow)
	}
	if _, err := m.flood(ctx, &frames, window, length/5); err != nil {
		return Flow{}, err
	}
	f, err := m.flood(ctx, &frames, window, length)
	if err == nil && f.Through == 0 {
		err = errors.Join(errors.New("forward: nothing comes through"), ctx.Err())
	}
	return f, errors.Join(err, ctx.Err())
}

func (m *Meter) flood(ctx context.Context, frames *[flows][]byte, window int, length time.Duration) (f Flow, err error) {
	before, err := m.received()
	if err != nil {
		return f, err
	}
	begin := time.Now()
	now, last, progress := before, before, begin
	part, partBegin := before, begin
	counted := uint64(0) // sent, less those that are lost
	for at := begin; at.Sub(begin) < length && ctx.Err() == nil; at = time.Now() {
		if now, err = m.received(); err != nil {
			return f, err
		}
		if took := at.Sub(partBegin); took > length/tenths {
			f.Tenths = append(f.Tenths, float64(now-part)/took.Seconds())
			part, partBegin = now, at
		}
		if now != last {
			last, progress = now, at
		}
		if at.Sub(progress) > lost {
			counted, progress = now-before, at
		}
		if int64(counted)-int64(now-before) > int64(window-burst) {
			time.Sleep(20 * time.Microsecond)
			continue
		}
		if err := m.burst(frames, int(counted)); err != nil {
			return f, err
		}
		counted += burst
		f.Sent += burst
	}
	f.Length, f.Through = time.Since(begin), int64(now-before)
	return f, nil
}

// burst sends frames of all flows in turn, from flow n on.
func (m *Meter) burst(frames *[flows][]byte, n int) error {
	for i := range burst {
		if _, err := unix.Write(m.out, frames[(n+i)%flows]); err != nil && !busy(err) {
			return fmt.Errorf("forward: send: %w", err)
		}
	}
	return nil
}
