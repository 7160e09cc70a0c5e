package suite

import (
	"strings"
	"testing"
	"time"

	"pith"
	"pith/bench/load"
)

func TestOutsideStep(t *testing.T) {
	r := load.Report{Sent: 90, Answered: 80, Wrong: 6, Lost: 4, Length: time.Second, Mean: 2 * time.Millisecond}
	if s := outsideStep(2, 100, load.ByDNSPerf, r); s.Due != 100 || s.Lost != 14 || s.Rate() != 80 || s.Mean != 2 || s.Kept() || s.Run != 2 {
		t.Errorf("%+v: what was due and not sent is lost", s)
	}
	if s := outsideStep(1, 100, load.ByWrk, r); s.Offered != 80 || s.Due != 90 {
		t.Errorf("%+v: wrk has no rate", s)
	}
}

func TestLoadRefused(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"--load dnsperf": func(c *Config) { c.Measures, c.Load = []string{Web}, "dnsperf" },
		"--load wrk: ":   func(c *Config) { c.Load = "wrk" },
		"wrk2 needs 20s": func(c *Config) { c.Measures, c.Load = []string{Web}, "wrk2" },
		"whole seconds":  func(c *Config) { c.Load, c.DNS.StepTime = "dnsperf", 1500*time.Millisecond },
	} {
		c := Default()
		c.Measures = []string{DNS}
		change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) || pith.ExitCode(err) != 2 {
			t.Errorf("%s: error %v, exit code %d", want, err, pith.ExitCode(err))
		}
	}
}
