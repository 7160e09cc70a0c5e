package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Web is a load of requests for one page.
type Web struct {
	To    netip.AddrPort
	Path  string
	Body  []byte // the right answer
	Conns int    // connections at a time
	Close bool   // a new connection for every request
	TLS   bool   // any certificate is taken
}

// Rate asks at a fixed rate (per second) for length, over w.Conns connections. A
// request for which no connection is free waits, and its latency counts from
// when it was due. When ctx ends, the outcome is that of what was asked until
// then, with ctx's error.
func (w Web) Rate(ctx context.Context, rate float64, length time.Duration) (Outcome, error) {
	clients := make([]*webClient, w.Conns)
	scores := newScores(w.Conns)
	for i := range clients {
		clients[i] = &webClient{Web: w, score: &scores[i]}
		defer clients[i].close()
	}
	w.connect(ctx, clients)

	watch := &watch{begin: time.Now()}
	end := watch.begin.Add(length)
	running, giveUp := context.WithCancel(ctx)
	defer giveUp()
	go watch.guard(running, giveUp)
	queue := make(chan time.Time, int(rate*length.Seconds())+1)
	go func() {
		defer close(queue)
		Pace(running, rate, end, func(due time.Time) {
			watch.due.Add(1)
			queue <- due
		})
	}()
	each(len(clients), func(i int) {
		if err := clients[i].serve(running, queue, end.Add(grace), watch); err != nil {
			watch.fail(err, giveUp)
		}
	})
	err := watch.failure(ctx)
	return watch.outcome(scores, running.Err() != nil && err == nil), err
}

// connect makes the first connections before the clock starts. One that fails is
// made again, and its time counts.
func (w Web) connect(ctx context.Context, clients []*webClient) {
	if w.Close {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	each(len(clients), func(i int) { clients[i].dial(ctx) })
}

// webClient is one connection's client.
type webClient struct {
	Web
	conn  *client // nil before the first and after an error
	end   func()  // closes conn
	body  bytes.Buffer
	score *score
}

func (c *webClient) close() {
	if c.conn != nil {
		c.end()
		c.conn = nil
	}
}

func (c *webClient) dial(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.To.String())
	if err != nil {
		return err
	}
	if c.Close {
		// A port that waits for a minute (TIME-WAIT) after each request would
		// soon be the last one.
		conn.(*net.TCPConn).SetLinger(0)
	}
	if c.TLS {
		secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // a self-made one, in the lab
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return err
		}
		conn = secure
	}
	c.conn, c.end = newClient(conn, c.Path), func() { conn.Close() }
	return nil
}

// serve asks what is due, until the queue or the time has ended. An error is of
// this side's.
func (c *webClient) serve(ctx context.Context, queue <-chan time.Time, end time.Time, w *watch) error {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	for due := range queue {
		if err := c.connected(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		hurry := context.AfterFunc(ctx, c.end)
		err := c.ask(end)
		hurry()
		switch {
		case err == nil:
			c.score.right(time.Since(due))
			w.sawAnswer()
		case errors.As(err, new(wrongAnswer)):
			c.score.wrong++
			w.sawAnswer()
			w.sawWrong(err)
		}
		if err != nil || c.Close {
			c.close()
		}
	}
	return nil
}

// connected connects if need be, again and again while the other side does not
// take it.
func (c *webClient) connected(ctx context.Context) error {
	for ctx.Err() == nil {
		if c.conn != nil {
			return nil
		}
		switch err := c.dial(ctx); {
		case err == nil:
			return nil
		case noPorts(err):
			return ErrNoPorts
		}
		pause(ctx, 10*time.Millisecond)
	}
	return ctx.Err()
}

// wrongAnswer is an answer that is not the right one.
type wrongAnswer struct{ error }

// ask asks once. After an error the connection is of no use.
func (c *webClient) ask(end time.Time) error {
	if err := c.conn.conn.SetDeadline(earlier(end, time.Now().Add(silence))); err != nil {
		return err
	}
	if _, err := c.conn.conn.Write(c.conn.request); err != nil {
		return err
	}
	c.body.Reset()
	if err := readAnswer(c.conn.in, &c.body); err != nil {
		return err
	}
	if !bytes.Equal(c.body.Bytes(), c.Body) {
		return wrongAnswer{fmt.Errorf("a body of %d octets that is not the page's %d", c.body.Len(), len(c.Body))}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
