package deploy

import (
	"context"
	"time"
)

// Restarts in a row are further and further apart.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 30 * time.Second
	longLife   = 10 * time.Second // an instance that lived so long begins anew
)

// backoff spaces restarts.
type backoff struct{ row int } // restarts in a row

// lived notes for how long the instance that has ended lived.
func (b *backoff) lived(d time.Duration) {
	if d >= longLife {
		b.row = 0
	}
}

// next is the pause before the next start.
func (b *backoff) next() time.Duration {
	pause := lastPause
	if b.row < 8 {
		pause = firstPause << b.row
	}
	b.row++
	return pause
}

// sleep tells whether the time has passed before the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
