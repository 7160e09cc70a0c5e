package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pith/bench/flood"
	"pith/bench/suite"
)

// benchFlags are those of every measurement.
type benchFlags struct {
	config suite.Config
	memory string
	out    string
	resume bool
	dry    bool
}

func (f *benchFlags) add(flags *pflag.FlagSet) {
	c := &f.config
	flags.StringSliceVar(&c.Machines, "machine", c.Machines, "kinds of machines: "+strings.Join(suite.Kinds, ", "))
	flags.StringVarP(&f.out, "out", "o", "", "the folder for the report and the records (default: bench- and the time)")
	flags.IntVar(&c.Repeat, "repeat", c.Repeat, "how often everything is measured")
	flags.Uint64Var(&c.Seed, "seed", c.Seed, "of the random order and choices")
	flags.IntVar(&c.CPUs, "cpus", c.CPUs, "CPUs of an instance")
	flags.StringVarP(&f.memory, "memory", "m", "", fmt.Sprintf("memory of an instance (default %dM)", c.Memory>>20))
	flags.BoolVar(&f.resume, "resume", false, "go on with the run in --out, as it was begun")
	flags.BoolVar(&f.dry, "dry-run", false, "print what would be done, and about how long it takes")
}

// measurement makes c a command that measures; own adds its flags.
func (a *app) measurement(measure string, c *cobra.Command, own func(*pflag.FlagSet, *suite.Config)) *cobra.Command {
	f := &benchFlags{config: suite.Default()}
	f.config.Measures = []string{measure}
	c.Use, c.Args = measure, cobra.NoArgs
	c.RunE = func(c *cobra.Command, _ []string) error { return a.bench(c.Context(), f) }
	own(c.Flags(), &f.config)
	f.add(c.Flags())
	return c
}

// addRates are the flags of a load that grows.
func addRates(flags *pflag.FlagSet, r *suite.Rates) {
	flags.Float64Var(&r.Start, "start", r.Start, "the first rate, requests per second")
	flags.Float64Var(&r.Step, "step", r.Step, "what a step adds")
	flags.Float64Var(&r.To, "to", r.To, "the last rate")
	flags.DurationVar(&r.StepTime, "step-time", r.StepTime, "length of a step")
	flags.DurationVar(&r.Pause, "pause", r.Pause, "between two steps")
	flags.IntVar(&r.Clients, "clients", r.Clients, "connections, or sockets")
}

// notValue is a flag that says the opposite of what it sets.
type notValue struct{ of *bool }

func addNot(flags *pflag.FlagSet, of *bool, name, usage string) {
	flags.VarPF(notValue{of}, name, "", usage).NoOptDefVal = "true"
}

func (n notValue) String() string { return fmt.Sprint(n.of == nil || !*n.of) }
func (n notValue) Type() string   { return "bool" }
func (n notValue) Set(text string) error {
	on, err := strconv.ParseBool(text)
	*n.of = !on
	return err
}

// addPeers is the flag of measures that peers take part in.
func addPeers(flags *pflag.FlagSet, c *suite.Config) {
	flags.StringSliceVar(&c.Peers, "peer", nil, "programs that do the same work, as processes: "+strings.Join(suite.Peers, ", "))
}

func (a *app) benchWeb() *cobra.Command {
	return a.measurement(suite.Web, &cobra.Command{
		Short: "Offer the web service more and more requests",
		Example: `  pith bench web --machine unikernel,process --start 500 --step 500 --to 5000 --step-time 5s
  pith bench web --keep-alive=false --body 16384
  pith bench web --peer nginx --load wrk --step-time 10s`,
	}, func(flags *pflag.FlagSet, c *suite.Config) {
		addRates(flags, &c.Web)
		flags.StringVar(&c.Load, "load", "", "another program for the load: wrk2, or wrk, which has no rate")
		addPeers(flags, c)
		flags.IntVar(&c.Page.Size, "body", c.Page.Size, "octets of the page")
		flags.BoolVar(&c.Page.TLS, "tls", false, "over TLS")
		addNot(flags, &c.Page.Close, "keep-alive", "ask again over the same connections")
	})
}

func (a *app) benchDNS() *cobra.Command {
	return a.measurement(suite.DNS, &cobra.Command{
		Short: "Offer the name service more and more queries",
		Example: `  pith bench dns --start 100 --step 100 --step-time 10s
  pith bench dns --tcp --keep-alive=false
  pith bench dns --questions queries.txt --zone example.net=example.net.zone`,
	}, func(flags *pflag.FlagSet, c *suite.Config) {
		addRates(flags, &c.DNS)
		flags.StringVar(&c.Load, "load", "", "another program for the load: dnsperf")
		addPeers(flags, c)
		flags.StringVar(&c.Questions.File, "questions", "", "a file of questions, as dnsperf takes it")
		flags.BoolVar(&c.Questions.TCP, "tcp", false, "over TCP")
		addNot(flags, &c.Questions.Close, "keep-alive", "ask again over the same connections of TCP")
		flags.StringVar(&c.Questions.Zone, "zone", "", "the zone that is served, which tells the right answers: NAME=FILE")
	})
}

func (a *app) benchFlood() *cobra.Command {
	return a.measurement(suite.Flood, &cobra.Command{
		Short: "Attack services, and see what honest clients notice",
		Long: `Flood attacks the services while honest clients ask at a small, fixed rate: how long
they are answered, how late, and how soon all is as before. The attacks:

` + attackList() + `
An attack's rate, connections and time are bounded, and it stays in a network
namespace of the run.`,
		Example: `  pith bench flood --attack slow,malformed --machine unikernel,linuxvm --time 30s
  pith bench flood --service dns --attack overload --times 20`,
	}, func(flags *pflag.FlagSet, c *suite.Config) {
		f := &c.Flood
		addPeers(flags, c)
		flags.StringSliceVar(&f.Services, "service", f.Services, "web, dns, or both")
		flags.StringSliceVar(&f.Attacks, "attack", f.Attacks, "one or several attacks")
		flags.DurationVar(&f.Length, "time", f.Length, "length of an attack")
		flags.DurationVar(&f.Calm, "calm", f.Calm, "time before an attack, which it is compared with")
		flags.DurationVar(&f.Recovery, "recovery", f.Recovery, "how long a service may take to be as before")
		flags.Float64Var(&f.Probe, "probe", f.Probe, "requests of honest clients, per second")
		flags.Float64Var(&f.Times, "times", f.Times, "an overload, in multiples of what the service answers")
		flags.Float64Var(&f.MostRate, "most-rate", f.MostRate, "what an overload is bounded by, per second")
		flags.Float64Var(&f.Rate, "rate", f.Rate, "connections, bad requests or frames per second")
		flags.IntVar(&f.Conns, "clients", f.Conns, "an attack's connections at a time")
	})
}

func (a *app) benchForward() *cobra.Command {
	return a.measurement(suite.Forward, &cobra.Command{
		Short: "Send packets through routers and firewalls",
		Long: `Forward sends UDP packets through Pith's router and firewall, through a Linux guest,
and through the host's own kernel in a network namespace (which is how a process or
a container forwards), the latter two with the same rules for nftables. It counts
what comes through while few are under way, then times packets that are sent one by
one, and takes off what the measurement itself takes.`,
		Example: `  pith bench forward --machine unikernel,linuxvm --time 5s --repeat 5
  pith bench forward --service firewall --size 64`,
	}, func(flags *pflag.FlagSet, c *suite.Config) {
		f := &c.Forward
		flags.StringSliceVar(&f.Services, "service", f.Services, "router, firewall, or both")
		flags.IntSliceVar(&f.Sizes, "size", f.Sizes, "bytes of a packet; 64 is the least frame")
		flags.IntVar(&f.Window, "window", f.Window, "packets under way while they are counted")
		flags.DurationVar(&f.Time, "time", f.Time, "how long they are counted, for each size")
	})
}

func attackList() string {
	var b strings.Builder
	for _, attack := range flood.Attacks {
		fmt.Fprintf(&b, "  %-12s %s\n", attack.Name, attack.What)
	}
	return b.String()
}

func (a *app) benchStart() *cobra.Command {
	return a.measurement(suite.Start, &cobra.Command{
		Short: "Start and replace instances beside many others",
		Long: `Start starts instances, then kills one at random at each beat and starts another in
its place. A start is over when the service has given its first right answer.
Before that it starts a few alone and traced, to tell the stages of a start.`,
		Example: `  pith bench start --from 10 --to 140 --step 10 --pace 5s --time 20m
  pith bench start --from 8 --to 8 --cold`,
	}, func(flags *pflag.FlagSet, c *suite.Config) {
		s := &c.Start
		flags.IntVar(&s.From, "from", s.From, "the first number of instances")
		flags.IntVar(&s.To, "to", s.To, "the last one")
		flags.IntVar(&s.Step, "step", s.Step, "what a step adds")
		flags.DurationVar(&s.Pace, "pace", s.Pace, "how often one is replaced")
		flags.DurationVar(&s.Time, "time", s.Time, "how long, for each number")
		flags.StringVar(&s.Service, "service", s.Service, "web or dns")
		flags.BoolVar(&s.Cold, "cold", false, "start the first ones all at once")
		flags.IntVar(&s.Traced, "traced", s.Traced, "starts whose stages are looked at")
	})
}

func (a *app) benchFootprint() *cobra.Command {
	return a.measurement(suite.Footprint, &cobra.Command{
		Short:   "Weigh what is shipped, and what an instance takes",
		Example: `  pith bench footprint --machine unikernel,linuxvm --repeat 1`,
	}, func(flags *pflag.FlagSet, c *suite.Config) {
		r := &c.Footprint
		flags.StringVar(&r.Service, "service", r.Service, "web or dns")
		flags.DurationVar(&r.Idle, "idle", r.Idle, "how long an idle instance is watched")
		flags.Float64Var(&r.Load, "load", r.Load, "requests per second under load")
		flags.DurationVar(&r.Time, "load-time", r.Time, "how long")
		flags.BoolVar(&r.Least, "least", r.Least, "search the least memory that serves")
	})
}

func (a *app) benchAll() *cobra.Command {
	f := &benchFlags{config: suite.Default()}
	var preset string
	c := &cobra.Command{
		Use:   "all",
		Short: "Measure everything",
		Long: `All measures everything in one of two sizes: quick takes less than ten minutes
on two cores; paper has the steps and times of the report that Pith answers, and
takes days.`,
		Example: `  pith bench all --preset quick --out quick
  pith bench all --preset paper --dry-run`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&preset, "preset", "quick", "quick or paper")
	f.add(c.Flags())
	addPeers(c.Flags(), &f.config)
	c.RunE = func(c *cobra.Command, _ []string) error {
		own, err := suite.Preset(preset)
		if err != nil {
			return err
		}
		for name, keep := range map[string]func(){
			"machine": func() { own.Machines = f.config.Machines },
			"repeat":  func() { own.Repeat = f.config.Repeat },
			"seed":    func() { own.Seed = f.config.Seed },
			"cpus":    func() { own.CPUs = f.config.CPUs },
			"peer":    func() { own.Peers = f.config.Peers },
		} {
			if c.Flags().Changed(name) {
				keep()
			}
		}
		f.config = own
		return a.bench(c.Context(), f)
	}
	return c
}
