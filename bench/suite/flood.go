package suite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"pith"
	"pith/bench/flood"
	"pith/bench/lab"
	"pith/bench/load"
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
