// Command dns is the name server of package service/dns.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"pith/service/dns"
)

const usage = `dns answers DNS queries from zone files.

  dns [flags]
  dns check [ORIGIN=]ZONEFILE...

flags (each overrides its part of the configuration):
  -config FILE       JSON configuration; else the variable DNS_CONFIG holds it
  -listen ADDRESS    for UDP and TCP, ":53" by default; may be repeated
  -admin ADDRESS     metrics, health and POST /reload; none by default
  -zone NAME=FILE    a zone and its file or URL; may be repeated

examples:
  dns -listen 127.0.0.1:5353 -zone example.org=example.org.zone
  dns -config dns.json -admin 127.0.0.1:9153
  dns check example.org=example.org.zone

SIGHUP reads the zones again; SIGTERM ends it.
`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit code: 2 for the user's mistake, 1 for a failure.
func run(args []string, out, errOut io.Writer) int {
	if len(args) > 0 && args[0] == "check" {
		return check(args[1:], out, errOut)
	}
	config, err := configure(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, usage)
		return 0
	}
	if err != nil {
		fmt.Fprintln(errOut, "dns:", err)
		return 2
	}
	config.Log = slog.New(slog.NewJSONHandler(errOut, nil))
	server, err := dns.New(config)
	if err != nil {
		fmt.Fprintln(errOut, "dns: it can't start:\n"+err.Error())
		return 2
	}
	if err := serve(server, config.Log); err != nil {
		fmt.Fprintln(errOut, "dns:", err)
		return 1
	}
	return 0
}

func serve(server *dns.Server, log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for range hangups {
			if err := server.Reload(ctx); err != nil {
				log.Error("the zones can't be used; the old ones are served on", "error", err)
				continue
			}
			log.Info("the zones were read again")
		}
	}()
	return server.Run(ctx)
}

// list is a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// configure reads the configuration and what flags change of it.
func configure(args []string) (dns.Config, error) {
	var c dns.Config
	var listen, zones list
	flags := flag.NewFlagSet("dns", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	file := flags.String("config", "", "")
	admin := flags.String("admin", "", "")
	flags.Var(&listen, "listen", "")
	flags.Var(&zones, "zone", "")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		return c, fmt.Errorf("%q is no flag; dns -help tells which there are", flags.Arg(0))
	}
	if err := load(*file, &c); err != nil {
		return c, err
	}
	if len(listen) > 0 {
		c.Listen = listen
	}
	if *admin != "" {
		c.Admin = *admin
	}
	for _, z := range zones {
		name, file, ok := strings.Cut(z, "=")
		if !ok {
			return c, fmt.Errorf("-zone %s: write NAME=FILE", z)
		}
		c.Zones = append(c.Zones, dns.ZoneConfig{Name: name, File: file})
	}
	if len(c.Zones) == 0 && c.Services == nil && c.Forward == nil {
		return c, errors.New("there is nothing to serve: name a zone as in -zone example.org=example.org.zone")
	}
	return c, nil
}

// load reads the configuration from a file or else from DNS_CONFIG.
func load(file string, c *dns.Config) error {
	text, from := os.Getenv("DNS_CONFIG"), "DNS_CONFIG"
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		text, from = string(data), file
	}
	if text == "" {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	return nil
}

// check reports all mistakes of zone files.
func check(args []string, out, errOut io.Writer) int {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		fmt.Fprint(errOut, usage)
		return 2
	}
	code := 0
	for _, arg := range args {
		origin, file, ok := strings.Cut(arg, "=")
		if !ok {
			file, origin = arg, originOf(arg)
		}
		zone, mistakes := dns.ReadZone(origin, file)
		for _, m := range mistakes {
			fmt.Fprintln(errOut, m)
		}
		if zone == nil {
			code = 2
			continue
		}
		fmt.Fprintf(out, "%s: zone %s, serial %d, %d records\n", file, zone.Name(), zone.Serial(), zone.Records())
	}
	return code
}

// originOf guesses a zone's name from its file's, as in example.org.zone.
func originOf(file string) string {
	name := file[strings.LastIndexAny(file, `/\`)+1:]
	name = strings.TrimPrefix(name, "db.")
	for _, ext := range []string{".zone", ".db", ".txt"} {
		name = strings.TrimSuffix(name, ext)
	}
	return name
}
