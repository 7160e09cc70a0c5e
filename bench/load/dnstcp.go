package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// rateTCP asks over d.Clients connections.
func (d DNS) rateTCP(ctx context.Context, rate float64, length time.Duration) (Outcome, error) {
	p := pool{fresh: d.Close}
	for i := range d.Clients {
		p.askers = append(p.askers, &tcpClient{DNS: d, next: i})
	}
	return p.rate(ctx, rate, length)
}

// tcpClient is one connection's client (RFC 1035, section 4.2.2).
type tcpClient struct {
	DNS
	conn net.Conn // nil before the first and after an error
	next int      // question
	id   uint16
	in   []byte
}

func (c *tcpClient) connected() bool { return c.conn != nil }

func (c *tcpClient) aborter() func() {
	conn := c.conn
	return func() { conn.Close() }
}

func (c *tcpClient) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *tcpClient) dial(ctx context.Context) error {
	conn, err := dialOnce(ctx, c.To, c.Close)
	if err == nil {
		c.conn = conn
	}
	return err
}

func (c *tcpClient) ask(deadline time.Time) error {
	if err := c.conn.SetDeadline(deadline); err != nil {
		return err
	}
	q := c.Questions[c.next%len(c.Questions)]
	c.next++
	c.id++
	message := binary.BigEndian.AppendUint16(nil, uint16(len(q.wire)))
	message = append(message, q.wire...)
	binary.BigEndian.PutUint16(message[2:], c.id)
	if _, err := c.conn.Write(message); err != nil {
		return err
	}
	answer, err := c.read()
	if err != nil {
		return err
	}
	if len(answer) < 2 || !bytes.Equal(answer[:2], message[2:4]) {
		return wrongAnswer{fmt.Errorf("%s: an answer of %d octets with another ID", q.Name, len(answer))}
	}
	if err := q.check(answer); err != nil {
		return wrongAnswer{err}
	}
	return nil
}

// read reads one message; it is good until the next.
func (c *tcpClient) read() ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(c.conn, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if cap(c.in) < n {
		c.in = make([]byte, n)
	}
	c.in = c.in[:n]
	_, err := io.ReadFull(c.conn, c.in)
	return c.in, err
}
