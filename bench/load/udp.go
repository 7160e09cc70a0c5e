package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// udpLost is how long a datagram's answer may take before it counts as lost
// and another one goes out in its place.
const udpLost = 200 * time.Millisecond

// datagram is the size of what is echoed, in bytes: about a DNS query.
const datagram = 64

// UDP sends datagrams to an echo over several sockets in a closed loop, with
// window of them on the way at a time for each socket.
func UDP(ctx context.Context, to netip.AddrPort, sockets, inFlight int, s Span) (Result, error) {
	w := s.start()
	tallies := make([]tally, sockets)
	failed := make([]error, sockets)
	each(sockets, func(i int) {
		tallies[i].latency = newHistogram()
		failed[i] = udpLoop(ctx, to, inFlight, w, &tallies[i])
	})
	return udpResult(ctx, to, sum(w, tallies), failed)
}

func udpResult(ctx context.Context, to netip.AddrPort, r Result, failed []error) (Result, error) {
	err := errors.Join(append(failed, ctx.Err())...)
	if err == nil && r.Answered == 0 {
		err = fmt.Errorf("no answer from the UDP echo at %v", to)
	}
	return r, err
}

// stamp puts the time into a datagram, and sent takes it out of its echo.
func stamp(b []byte, t time.Time) { binary.LittleEndian.PutUint64(b, uint64(t.UnixNano())) }

func sent(b []byte) time.Time { return time.Unix(0, int64(binary.LittleEndian.Uint64(b))) }

func udpLoop(ctx context.Context, to netip.AddrPort, inFlight int, w window, t *tally) error {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return err
	}
	defer conn.Close()
	out, in := make([]byte, datagram), make([]byte, 2*datagram)
	due := inFlight
	for ctx.Err() == nil && time.Now().Before(w.to) {
		for ; due > 0; due-- {
			stamp(out, time.Now())
			if _, err := conn.Write(out); err != nil {
				time.Sleep(time.Millisecond) // refused or no buffer: it counts as lost
			}
		}
		if err := conn.SetReadDeadline(time.Now().Add(udpLost)); err != nil {
			return err
		}
		n, err := conn.Read(in)
		now := time.Now()
		switch {
		case err != nil: // all that were on the way are lost
			due = inFlight
			if !isTimeout(err) {
				time.Sleep(time.Millisecond) // refused: nobody listens yet
			}
			if w.holds(now) {
				t.errors += int64(inFlight)
			}
		case n != datagram:
			return fmt.Errorf("UDP echo of %d bytes has %d", datagram, n)
		default:
			due++
			if w.holds(now) {
				t.record(now.Sub(sent(in)))
			}
		}
	}
	return nil
}

// UDPOpen sends datagrams at a fixed rate (per second), spread over several
// sockets, whatever comes back. Offered is what was really sent.
func UDPOpen(ctx context.Context, to netip.AddrPort, sockets int, rate float64, s Span) (Result, error) {
	w := s.start()
	conns := make([]*net.UDPConn, sockets)
	for i := range conns {
		c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
		if err != nil {
			return Result{}, err
		}
		defer c.Close()
		if err := c.SetReadDeadline(w.to.Add(udpLost)); err != nil {
			return Result{}, err
		}
		conns[i] = c
	}
	tallies := make([]tally, sockets+1)
	failed := make([]error, sockets)
	go udpPace(ctx, conns, rate, w, &tallies[sockets])
	each(sockets, func(i int) {
		tallies[i].latency = newHistogram()
		failed[i] = udpCount(conns[i], w, &tallies[i])
	})
	r := sum(w, tallies)
	r.Offered -= r.Answered // what was sent is in the last tally alone
	r.Errors = int64((r.Offered - r.Answered) * w.seconds())
	return udpResult(ctx, to, r, failed)
}

func udpPace(ctx context.Context, conns []*net.UDPConn, rate float64, w window, t *tally) {
	out := make([]byte, datagram)
	i := 0
	Pace(ctx, rate, time.Now(), w.to, func(time.Time) {
		now := time.Now()
		stamp(out, now)
		i++
		if w.holds(now) {
			t.offered++
		}
		conns[i%len(conns)].Write(out) // a datagram that can't be sent is lost
	})
}

// udpCount counts the echoes of what was sent within the window, until the
// read deadline.
func udpCount(conn *net.UDPConn, w window, t *tally) error {
	in := make([]byte, 2*datagram)
	for {
		n, err := conn.Read(in)
		if isTimeout(err) {
			return nil
		}
		if err != nil {
			time.Sleep(time.Millisecond) // refused: nobody listens yet
			continue
		}
		if n != datagram {
			return fmt.Errorf("UDP echo of %d bytes has %d", datagram, n)
		}
		if at := sent(in); w.holds(at) {
			t.record(time.Since(at))
		}
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}
