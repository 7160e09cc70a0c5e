package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// client is one HTTP/1.1 connection that stays open.
type client struct {
	conn    net.Conn
	in      *bufio.Reader
	request []byte
}

func newClient(conn net.Conn, path string) *client {
	request := "GET " + path + " HTTP/1.1\r\nHost: " + conn.RemoteAddr().String() + "\r\n\r\n"
	return &client{conn, bufio.NewReader(conn), []byte(request)}
}

// get asks once and reads the whole answer, which must be a 200 with a
// Content-Length.
func (c *client) get(deadline time.Time) error {
	if err := c.conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	return readAnswer(c.in, io.Discard)
}

// readAnswer writes the answer's body to body.
func readAnswer(in *bufio.Reader, body io.Writer) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return wrongAnswer{fmt.Errorf("answer %q", bytes.TrimSpace(line))}
	}
	length := -1
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if !bytes.EqualFold(name, []byte("Content-Length")) {
			continue
		}
		if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil || length < 0 {
			return errors.New("answer with a bad Content-Length")
		}
	}
	if length < 0 {
		return errors.New("answer without Content-Length")
	}
	_, err = io.CopyN(body, in, int64(length))
	return err
}

// HTTP asks for path over conns connections in a closed loop. A connection that
// fails is an error and is made again.
func HTTP(ctx context.Context, to netip.AddrPort, path string, conns int, s Span) (Result, error) {
	w := s.start()
	tallies := make([]tally, conns)
	each(conns, func(i int) {
		tallies[i].latency = newHistogram()
		for ctx.Err() == nil && time.Now().Before(w.to) {
			httpLoop(ctx, to, path, w, &tallies[i])
		}
	})
	r := sum(w, tallies)
	if r.Answered == 0 {
		return r, errors.Join(fmt.Errorf("no answer from http://%v%s", to, path), ctx.Err())
	}
	return r, ctx.Err()
}

// httpLoop asks over one connection until the window or the connection ends.
func httpLoop(ctx context.Context, to netip.AddrPort, path string, w window, t *tally) {
	conn, err := dial(ctx, "tcp", to, w.to)
	if err != nil {
		return
	}
	defer conn.Close()
	c := newClient(conn, path)
	for ctx.Err() == nil {
		begin := time.Now()
		if !begin.Before(w.to) {
			return
		}
		err := c.get(begin.Add(patience))
		end := time.Now()
		if !w.holds(end) {
			if err != nil {
				return
			}
			continue
		}
		if err != nil {
			t.errors++
			return
		}
		t.record(end.Sub(begin))
	}
}

// HTTPOpen asks for path at a fixed rate (per second) over at most conns
// connections, whatever the answers do. A request for which no connection is
// free is an error at once, and one that is not answered within limit, too:
// there is no queue in front of the connections, in which all requests would
// grow old alike. Latency counts from the time at which a request was due.
func HTTPOpen(ctx context.Context, to netip.AddrPort, path string, conns int, rate float64, limit time.Duration, s Span) (Result, error) {
	w := s.start()
	due := make(chan time.Time)
	tallies := make([]tally, conns+1)
	go func() {
		defer close(due)
		Pace(ctx, rate, time.Now(), w.to, func(at time.Time) {
			select {
			case due <- at:
			default: // no connection is free
				if w.holds(at) {
					tallies[conns].errors++
				}
			}
		})
	}()
	each(conns, func(i int) {
		tallies[i].latency = newHistogram()
		openClient(ctx, to, path, w, limit, due, &tallies[i])
	})
	r := sum(w, tallies)
	if r.Answered == 0 {
		return r, errors.Join(fmt.Errorf("no answer from http://%v%s", to, path), ctx.Err())
	}
	return r, ctx.Err()
}

// openClient serves what is due over one connection, which it makes when it
// needs it and again when it failed.
func openClient(ctx context.Context, to netip.AddrPort, path string, w window, limit time.Duration, due <-chan time.Time, t *tally) {
	var c *client
	defer func() {
		if c != nil {
			c.conn.Close()
		}
	}()
	for at := range due {
		var err error
		c, err = openGet(ctx, c, to, path, at.Add(limit))
		end := time.Now()
		switch {
		case !w.holds(at):
		case err != nil:
			t.errors++
		default:
			t.record(end.Sub(at))
		}
	}
}

// openGet asks once over c, or over a new connection if c is nil. It returns
// the connection to go on with: nil after an error.
func openGet(ctx context.Context, c *client, to netip.AddrPort, path string, deadline time.Time) (*client, error) {
	if c == nil {
		conn, err := dial(ctx, "tcp", to, deadline)
		if err != nil {
			return nil, err
		}
		c = newClient(conn, path)
	}
	if err := c.get(deadline); err != nil {
		return nil, errors.Join(err, c.conn.Close())
	}
	return c, nil
}

// Pace calls send at a fixed rate (per second) from begin until end, in bursts of
// what is due each millisecond. What was due before it could be sent is sent late,
// not left out.
func Pace(ctx context.Context, rate float64, begin, end time.Time, send func(due time.Time)) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	n := 0
	due := func() time.Time { return begin.Add(time.Duration(float64(n) * float64(time.Second) / rate)) }
	for next := due(); ctx.Err() == nil && next.Before(end); {
		for now := time.Now(); !next.After(now) && next.Before(end); next = due() {
			send(next)
			n++
		}
		<-tick.C
	}
}
