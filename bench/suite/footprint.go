package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"time"

	"pith/bench"
)

// Bounds of the search for the least memory, in MiB.
const (
	leastMemory = 4
	mostMemory  = 512
)

// figures keeps the values of one footprint.
type figures struct {
	*suite
	job job
}

func (f figures) add(name, unit string, number float64) error {
	f.say("  %s: %.4g %s", name, number, unit)
	return f.book.add(f.job, Record{Value: &Value{name, unit, number}})
}

// footprint looks at what an instance takes.
func (s *suite) footprint(ctx context.Context, j job) error {
	f := figures{s, j}
	if err := f.sizes(ctx); err != nil {
		return err
	}
	if err := f.memory(ctx); err != nil {
		return err
	}
	t, err := s.target(ctx, s.Footprint.Service, j.Machine)
	if err != nil || !t.Machine() || !s.Footprint.Least {
		return err // a process takes what it takes
	}
	least, err := f.least(ctx, t)
	if err != nil {
		return err
	}
	return f.add("least memory that serves", "MiB", least)
}

// sizes weighs what is shipped. It is the same in every repeat.
func (f figures) sizes(ctx context.Context) error {
	t, err := f.target(ctx, f.Footprint.Service, f.job.Machine)
	if err != nil {
		return err
	}
	raw, packed, err := bench.Weigh(t.Shipped())
	if err != nil {
		return err
	}
	return errors.Join(f.add("shipped", "MB", float64(raw)/1e6), f.add("shipped, xz", "MB", float64(packed)/1e6))
}

// memory looks at one instance while it is idle, then while it serves.
func (f figures) memory(ctx context.Context) (err error) {
	const clients = 10
	v, err := f.start(ctx, f.Footprint.Service, f.job.Machine, clients)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.stop(ctx)) }()
	before, err := bench.ProcessCPU(v.PID())
	if err != nil {
		return err
	}
	begin := time.Now()
	pause(v.ctx, f.Footprint.Idle)
	if v.ctx.Err() != nil {
		return v.failed(0, v.ctx.Err())
	}
	after, err := bench.ProcessCPU(v.PID())
	if err != nil {
		return err
	}
	cpu := 100 * (after - before).Seconds() / time.Since(begin).Seconds()
	if err := errors.Join(f.add("CPU, idle", "% of one CPU", cpu), f.held(ctx, v, "idle")); err != nil {
		return err
	}
	loaded := make(chan error, 1)
	go func() {
		o, err := v.client.Rate(v.ctx, f.Footprint.Load, f.Footprint.Time)
		if err == nil && o.Answered == 0 {
			err = errors.New("it doesn't answer under load")
		}
		loaded <- err
	}()
	pause(v.ctx, f.Footprint.Time*3/4)
	held := f.held(ctx, v, "under load")
	if err := <-loaded; err != nil {
		return v.failed(f.Footprint.Load, err)
	}
	return held
}

// held is the memory that an instance holds: the host's share, and what the
// guest's own Go runtime says that it has.
func (f figures) held(ctx context.Context, v *visit, when string) error {
	private, err := bench.PrivateMemory(v.PID())
	if err != nil {
		return err
	}
	if err := f.add("host's memory, "+when, "MiB", float64(private)/(1<<20)); err != nil {
		return err
	}
	if f.Footprint.Service != Web {
		return nil // its metrics have an address of their own, which is closed
	}
	own, err := ownMemory(ctx, v.Addr())
	if err != nil {
		return err
	}
	return f.add("Go runtime's memory, "+when, "MiB", own/(1<<20))
}

var sysBytes = regexp.MustCompile(`(?m)^go_memstats_sys_bytes (\S+)$`)

// ownMemory asks the web service what its runtime has from its system, in bytes.
func ownMemory(ctx context.Context, addr netip.Addr) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr.String()+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	found := sysBytes.FindSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("%s/metrics has no go_memstats_sys_bytes", addr)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}

// least is the least memory in MiB with which a machine of one CPU serves.
func (f figures) least(ctx context.Context, t bench.Target) (float64, error) {
	low, high := leastMemory-1, mostMemory // serves at high, does not at low
	for high-low > 1 {
		middle := (low + high) / 2
		ok, err := f.serves(ctx, t, middle)
		if err != nil {
			return 0, err
		}
		if ok {
			high = middle
		} else {
			low = middle
		}
	}
	if high == mostMemory {
		return 0, fmt.Errorf("it doesn't serve with less than %d MiB", mostMemory)
	}
	return float64(high), nil
}

// serves reports whether an instance of so many MiB comes up and answers. One
// that can't be started at all does not: a driver may refuse.
func (f figures) serves(ctx context.Context, t bench.Target, mebibytes int) (ok bool, err error) {
	const (
		limit = 20 * time.Second
		rate  = 100
	)
	inst, err := t.Start(ctx, f.lab, bench.Shape{CPUs: 1, Memory: int64(mebibytes) << 20})
	if err != nil {
		return false, ctx.Err()
	}
	defer func() { err = errors.Join(err, inst.Stop(context.WithoutCancel(ctx))) }()
	alive, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	go func() {
		select {
		case <-inst.Done():
			cancel()
		case <-alive.Done():
		}
	}()
	c, err := f.connect(f.Footprint.Service, inst.Addr(), 10)
	if err != nil {
		return false, err
	}
	if _, err := c.First(alive); err != nil {
		return false, ctx.Err()
	}
	o, err := c.Rate(alive, rate, time.Second)
	return err == nil && o.Answered == o.Due, ctx.Err()
}
