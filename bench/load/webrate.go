package load

import (
	"bytes"
	"context"
	"crypto/tls"
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
	p := pool{fresh: w.Close}
	for range w.Conns {
		p.askers = append(p.askers, &webClient{Web: w})
	}
	return p.rate(ctx, rate, length)
}

// webClient is one connection's client.
type webClient struct {
	Web
	conn *client // nil before the first and after an error
	end  func()  // closes conn
	body bytes.Buffer
}

func (c *webClient) connected() bool { return c.conn != nil }

func (c *webClient) aborter() func() { return c.end }

func (c *webClient) close() {
	if c.conn != nil {
		c.end()
		c.conn = nil
	}
}

func (c *webClient) dial(ctx context.Context) error {
	conn, err := dialOnce(ctx, c.To, c.Close)
	if err != nil {
		return err
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

// dialOnce connects. The port of a connection that is for one request only is free
// again as it is closed: ports that wait for a minute (TIME-WAIT) after each request
// would soon be all that there are.
func dialOnce(ctx context.Context, to netip.AddrPort, once bool) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", to.String())
	if err == nil && once {
		conn.(*net.TCPConn).SetLinger(0)
	}
	return conn, err
}

// ask asks once.
func (c *webClient) ask(deadline time.Time) error {
	if err := c.conn.conn.SetDeadline(deadline); err != nil {
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
