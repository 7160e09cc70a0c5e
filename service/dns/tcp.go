package dns

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// maxPipelined bounds the queries of one connection that wait for an upstream
// server (RFC 7766, section 6.2.1.1: answers may overtake one another).
const maxPipelined = 32

// serveTCP accepts connections; where all slots are taken, the next waits in the
// system's queue.
func (s *Server) serveTCP(ctx context.Context, l net.Listener, work *sync.WaitGroup) {
	for {
		if !s.slot(ctx) {
			return
		}
		conn, err := l.Accept()
		if err != nil {
			<-s.slots
			if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
				return
			}
			time.Sleep(10 * time.Millisecond) // no descriptors left, most likely
			continue
		}
		from := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
		if !s.clients.enter(from) {
			conn.Close()
			<-s.slots
			continue
		}
		work.Go(func() {
			defer func() { s.clients.leave(from); <-s.slots }()
			s.connection(ctx, conn, from)
		})
	}
}

// slot waits for room for a connection; false says that the server ends and there is
// none.
func (s *Server) slot(ctx context.Context) bool {
	select {
	case s.slots <- struct{}{}:
		return true
	default:
	}
	select {
	case s.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// clients counts the connections of each address.
type clients struct {
	mu    sync.Mutex
	most  int
	count map[netip.Addr]int
}

// enter counts one more, if the address may have it.
func (c *clients) enter(a netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count[a] >= c.most {
		return false
	}
	c.count[a]++
	return true
}

func (c *clients) leave(a netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count[a]--; c.count[a] == 0 {
		delete(c.count, a)
	}
}

// stream is one TCP connection; writes of whole messages take turns.
type stream struct {
	net.Conn
	mu sync.Mutex
	w  *bufio.Writer
}

// send writes one message with its length. Small ones wait for flush.
func (c *stream) send(msg []byte, flush bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.SetWriteDeadline(time.Now().Add(drainTime))
	var length [2]byte
	binary.BigEndian.PutUint16(length[:], uint16(len(msg)))
	c.w.Write(length[:])
	_, err := c.w.Write(msg)
	if err == nil && flush {
		err = c.w.Flush()
	}
	return err
}

// connection answers the queries of one client until it is silent for too long. When
// the server ends, those that have come are answered.
func (s *Server) connection(ctx context.Context, conn net.Conn, from netip.Addr) {
	c := &stream{Conn: conn, w: bufio.NewWriterSize(conn, 4096)}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Now().Add(lastWord)) })
	defer stop()
	var waiting sync.WaitGroup
	defer waiting.Wait()
	r := bufio.NewReaderSize(conn, 4096)
	w := newWorker()
	tokens := make(chan struct{}, maxPipelined)
	for last := false; ; {
		if !last {
			conn.SetReadDeadline(time.Now().Add(s.config.idle()))
			if last = ctx.Err() != nil; last {
				conn.SetReadDeadline(time.Now().Add(lastWord)) // stop may have come before the other
			}
		}
		packet, err := readTCP(r)
		if err != nil {
			return
		}
		answer, do := s.serve(w, packet, from, false)
		switch do {
		case respond:
			err = c.send(answer, r.Buffered() == 0)
		case transfer:
			err = s.transfer(c, w, from)
		case ask:
			tokens <- struct{}{}
			waiting.Go(func() {
				defer func() { <-tokens }()
				s.askTCP(ctx, c, packet, from)
			})
		case silence:
			return
		}
		if err != nil {
			return
		}
	}
}

// maxQuery is how many octets a query may have, over UDP too.
const maxQuery = 4096

// readTCP reads one message. Room for a longer one than a query is not made.
func readTCP(r *bufio.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint16(length[:])
	if n > maxQuery {
		return nil, errors.New("too long for a query")
	}
	packet := make([]byte, n)
	_, err := io.ReadFull(r, packet)
	return packet, err
}

func (s *Server) askTCP(ctx context.Context, c *stream, packet []byte, from netip.Addr) {
	var answer []byte
	if s.forward.enter() {
		defer s.forward.leave()
		answer = s.askUpstream(ctx, packet, from, false)
	} else {
		answer = s.busy(newWorker(), packet, from, false)
	}
	if answer != nil {
		c.send(answer, true)
	}
}
