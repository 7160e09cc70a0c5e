package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"pith/bench/load"
)

// Names of the measures, with their units.
const (
	mStart        = "start_ms"
	mHTTP         = "http_per_s"
	mHTTPp50      = "http_p50_ms"
	mHTTPp99      = "http_p99_ms"
	mHTTPErrors   = "http_errors"
	mWrk          = "wrk_per_s"
	mWrkP99       = "wrk_p99_ms"
	mUDP          = "udp_per_s"
	mUDPp99       = "udp_p99_ms"
	mUDPLoss      = "udp_16k_loss_%"
	mUDPServed    = "udp_16k_per_s"
	mWork         = "work_per_s"
	mDNS          = "dns_per_s"
	mDNSLost      = "dns_lost_%"
	mOverload     = "overload_per_s"
	mOverloadKept = "overload_kept_%"
	mUDPOverload  = "udp_overload_per_s"
	mUDPKept      = "udp_overload_kept_%"
	mIdleCPU      = "idle_cpu_%"
	mIdleWakeUps  = "idle_wakeups_per_s"
	mPrivate      = "private_mb"
	mLeastMemory  = "least_memory_mb"
)

// lowerIsBetter has the measures of which less is better.
var lowerIsBetter = map[string]bool{
	mStart: true, mHTTPp50: true, mHTTPp99: true, mHTTPErrors: true, mWrkP99: true, mUDPp99: true,
	mUDPLoss: true, mDNSLost: true, mIdleCPU: true, mIdleWakeUps: true, mPrivate: true, mLeastMemory: true,
}

const (
	dnsClients  = 100 // of dnsperf
	connections = 100 // HTTP connections, in the closed loop
	sockets     = 8   // UDP sockets
	inFlight    = 8   // datagrams on the way for each of them, in the closed loop
	udpRate     = 16000

	overloadTimes       = 3    // offered, compared with what the closed loop reached
	overloadConnections = 1000 // HTTP connections, in the open loop
	overloadLimit       = 5 * time.Second

	workConnections = 8
	workPath        = "/work?n=200"

	idleSettle = 2 * time.Second
)

// visit is one instance that is being measured.
type visit struct {
	config *Config
	target Target
	inst   Instance
	shape  Shape
	values map[string]float64 // what was measured so far
}

// step is one part of a visit.
type step struct {
	name string
	run  func(ctx context.Context, v *visit) error
}

// steps are done in this order. The idle one is last, when the program has
// served and has memory to give back.
var steps = []step{
	{"http", measureHTTP},
	{"wrk", measureWrk},
	{"dns", measureDNS},
	{"udp", measureUDP},
	{"udp16k", measureUDPOpen},
	{"work", measureWork},
	{"overload", measureOverload},
	{"idle", measureIdle},
}

// StepNames are the parts of a measurement that a Config can choose from.
func StepNames() []string {
	var names []string
	for _, s := range steps {
		names = append(names, s.name)
	}
	return append(names, "memory")
}

// measureDNS asks an authoritative or caching server at port 53.
func measureDNS(ctx context.Context, v *visit) error {
	r, installed, err := load.DNSPerf(ctx, netip.AddrPortFrom(v.inst.Addr(), 53), v.config.Questions, dnsClients, v.config.Length)
	if err != nil {
		return err
	}
	if !installed {
		return errors.New("dnsperf is not installed (Debian and Ubuntu: apt-get install dnsperf)")
	}
	v.values[mDNS], v.values[mDNSLost] = r.Rate, r.Lost
	return nil
}

func (v *visit) span() load.Span {
	return load.Span{Warmup: v.config.Warmup, Length: v.config.Length}
}

func measureHTTP(ctx context.Context, v *visit) error {
	r, err := load.HTTP(ctx, web(v.inst), v.config.Path, connections, v.span())
	if err != nil {
		return err
	}
	v.values[mHTTP] = r.Answered
	v.values[mHTTPp50] = r.Milliseconds(50)
	v.values[mHTTPp99] = r.Milliseconds(99)
	v.values[mHTTPErrors] = float64(r.Errors)
	return nil
}

func measureWrk(ctx context.Context, v *visit) error {
	r, installed, err := load.Wrk(ctx, web(v.inst), v.config.Path, connections, v.config.Length)
	if err != nil || !installed {
		return err
	}
	v.values[mWrk], v.values[mWrkP99] = r.Rate, r.P99
	return nil
}

func measureUDP(ctx context.Context, v *visit) error {
	r, err := load.UDP(ctx, echo(v.inst), sockets, inFlight, v.span())
	if err != nil {
		return err
	}
	v.values[mUDP], v.values[mUDPp99] = r.Answered, r.Milliseconds(99)
	return nil
}

func measureUDPOpen(ctx context.Context, v *visit) error {
	r, err := load.UDPOpen(ctx, echo(v.inst), sockets, udpRate, v.span())
	if err != nil {
		return err
	}
	v.values[mUDPLoss], v.values[mUDPServed] = 100*r.Loss(), r.Answered
	return nil
}

func measureWork(ctx context.Context, v *visit) error {
	r, err := load.HTTP(ctx, web(v.inst), workPath, workConnections, v.span())
	if err != nil {
		return err
	}
	v.values[mWork] = r.Answered
	return nil
}

// measureOverload offers a multiple of what the closed loops reached.
func measureOverload(ctx context.Context, v *visit) error {
	best, bestUDP := v.values[mHTTP], v.values[mUDP]
	if best == 0 || bestUDP == 0 {
		return errors.New("overload needs the steps http and udp before it")
	}
	r, err := load.HTTPOpen(ctx, web(v.inst), v.config.Path, overloadConnections, overloadTimes*best, overloadLimit, v.span())
	if err != nil {
		return err
	}
	v.values[mOverload] = r.Answered
	v.values[mOverloadKept] = 100 * r.Answered / best
	udp, err := load.UDPOpen(ctx, echo(v.inst), sockets, overloadTimes*bestUDP, v.span())
	if err != nil {
		return err
	}
	v.values[mUDPOverload] = udp.Answered
	v.values[mUDPKept] = 100 * udp.Answered / bestUDP
	return nil
}

// measureIdle looks at a process that nobody talks to.
func measureIdle(ctx context.Context, v *visit) error {
	threads, err := v.inst.Threads()
	if err != nil {
		return err
	}
	if err := sleep(ctx, idleSettle); err != nil {
		return err
	}
	pid := v.inst.PID()
	cpu, wakes, begin, err := idleCounters(pid, threads)
	if err != nil {
		return err
	}
	if err := sleep(ctx, v.config.Idle); err != nil {
		return err
	}
	cpuAfter, wakesAfter, end, err := idleCounters(pid, threads)
	if err != nil {
		return err
	}
	seconds := end.Sub(begin).Seconds()
	v.values[mIdleCPU] = 100 * (cpuAfter - cpu).Seconds() / seconds
	v.values[mIdleWakeUps] = float64(wakesAfter-wakes) / seconds
	private, err := PrivateMemory(pid)
	v.values[mPrivate] = float64(private) / (1 << 20)
	return err
}

func idleCounters(pid int, threads []int) (cpu time.Duration, wakes int64, at time.Time, err error) {
	if cpu, err = ProcessCPU(pid); err != nil {
		return 0, 0, at, err
	}
	wakes, err = WakeUps(pid, threads)
	return cpu, wakes, time.Now(), err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Bounds of the search for the least memory, in MiB.
const (
	leastMemory = 4
	mostMemory  = 512
)

// leastMemoryThatServes is the least memory in MiB with which a machine of one
// CPU answers a hundred requests over ten connections.
func leastMemoryThatServes(ctx context.Context, b *bench, t Target) (float64, error) {
	low, high := leastMemory-1, mostMemory // serves at high, does not at low
	if ok, err := b.serves(ctx, t, high); err != nil || !ok {
		return 0, errors.Join(err, fmt.Errorf("%s does not serve with %d MiB", t.Name(), high))
	}
	for high-low > 1 {
		middle := (low + high) / 2
		ok, err := b.serves(ctx, t, middle)
		if err != nil {
			return 0, err
		}
		b.say("%s with %s MiB: serves %v", t.Name(), strconv.Itoa(middle), ok)
		if ok {
			high = middle
		} else {
			low = middle
		}
	}
	return float64(high), nil
}

// serves reports whether a machine of so many MiB comes up and answers. That
// the machine can't be started at all is a no, too: a driver may refuse.
func (b *bench) serves(ctx context.Context, t Target, mebibytes int) (ok bool, err error) {
	inst, err := t.Start(ctx, b.lab, Shape{CPUs: 1, Memory: int64(mebibytes) << 20})
	if err != nil {
		return false, ctx.Err()
	}
	defer func() { err = errors.Join(err, inst.Stop(context.WithoutCancel(ctx))) }()
	if _, err := b.first(ctx, inst); err != nil {
		return false, ctx.Err()
	}
	if r, err := load.HTTP(ctx, web(inst), "/", 10, load.Span{Length: time.Second}); err != nil || r.Errors > 0 || r.Answered < 10 {
		return false, ctx.Err()
	}
	return true, nil
}
