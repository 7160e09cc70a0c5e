package deploy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"pith"
	"pith/machine"
)

// Limits of the forwarder.
const (
	maxStreams  = 4096             // connections at once, of a port
	maxSessions = 1024             // UDP clients at once, of a port
	sessionIdle = time.Minute      // until a silent UDP client is forgotten
	dialTime    = 10 * time.Second // to reach the instance
)

// Hold waits as long as an instance is between two machines. Then it calls begin, at a
// time when the instance's machine isn't asked to end yet, and says which one that is:
// another number is another machine.
type Hold func(ctx context.Context, begin func()) (machine int, err error)

// Forward listens at ports of the host and passes on what comes to an instance, each
// time after hold has returned without an error. What has passed counts in asking until
// it is answered. A host port of 0 becomes a free one in the result.
func Forward(ports []pith.Port, to netip.Addr, dial Dial, hold Hold, asking *atomic.Int64) (opened []pith.Port, stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	var open []io.Closer
	var work sync.WaitGroup
	stop = func() {
		cancel()
		for _, c := range open {
			c.Close()
		}
		work.Wait()
	}
	for _, p := range ports {
		f := forwarder{netip.AddrPortFrom(to, p.Guest).String(), dial, hold, asking, ctx, &work}
		closer, at, err := f.listen(p)
		if err != nil {
			stop()
			return nil, nil, pith.Errorf("%s/%s can't be published: %w", p.Host, p.Protocol, err)
		}
		open = append(open, closer)
		p.Host = netip.AddrPortFrom(p.Host.Addr(), at)
		opened = append(opened, p)
	}
	return opened, stop, nil
}

// forwarder passes on what comes to one port.
type forwarder struct {
	to     string
	dial   Dial
	hold   Hold
	asking *atomic.Int64
	ctx    context.Context
	work   *sync.WaitGroup
}

// begin counts something that is to be answered.
func (f forwarder) begin() { f.asking.Add(1) }

func (f forwarder) listen(p pith.Port) (io.Closer, uint16, error) {
	if p.Protocol == machine.UDP {
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(p.Host))
		if err != nil {
			return nil, 0, err
		}
		f.work.Go(func() { f.serveUDP(c) })
		return c, uint16(c.LocalAddr().(*net.UDPAddr).Port), nil
	}
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(p.Host))
	if err != nil {
		return nil, 0, err
	}
	f.work.Go(func() { f.serveTCP(l) })
	return l, uint16(l.Addr().(*net.TCPAddr).Port), nil
}

func (f forwarder) serveTCP(l *net.TCPListener) {
	room := make(chan struct{}, maxStreams)
	for {
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			sleep(f.ctx, 100*time.Millisecond) // out of descriptors: some come back
			continue
		}
		select {
		case room <- struct{}{}:
			f.work.Go(func() { f.stream(c); <-room })
		default:
			c.Close()
		}
	}
}

// stream joins a connection with one to the instance. Each direction ends by
// itself.
func (f forwarder) stream(c *net.TCPConn) {
	defer c.Close()
	if _, err := f.hold(f.ctx, f.begin); err != nil {
		c.SetLinger(0)
		return
	}
	answered := sync.OnceFunc(func() { f.asking.Add(-1) })
	defer answered()
	ctx, cancel := context.WithTimeout(f.ctx, dialTime)
	defer cancel()
	to, err := f.dial(ctx, "tcp", f.to)
	if err != nil {
		c.SetLinger(0) // the client sees a refusal, not an end
		return
	}
	defer to.Close()
	stop := context.AfterFunc(f.ctx, func() { c.Close(); to.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { pass(to.(*net.TCPConn), c) })
	both.Go(func() {
		first(c, to)
		answered()
		pass(c, to.(*net.TCPConn))
	})
	both.Wait()
}

// first passes on what an instance says first. Its end, and an error, are for pass
// to find again.
func first(to, from net.Conn) {
	buffer := make([]byte, 4<<10)
	n, _ := from.Read(buffer)
	to.Write(buffer[:n])
}

func pass(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		from.Close()
		to.Close()
		return
	}
	to.CloseWrite()
}

// serveUDP gives each client a socket of its own, whose answers are the client's.
func (f forwarder) serveUDP(c *net.UDPConn) {
	s := sessions{forwarder: f, listener: c, of: map[netip.AddrPort]*session{}}
	packet := make([]byte, 64<<10)
	for {
		n, from, err := c.ReadFromUDPAddrPort(packet)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // a client that is gone (ICMP)
		}
		machine, err := f.hold(f.ctx, f.begin) // meanwhile, the socket's buffer keeps what comes
		if err != nil {
			continue
		}
		if to := s.session(from, machine); to != nil {
			to.asks(true)
			to.SetReadDeadline(time.Now().Add(sessionIdle))
			to.Write(packet[:n]) // a datagram may be lost
		}
		f.asking.Add(-1)
	}
}

// sessions are the clients of a UDP port.
type sessions struct {
	forwarder
	listener *net.UDPConn

	mu sync.Mutex
	of map[netip.AddrPort]*session
}

// session is a client's socket to a machine.
type session struct {
	net.Conn
	forwarder
	machine int
	waits   atomic.Bool // for an answer
}

// asks notes whether the session waits for an answer.
func (s *session) asks(waits bool) {
	switch {
	case s.waits.Swap(waits) == waits:
	case waits:
		s.asking.Add(1)
	default:
		s.asking.Add(-1)
	}
}

// session is a client's socket to the machine that there is now; nil where there is
// none for it.
func (s *sessions) session(client netip.AddrPort, machine int) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if to, ok := s.of[client]; ok {
		if to.machine == machine {
			return to
		}
		to.Close() // the machine is gone, and with it perhaps the port
		delete(s.of, client)
	}
	if len(s.of) >= maxSessions {
		return nil
	}
	conn, err := s.dial(s.ctx, "udp", s.to)
	if err != nil {
		return nil
	}
	to := &session{Conn: conn, forwarder: s.forwarder, machine: machine}
	s.of[client] = to
	s.work.Go(func() { s.answer(client, to) })
	return to
}

// answer passes the instance's datagrams to a client until there are none for a
// while.
func (s *sessions) answer(client netip.AddrPort, from *session) {
	stop := context.AfterFunc(s.ctx, func() { from.Close() })
	defer stop()
	defer from.Close()
	defer from.asks(false)
	defer func() {
		s.mu.Lock()
		if s.of[client] == from {
			delete(s.of, client)
		}
		s.mu.Unlock()
	}()
	from.SetReadDeadline(time.Now().Add(sessionIdle))
	packet := make([]byte, 64<<10)
	for {
		n, err := from.Read(packet)
		if err != nil {
			return // silent for long, or refused: the next datagram opens another socket
		}
		from.asks(false)
		from.SetReadDeadline(time.Now().Add(sessionIdle))
		s.listener.WriteToUDPAddrPort(packet[:n], client)
	}
}
