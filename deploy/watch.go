package deploy

import (
	"time"

	"pith"
)

// startInterval is the time between questions to an instance that has not
// answered yet: a machine is there within a second.
const startInterval = 200 * time.Millisecond

// watch asks one instance for its health while it runs.
type watch struct {
	care    *care
	check   pith.HealthCheck
	health  *Health
	counted time.Time // when a failure counted last
	timer   *time.Timer
	status  Status
	healthy time.Time // since when; zero: it never was
}

// newWatch begins to ask an instance that was started at began. Without a check
// it is healthy.
func newWatch(c *care, began time.Time) *watch {
	w := &watch{care: c, status: Starting}
	if c.Health == nil {
		w.show(Healthy, nil)
		return w
	}
	w.check, w.counted = *c.Health, began
	w.health, w.timer = NewHealth(w.check, began), time.NewTimer(0)
	return w
}

// due tells when it is time to ask.
func (w *watch) due() <-chan time.Time {
	if w.timer == nil {
		return nil
	}
	return w.timer.C
}

func (w *watch) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// wasHealthy is for how long the instance was healthy, up to now.
func (w *watch) wasHealthy() time.Duration {
	if w.healthy.IsZero() {
		return 0
	}
	return time.Since(w.healthy)
}

// ask asks once, and returns what was wrong. While the instance starts it is asked more often, but its
// failures count once in an interval, as they do later.
func (w *watch) ask() error {
	err := Probe(w.care.ctx, w.check, w.care.Address, w.care.keeper.reach(w.care.Instance))
	if now := time.Now(); err == nil || now.Sub(w.counted) >= w.check.Interval {
		w.counted = now
		w.show(w.health.Observe(err, now), err)
	}
	pause := w.check.Interval
	if w.status == Starting {
		pause = min(pause, startInterval)
	}
	w.timer.Reset(pause)
	return err
}

// show notes a status that is another one.
func (w *watch) show(s Status, err error) {
	if s == w.status {
		return
	}
	w.status = s
	if s == Healthy {
		w.healthy = time.Now()
	}
	if w.care.ctx.Err() == nil {
		w.care.set(s, err)
	}
}
