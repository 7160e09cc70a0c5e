package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
)

// Server serves the page and the API. Make one with New, then call Run once.
type Server struct {
	config      Config
	handler     http.Handler
	observer    *observer
	certificate *certificate
	ready       atomic.Bool
	listeners   []listener
}

// listener is one address and the server behind it.
type listener struct {
	net.Listener
	server *http.Server
	name   string
}

// watchTime is how often the certificate's files are looked at.
const watchTime = 5 * time.Second

// New checks the configuration; its error lists all that is wrong, one thing a line.
func New(config Config) (*Server, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	s := &Server{config: config}
	s.observer = newObserver(&s.config)
	s.certificate = &certificate{config: &s.config}
	if config.ListenTLS != "" {
		if err := s.certificate.load(time.Now()); err != nil {
			return nil, err
		}
	}
	mux := http.NewServeMux()
	(&api{newStore(config.MaxItems), int64(config.MaxBody)}).routes(mux)
	mux.Handle("GET /openapi.json", newFixed(description, "application/json"))
	if config.Admin == "" {
		s.adminRoutes(mux)
	}
	if err := s.pageRoutes(mux); err != nil {
		return nil, err
	}
	s.handler = s.observer.wrap(mux)
	return s, nil
}

// pageRoutes serve the files; the page of our own goes out from memory.
func (s *Server) pageRoutes(mux *http.ServeMux) error {
	if s.config.Files != nil {
		mux.Handle("/", newFiles(s.config.Files))
		return nil
	}
	page, err := fs.Sub(embedded, "page")
	if err != nil {
		return err
	}
	index, err := fs.ReadFile(page, "index.html")
	if err != nil {
		return err
	}
	mux.Handle("GET /{$}", newFixed(index, "text/html; charset=utf-8"))
	mux.Handle("/", newFiles(page))
	return nil
}

func (s *Server) adminRoutes(mux *http.ServeMux) {
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.observer.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if !s.ready.Load() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
}

// Handler is the whole site, for a server of one's own.
func (s *Server) Handler() http.Handler { return s.handler }

// Reload reads the certificate again; on failure the old one is shown on.
func (s *Server) Reload() error { return s.certificate.load(time.Now()) }

// Listen opens all addresses; Run does it otherwise.
func (s *Server) Listen() error {
	admin := http.NewServeMux()
	s.adminRoutes(admin)
	for _, l := range []struct {
		name, addr string
		handler    http.Handler
	}{{"http", s.config.Listen, s.handler}, {"https", s.config.ListenTLS, s.handler}, {"admin", s.config.Admin, admin}} {
		if l.addr == "" || l.addr == "-" {
			continue
		}
		opened, err := net.Listen("tcp", l.addr)
		if err != nil {
			s.close()
			return fmt.Errorf("%s: %w", l.name, err)
		}
		limited := netutil.LimitListener(opened, s.config.MaxConnections)
		s.listeners = append(s.listeners, listener{limited, s.server(l.handler), l.name})
	}
	return nil
}

func (s *Server) close() {
	for _, l := range s.listeners {
		l.Close()
	}
}

// Addr is the address of "http", "https" or "admin", nil where there is none.
func (s *Server) Addr(name string) net.Addr {
	for _, l := range s.listeners {
		if l.name == name {
			return l.Addr()
		}
	}
	return nil
}

// server is a server with all limits set.
func (s *Server) server(h http.Handler) *http.Server {
	seconds := func(n int) time.Duration { return time.Duration(n) * time.Second }
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: h, Protocols: protocols, MaxHeaderBytes: 16 << 10,
		ReadHeaderTimeout: seconds(s.config.HeaderSeconds), ReadTimeout: seconds(s.config.ReadSeconds),
		WriteTimeout: seconds(s.config.WriteSeconds), IdleTimeout: seconds(s.config.IdleSeconds),
		TLSConfig: &tls.Config{GetCertificate: s.certificate.get, MinVersion: tls.VersionTLS12},
		ErrorLog:  slog.NewLogLogger(s.config.Log.Handler(), slog.LevelDebug),
	}
}

// Run serves until ctx is done. Then it isn't ready, serves on for the lead time,
// takes no more connections, and lets requests end.
func (s *Server) Run(ctx context.Context) error {
	if s.listeners == nil {
		if err := s.Listen(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var work sync.WaitGroup
	written := make(chan struct{})
	if s.observer.queue != nil {
		work.Go(func() { s.observer.write(written) })
	}
	for _, l := range s.listeners {
		go func() {
			if err := l.serve(); !errors.Is(err, http.ErrServerClosed) {
				cancel(fmt.Errorf("%s: %w", l.name, err))
			}
		}()
		s.config.Log.Info("web serves", "protocol", l.name, "listen", l.Addr().String())
	}
	if s.config.ListenTLS != "" {
		go s.watch(ctx)
	}
	s.ready.Store(true)
	<-ctx.Done()
	s.ready.Store(false)
	err := s.drain()
	close(written)
	work.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return err
}

func (l listener) serve() error {
	if l.name == "https" {
		return l.server.ServeTLS(l.Listener, "", "")
	}
	return l.server.Serve(l.Listener)
}

// drain lets requests end, for a while.
func (s *Server) drain() error {
	time.Sleep(time.Duration(s.config.LeadSeconds) * time.Second)
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(s.config.DrainSeconds)*time.Second)
	defer cancel()
	var failed []error
	for _, l := range s.listeners {
		if err := l.server.Shutdown(ctx); err != nil {
			l.server.Close()
			failed = append(failed, fmt.Errorf("%s: requests did not end in time: %w", l.name, err))
		}
	}
	return errors.Join(failed...)
}

// watch replaces the certificate when its files change or it grows old.
func (s *Server) watch(ctx context.Context) {
	tick := time.NewTicker(watchTime)
	defer tick.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			signature := s.certificate.signature()
			if signature == last && !s.certificate.due(now) {
				continue
			}
			last = signature
			if err := s.Reload(); err != nil {
				s.config.Log.Error("the certificate can't be used; the old one is shown on", "error", err)
			}
		}
	}
}
