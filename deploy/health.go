package deploy

import (
	"time"

	"pith"
)

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)

// Status is what is known of an instance's health.
type Status string

// Statuses.
const (
	Starting  Status = "starting"
	Healthy   Status = "healthy"
	Unhealthy Status = "unhealthy"
)

// Health judges an instance by its probes. It is not for several goroutines.
type Health struct {
	check    pith.HealthCheck
	began    time.Time
	failures int // in a row, those that count
	status   Status
}

// NewHealth begins to judge an instance that was started at began.
func NewHealth(check pith.HealthCheck, began time.Time) *Health {
	return &Health{check: check, began: began, status: Starting}
}

// Observe takes a probe's result and returns the status with it. A failure
// within the check's start period doesn't count, unless the instance has been
// healthy before.
func (h *Health) Observe(err error, now time.Time) Status {
	if err == nil {
		h.failures, h.status = 0, Healthy
		return h.status
	}
	if h.status == Starting && now.Sub(h.began) < h.check.Start {
		return h.status
	}
	h.failures++
	if h.failures >= h.check.Retries {
		h.status = Unhealthy
	}
	return h.status
}
