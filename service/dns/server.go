package dns

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Server answers queries. Make one with New, then call Run once.
type Server struct {
	config  Config
	catalog atomic.Pointer[catalog]
	cookies *cookies
	limiter *limiter // nil: no limit
	forward *forwarder
	metrics *metrics
	ready   atomic.Bool

	reloading sync.Mutex // one at a time; guards what follows
	zones     map[string]*Zone
	services  *Zone
	names     map[string][]netip.Addr
	namesFail bool

	packets   []*net.UDPConn
	listeners []net.Listener
	admin     net.Listener
	slots     chan struct{} // one for each TCP connection
	clients   clients
}

const (
	// drainTime is how long a connection may go on when the server ends.
	drainTime = 5 * time.Second
	// lastWord is how long what has been sent to a server that ends may take to arrive.
	lastWord = 100 * time.Millisecond
)

// New checks the configuration and reads all zones. Its error lists all that is
// wrong, one thing a line.
func New(config Config) (*Server, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	secret, err := hex.DecodeString(config.CookieSecret)
	if err != nil {
		return nil, err
	}
	s := &Server{
		config:  config,
		cookies: newCookies(secret),
		limiter: newLimiter(config.RateLimit, max(config.Slip, 0)),
		slots:   make(chan struct{}, config.Connections),
		clients: clients{most: config.ClientConnections, count: map[netip.Addr]int{}},
	}
	s.metrics = newMetrics(s)
	if config.Forward != nil {
		s.forward = newForwarder(config.Forward, s.metrics)
	}
	return s, s.Reload(context.Background())
}

// Listen opens all sockets; Run does it otherwise. Afterwards Addr is known.
func (s *Server) Listen() error {
	for _, addr := range s.config.Listen {
		if err := s.listen(addr); err != nil {
			s.close()
			return err
		}
	}
	if s.config.Admin == "" {
		return nil
	}
	l, err := net.Listen("tcp", s.config.Admin)
	if err != nil {
		s.close()
		return fmt.Errorf("admin: %w", err)
	}
	s.admin = l
	return nil
}

// listen opens UDP and TCP at one address; port 0 is the same free one for both.
func (s *Server) listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s.listeners = append(s.listeners, l)
	if host, port, err := net.SplitHostPort(addr); err == nil && port == "0" {
		addr = net.JoinHostPort(host, fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	}
	p, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	udp := p.(*net.UDPConn)
	udp.SetReadBuffer(1 << 20) // a wish; the system bounds it
	s.packets = append(s.packets, udp)
	return nil
}

func (s *Server) close() {
	for _, l := range s.listeners {
		l.Close()
	}
	for _, p := range s.packets {
		p.Close()
	}
	if s.admin != nil {
		s.admin.Close()
	}
}

// Addr is the first address that is listened at.
func (s *Server) Addr() net.Addr { return s.packets[0].LocalAddr() }

// AdminAddr is where the metrics are; nil without them.
func (s *Server) AdminAddr() net.Addr {
	if s.admin == nil {
		return nil
	}
	return s.admin.Addr()
}

// Run serves until ctx is done, then lets connections end what they began.
func (s *Server) Run(ctx context.Context) error {
	if s.packets == nil {
		if err := s.Listen(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var work sync.WaitGroup
	for _, p := range s.packets {
		s.serveUDP(ctx, p, &work)
	}
	for _, l := range s.listeners {
		work.Go(func() { s.serveTCP(ctx, l, &work) })
	}
	var admin *http.Server
	if s.admin != nil {
		admin = s.adminServer()
		go func() {
			if err := admin.Serve(s.admin); !errors.Is(err, http.ErrServerClosed) {
				cancel(fmt.Errorf("admin: %w", err))
			}
		}()
	}
	work.Go(func() { s.watch(ctx) })
	s.ready.Store(true)
	s.config.Log.Info("dns serves", "listen", s.Addr().String(), "zones", len(s.catalog.Load().zones))
	<-ctx.Done()
	s.ready.Store(false)
	s.drain(&work)
	if admin != nil {
		admin.Close()
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// drain ends the reading, of what has come by now too, and waits for the writing.
func (s *Server) drain(work *sync.WaitGroup) {
	end := time.Now().Add(lastWord)
	for _, l := range s.listeners {
		l.(*net.TCPListener).SetDeadline(end)
	}
	for _, p := range s.packets {
		p.SetReadDeadline(end)
	}
	done := make(chan struct{})
	go func() { work.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(drainTime):
	}
	s.close()
}
