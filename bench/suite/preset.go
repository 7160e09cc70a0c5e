package suite

import (
	"os"
	"time"

	"pith"
	"pith/bench/flood"
	"pith/bench/forward"
	"pith/machine/container"
	"pith/machine/host"
)

// available are the kinds that this host can run: a container needs root and
// runc.
func available() []string {
	kinds := []string{Unikernel, LinuxVM, Process}
	if _, err := container.New(host.This()).Find(); err == nil && os.Geteuid() == 0 {
		kinds = append(kinds, Container)
	}
	return kinds
}

// Default is what is measured unless something else is said.
func Default() Config {
	return Config{
		Machines: available(), Repeat: 3, Seed: 1, CPUs: 1, Memory: 256 << 20,
		Web:       Rates{Start: 100, Step: 300, To: 3100, StepTime: 10 * time.Second, Pause: time.Second, Clients: 100},
		DNS:       Rates{Start: 100, Step: 300, To: 3100, StepTime: 10 * time.Second, Pause: time.Second, Clients: 100},
		Page:      Page{Size: 256},
		Start:     Churn{Service: Web, From: 10, To: 40, Step: 10, Pace: time.Second, Time: 30 * time.Second, Traced: 3},
		Footprint: Rest{Service: Web, Idle: 10 * time.Second, Load: 100, Time: 5 * time.Second, Least: true},
		Flood: Floods{
			Services: []string{Web, DNS}, Attacks: flood.Names(), Calm: 2 * time.Second, Length: 10 * time.Second, Recovery: 20 * time.Second,
			Probe: 20, Times: 10, MostRate: 50_000, Rate: 2000, Conns: 500,
		},
		Forward: Forwards{Services: forward.Services, Sizes: []int{forward.LeastFrame, forward.LargestPacket}, Window: 256, Time: 2 * time.Second},
	}
}

// Preset is everything, in a size that has a name: quick takes less than ten
// minutes on two cores, paper has the original report's steps and times, and
// takes more than a day.
func Preset(name string) (Config, error) {
	c := Default()
	c.Measures = []string{Web, DNS, Start, Footprint, Flood, Forward}
	switch name {
	case "quick":
		c.Web = Rates{Start: 300, Step: 600, To: 1500, StepTime: 2 * time.Second, Clients: 50}
		c.DNS = c.Web
		c.Start = Churn{Service: Web, From: 3, To: 3, Step: 1, Pace: time.Second, Time: 5 * time.Second, Traced: 1}
		c.Footprint = Rest{Service: Web, Idle: 2 * time.Second, Load: 100, Time: 2 * time.Second}
		c.Flood.Services, c.Flood.Attacks, c.Flood.Repeat = []string{Web}, []string{"overload", "slow", "malformed"}, 1
		c.Forward.Time, c.Forward.Repeat = time.Second, 1
		c.Flood.Calm, c.Flood.Length, c.Flood.Recovery = time.Second, 2*time.Second, 3*time.Second
	case "paper":
		c.Repeat, c.Memory = 1, 128<<20
		c.Web = Rates{Start: 100, Step: 100, To: 3000, StepTime: 5 * time.Minute, Pause: 30 * time.Second, Clients: 100}
		c.DNS = c.Web
		c.DNS.To = 2700
		c.Start = Churn{Service: Web, From: 10, To: 140, Step: 10, Pace: 5 * time.Second, Time: 20 * time.Minute, Traced: 3}
	default:
		return c, pith.Errorf("--preset %s: there are quick and paper", name)
	}
	return c, nil
}
