// Package daemon is the life of a router or firewall as a program: it reads the
// configuration, opens the ports, forwards, serves metrics and reloads.
//
// It relies on packages router, port and local. It must not decide about packets.
package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pith/service/packet"
	"pith/service/packet/port"
	"pith/service/router"
	"pith/service/router/local"
)

// Program says what a router is for.
type Program struct {
	Name  string
	Usage string
	// Closed makes a rule file necessary: without one nothing passes.
	Closed bool
}

// Main runs the program and returns its exit code.
func Main(p Program, args []string) int {
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	config := flags.String("config", p.Name+".yaml", "configuration `file`")
	check := flags.Bool("check", false, "read the configuration and rules, say what is wrong, and end")
	flags.Usage = func() { fmt.Fprintf(flags.Output(), "%s\n\n", p.Usage); flags.PrintDefaults() }
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	d := &daemon{Program: p, file: *config, log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	if *check {
		if _, err := d.read(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := d.run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.Name, err)
		return 1
	}
	return 0
}

// daemon is a program that runs.
type daemon struct {
	Program
	file   string
	log    *slog.Logger
	router *router.Router
	local  *local.Stack
	reload sync.Mutex
}

func (d *daemon) read() (*router.Config, error) {
	text, err := os.ReadFile(d.file)
	if err != nil {
		return nil, err
	}
	c, err := router.ParseConfig(d.file, text)
	if err != nil {
		return nil, err
	}
	if d.Closed && c.Rules == "" {
		return nil, fmt.Errorf("%s: a firewall needs rules: the name of a file of rules in nftables' syntax", d.file)
	}
	_, err = c.LoadRules(d.readRules)
	return c, err
}

// readRules reads a file whose name counts from the configuration's folder.
func (d *daemon) readRules(name string) ([]byte, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(d.file), name)
	}
	return os.ReadFile(name)
}

func (d *daemon) run(ctx context.Context) error {
	text, err := os.ReadFile(d.file)
	if err != nil {
		return err
	}
	c, err := router.ParseConfig(d.file, text)
	if err != nil {
		return err
	}
	ports, err := openPorts(c)
	if err != nil {
		return err
	}
	d.router = router.New(router.Options{Ports: ports, Connections: c.Connections, Log: d.log, Closed: d.Closed})
	if d.local, err = local.New(ctx, d.router.Send); err != nil {
		return err
	}
	d.router.SetLocal(d.local)
	if err := d.load(); err != nil {
		if !d.Closed {
			return err
		}
		// A firewall whose rules are wrong stays, and lets nothing through.
		d.log.Error("nothing passes: the rules do not load", "error", err)
		if err := d.router.Apply(c, nil); err != nil {
			return err
		}
	}
	go d.serve(c.Metrics)
	go d.watch(ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.router.Run() }()
	d.log.Info("forwarding", "ports", strings.Join(c.Ports(), " "))
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	for _, p := range ports {
		p.Close()
	}
	return err
}

func openPorts(c *router.Config) (ports []packet.Port, err error) {
	for _, name := range c.Ports() {
		p, err := port.Open(name)
		if err != nil {
			return nil, err
		}
		ports = append(ports, p)
	}
	return ports, nil
}

// load puts the files' contents into force, or leaves all as it is.
func (d *daemon) load() error {
	d.reload.Lock()
	defer d.reload.Unlock()
	c, err := d.read()
	if err != nil {
		return err
	}
	rules, err := c.LoadRules(d.readRules)
	if err != nil {
		return err
	}
	if err := d.router.Apply(c, rules); err != nil {
		return err
	}
	var own []netip.Addr
	for _, f := range c.Interfaces {
		for _, a := range f.Addresses {
			own = append(own, a.Addr())
		}
	}
	return d.local.SetAddresses(own)
}

// watch reloads at SIGHUP, and does what is due every second.
func (d *daemon) watch(ctx context.Context) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.router.Tick()
		case <-hup:
			d.reloaded(d.load())
		}
	}
}

func (d *daemon) reloaded(err error) {
	if err != nil {
		d.log.Error("reload: all stays as it was", "error", err)
		return
	}
	d.log.Info("reloaded")
}

// serve answers HTTP on the router's addresses.
func (d *daemon) serve(at string) {
	if at == "" {
		return
	}
	if strings.HasPrefix(at, ":") {
		at = "[::]" + at
	}
	addr, err := netip.ParseAddrPort(at)
	if err != nil {
		d.log.Error("metrics: not an address and a port", "metrics", at)
		return
	}
	l, err := d.local.Listen(addr)
	if err != nil {
		d.log.Error("metrics", "error", err)
		return
	}
	s := &http.Server{Handler: d.handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	if err := s.Serve(l); err != nil {
		d.log.Error("metrics", "error", err)
	}
}

func (d *daemon) handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(d.router, collectors.NewGoCollector())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if d.router.Rules() == nil {
			http.Error(w, "no rules are loaded: nothing passes", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("POST /-/reload", func(w http.ResponseWriter, _ *http.Request) {
		err := d.load()
		d.reloaded(err)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		}
	})
	return mux
}
