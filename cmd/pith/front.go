package main

import (
	"io"
	"net"
	"net/netip"
	"sync"

	"pith"
	"pith/machine"
)

// front is a published port that outlives the machines behind it.
type front struct {
	port     pith.Port
	listener net.Listener

	mu     sync.Mutex
	behind netip.AddrPort // the newest machine's own port; invalid before the first
	first  chan struct{}  // closed when there is one
}

func openFront(p pith.Port) (*front, error) {
	if p.Protocol != machine.TCP {
		return nil, pith.Errorf("pith dev publishes tcp ports only, not %s", machine.FormatPort(p))
	}
	l, err := net.Listen("tcp", p.Host.String())
	if err != nil {
		return nil, pith.Errorf("%s can't be published: %w", machine.FormatPort(p), err)
	}
	f := &front{port: p, listener: l, first: make(chan struct{})}
	go f.serve()
	return f, nil
}

// lead sends connections to another machine from now on.
func (f *front) lead(to netip.AddrPort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.behind.IsValid() {
		close(f.first)
	}
	f.behind = to
}

func (f *front) serve() {
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		go f.join(conn)
	}
}

// join brings one connection to the machine. It waits for the first one.
func (f *front) join(conn net.Conn) {
	defer conn.Close()
	<-f.first
	f.mu.Lock()
	to := f.behind
	f.mu.Unlock()
	back, err := net.Dial("tcp", to.String())
	if err != nil {
		return // the machine has ended: so does the connection
	}
	defer back.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		half(back, conn)
	}()
	half(conn, back)
	<-done
}

// half copies one direction, and its end.
func half(to, from net.Conn) {
	io.Copy(to, from)
	if t, ok := to.(*net.TCPConn); ok {
		t.CloseWrite()
	}
}

func (f *front) close() { f.listener.Close() }
