package suite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pith"
	"pith/bench/flood"
	"pith/bench/lab"
	"pith/bench/load"
	"pith/bench/stats"
	"pith/service/packet"
)

// Floods is how services are attacked.
type Floods struct {
	Services []string
	Attacks  []string // of package flood
	Repeat   int      // how often; 0 is as often as everything
	Calm     time.Duration
	Length   time.Duration // of an attack
	Recovery time.Duration // how long the service may take to be as before
	Probe    float64       // requests of honest clients, per second
	Times    float64       // an overload's rate, in multiples of what the service can answer
	MostRate float64       // that it is bounded by, per second
	Rate     float64       // connections, bad requests, or frames per second
	Conns    int           // an attack's connections at a time
}

// Bounds of an attack.
const (
	mostFloodLength = 5 * time.Minute
	mostFloodRate   = 200_000
	mostFloodConns  = 5000
)

func (f Floods) check() error {
	for _, name := range f.Attacks {
		if _, ok := flood.Find(name); !ok {
			return pith.Errorf("--attack %s: there are %s", name, strings.Join(flood.Names(), ", "))
		}
	}
	for _, name := range f.Services {
		if err := checkService(name); err != nil {
			return err
		}
	}
	switch {
	case len(f.Attacks) == 0 || len(f.Services) == 0:
		return pith.Errorf("--attack and --service: name at least one of each")
	case f.Length < time.Second || f.Length > mostFloodLength:
		return pith.Errorf("--time %v: an attack takes a second to %v", f.Length, mostFloodLength)
	case f.Calm < time.Second || f.Recovery < time.Second:
		return pith.Errorf("--calm %v --recovery %v: both must be a second or more", f.Calm, f.Recovery)
	case f.Probe < 5 || f.Probe > 200:
		return pith.Errorf("--probe %v: honest clients ask 5 to 200 times a second", f.Probe)
	case f.Times <= 0 || f.MostRate <= 0 || f.Rate <= 0 || f.MostRate > mostFloodRate || f.Rate > mostFloodRate:
		return pith.Errorf("--times %v --most-rate %v --rate %v: each must be more than nothing, and a rate no more than %d", f.Times, f.MostRate, f.Rate, mostFloodRate)
	case f.Conns < 1 || f.Conns > mostFloodConns:
		return pith.Errorf("--clients %d: an attack has 1 to %d connections", f.Conns, mostFloodConns)
	}
	return nil
}

// again reports whether a repeat has attacks.
func (f Floods) again(repeat int) bool { return f.Repeat == 0 || repeat < f.Repeat }

// parts are services and attacks, as parts of the measure.
func (f Floods) parts() []string {
	var parts []string
	for _, service := range f.Services {
		for _, attack := range f.Attacks {
			parts = append(parts, service+" "+attack)
		}
	}
	return parts
}

// Of the search for what a service can answer: a rate that is too much for most,
// for a moment.
const (
	capacityRate   = 8000
	capacityLength = time.Second
)

// settle is how long a service gets to forget a load.
const settle = time.Second

// length is about how long one attack takes, with all around it.
func (f Floods) length() time.Duration {
	return 2*capacityLength + settle + f.Calm + f.Length + f.Recovery/2
}

// FloodResult is what one attack did to honest clients.
type FloodResult struct {
	Capacity              float64 // right answers per second, before; 0 where the attack doesn't go by it
	Offered               float64 // of the attack, per second
	Sent                  int64   // requests, connections or frames
	Seconds               float64
	Before, During, After Honest
	Lasted                float64       // seconds into the attack until honest clients got no more answers; Seconds if they always did
	Recovered             float64       // seconds from the attack's end until it was as before; -1: not within Config.Flood.Recovery
	Ended                 bool          `json:",omitempty"` // the instance has ended
	Begin, End            time.Duration // of the attack, on the clock of the samples
	Samples               []load.Sample

	step time.Duration // from one honest request to the next
}

// Honest is what honest clients got in a part of the time.
type Honest struct {
	Asked, Answered int
	P50, P99, Max   float64 // of the right answers, in milliseconds from when they were due
	FirstError      string  `json:",omitempty"`
}

// Share is how many of 100 requests were answered rightly.
func (h Honest) Share() float64 {
	if h.Asked == 0 {
		return 0
	}
	return 100 * float64(h.Answered) / float64(h.Asked)
}

// honest judges the samples that were due in a part of the time.
func honest(samples []load.Sample, from, to time.Duration) Honest {
	var h Honest
	var took []float64
	for _, s := range samples {
		if s.Due < from || s.Due >= to {
			continue
		}
		h.Asked++
		if s.Err != "" {
			if h.FirstError == "" {
				h.FirstError = s.Err
			}
			continue
		}
		h.Answered++
		took = append(took, s.Took.Seconds()*1000)
	}
	if len(took) == 0 {
		return h
	}
	h.P50, h.P99, h.Max = stats.Quantile(took, 0.5), stats.Quantile(took, 0.99), slices.Max(took)
	return h
}

// flood attacks an instance while honest clients ask it.
func (s *suite) flood(ctx context.Context, j job) (end End, err error) {
	service, name, _ := strings.Cut(j.Part, " ")
	attack, _ := flood.Find(name)
	v, err := s.start(ctx, service, j.Machine, 50)
	if err != nil {
		return end, err
	}
	defer func() { err = errors.Join(err, v.stop(ctx)) }()
	if end, err = s.describe(ctx, v, j.Machine); err != nil {
		return end, err
	}
	r := &FloodResult{Offered: s.Flood.Rate, step: time.Duration(float64(time.Second) / s.Flood.Probe)}
	if attack.Times {
		if err := s.capacity(v, r); err != nil {
			return end, err
		}
	}
	victim, err := s.victim(service, v)
	if err != nil {
		return end, err
	}
	if err := s.besiege(ctx, v, attack, victim, r); err != nil {
		return end, err
	}
	s.say("  %d sent; honest clients: %.0f %% answered, p99 %.1f ms (before: %.1f ms); served for %.1f of %.1f s; %s",
		r.Sent, r.During.Share(), r.During.P99, r.Before.P99, r.Lasted, r.Seconds, r.recovery())
	return end, s.book.add(j, Record{Flood: r})
}

// recovery tells how fast it was as before.
func (r *FloodResult) recovery() string {
	switch {
	case r.Ended:
		return "the machine has ended"
	case r.Recovered < 0:
		return "it did not recover in time"
	default:
		return fmt.Sprintf("recovered after %.1f s", r.Recovered)
	}
}

// capacity looks how much the service can answer, and how much is many times that.
func (s *suite) capacity(v *visit, r *FloodResult) error {
	o, err := v.client.Rate(v.ctx, capacityRate, capacityLength)
	if err != nil {
		return v.failed(capacityRate, err)
	}
	r.Capacity = float64(o.Answered) / max(capacityLength, o.Last).Seconds()
	if r.Capacity == 0 {
		return fmt.Errorf("it answers nothing of %d/s before any attack", capacityRate)
	}
	r.Offered = min(s.Flood.Times*r.Capacity, s.Flood.MostRate)
	pause(v.ctx, settle)
	return nil
}

// victim is the instance as package flood takes it.
func (s *suite) victim(service string, v *visit) (flood.Victim, error) {
	victim := flood.Victim{Protocol: service, Device: lab.Device}
	mac, err := s.lab.HardwareAddr(v.Addr())
	if err != nil {
		return victim, err
	}
	victim.MAC = packet.MAC(mac)
	switch c := v.client.(type) {
	case webClient:
		victim.Addr = c.To
	case dnsClient:
		victim.Addr, victim.Query = c.To, c.Questions[0].Wire()
	}
	return victim, nil
}

// besiege attacks, with honest clients before, during and after.
func (s *suite) besiege(ctx context.Context, v *visit, attack flood.Attack, victim flood.Victim, r *FloodResult) error {
	probe := load.StartProbe(ctx, s.Flood.Probe, v.client.Once)
	defer probe.Stop()
	pause(ctx, s.Flood.Calm)
	r.Begin = probe.Now()
	var err error
	r.Sent, err = attack.Run(ctx, victim, flood.Strength{Rate: r.Offered, Conns: s.Flood.Conns, Length: s.Flood.Length, Seed: s.Seed})
	if err != nil {
		return err
	}
	r.End = probe.Now()
	limit := r.End + s.Flood.Recovery
	for ctx.Err() == nil && probe.Now() < limit+load.ProbePatience && !ended(v) {
		r.judge(probe.Samples(), limit)
		if r.Recovered >= 0 {
			break
		}
		pause(ctx, 100*time.Millisecond)
	}
	r.Ended = ended(v)
	r.judge(probe.Samples(), limit)
	return ctx.Err()
}

func ended(v *visit) bool {
	select {
	case <-v.Done():
		return true
	default:
		return false
	}
}

// calm is how many right and quick answers in a row mean that all is as before.
const calm = 5

// judge makes the result of the samples until now. Those that are due after limit
// don't count.
func (r *FloodResult) judge(samples []load.Sample, limit time.Duration) {
	samples = slices.DeleteFunc(samples, func(s load.Sample) bool { return s.Due >= limit })
	slices.SortFunc(samples, func(a, b load.Sample) int { return int(a.Due - b.Due) })
	r.Samples = samples
	r.Seconds = (r.End - r.Begin).Seconds()
	r.Before, r.During, r.After = honest(samples, 0, r.Begin), honest(samples, r.Begin, r.End), honest(samples, r.End, limit)
	r.Lasted = r.lasted()
	r.Recovered = r.recovered()
}

// silentFor is how long honest clients must be without an answer, until the
// attack's end, to say that the service didn't last.
const silentFor = time.Second

func (r *FloodResult) lasted() float64 {
	last := r.Begin
	for _, s := range r.Samples {
		if s.Err == "" && s.Due < r.End {
			last = max(last, s.Due)
		}
	}
	if last > r.Begin && r.End-last < silentFor {
		return r.Seconds
	}
	return (last - r.Begin).Seconds()
}

func (r *FloodResult) recovered() float64 {
	quick := max(2*r.Before.P99, r.Before.P99+20) // ms
	first, last, row := time.Duration(0), time.Duration(0), 0
	for _, s := range r.Samples {
		if s.Due < r.End {
			continue
		}
		if s.Due-last > 3*r.step/2 {
			row = 0 // the one between still waits
		}
		last = s.Due
		if s.Err != "" || s.Took.Seconds()*1000 > quick {
			row = 0
			continue
		}
		if row == 0 {
			first = s.Due
		}
		if row++; row == calm {
			return (first - r.End).Seconds()
		}
	}
	return -1
}
