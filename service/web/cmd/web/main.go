// Command web is the web server of package service/web.
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

	"pith/service/web"
)

const usage = `web serves a page, files and a REST API.

  web [flags]

flags (each overrides its part of the configuration):
  -config FILE          JSON configuration; else the variable WEB_CONFIG holds it
  -listen ADDRESS       HTTP, ":80" by default; "-" for none
  -tls ADDRESS          HTTPS; none by default
  -cert FILE -key FILE  its certificate; self-made without them
  -root FOLDER          files to serve; a page of its own by default
  -access-log           a line for each request

examples:
  web -listen 127.0.0.1:8080
  web -tls :443 -cert site.pem -key site.key -root ./site -access-log

SIGHUP reads the certificate again; SIGTERM ends it when its requests have ended.
`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit code: 2 for the user's mistake, 1 for a failure.
func run(args []string, out, errOut io.Writer) int {
	config, err := configure(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, usage)
		return 0
	}
	if err != nil {
		fmt.Fprintln(errOut, "web:", err)
		return 2
	}
	config.Log = slog.New(slog.NewJSONHandler(errOut, nil))
	server, err := web.New(config)
	if err != nil {
		fmt.Fprintln(errOut, "web: it can't start:\n"+err.Error())
		return 2
	}
	if err := serve(server, config.Log); err != nil {
		fmt.Fprintln(errOut, "web:", err)
		return 1
	}
	return 0
}

func serve(server *web.Server, log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for range hangups {
			if err := server.Reload(); err != nil {
				log.Error("the certificate can't be used; the old one is shown on", "error", err)
				continue
			}
			log.Info("the certificate was read again")
		}
	}()
	return server.Run(ctx)
}

// configure reads the configuration and what flags change of it.
func configure(args []string) (web.Config, error) {
	var given web.Config
	flags := flag.NewFlagSet("web", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	file := flags.String("config", "", "")
	flags.StringVar(&given.Listen, "listen", "", "")
	flags.StringVar(&given.ListenTLS, "tls", "", "")
	flags.StringVar(&given.Certificate, "cert", "", "")
	flags.StringVar(&given.Key, "key", "", "")
	flags.StringVar(&given.Root, "root", "", "")
	flags.BoolVar(&given.AccessLog, "access-log", false, "")
	if err := flags.Parse(args); err != nil {
		return given, err
	}
	if flags.NArg() > 0 {
		return given, fmt.Errorf("%q is no flag; web -help tells which there are", flags.Arg(0))
	}
	c, err := load(*file)
	for to, value := range map[*string]string{
		&c.Listen: given.Listen, &c.ListenTLS: given.ListenTLS, &c.Certificate: given.Certificate,
		&c.Key: given.Key, &c.Root: given.Root,
	} {
		if value != "" {
			*to = value
		}
	}
	c.AccessLog = c.AccessLog || given.AccessLog
	return c, err
}

// load reads the configuration from a file or else from WEB_CONFIG.
func load(file string) (c web.Config, err error) {
	text, from := os.Getenv("WEB_CONFIG"), "WEB_CONFIG"
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return c, err
		}
		text, from = string(data), file
	}
	if text == "" {
		return c, nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("%s: %w", from, err)
	}
	return c, nil
}
