package usernet

import (
	"io"
	"net"
	"sync"
	"time"
)

const (
	maxDatagram = 64 << 10
	quiet       = 2 * time.Minute // a flow of datagrams ends when nothing came for so long
)

// stream is a connection whose directions end one by one.
type stream interface {
	net.Conn
	CloseWrite() error
}

// join copies between two connections until both directions have ended.
func (n *Network) join(a, b stream) {
	n.keep(a)
	n.keep(b)
	defer n.drop(a)
	defer n.drop(b)
	var both sync.WaitGroup
	both.Go(func() { pass(a, b) })
	both.Go(func() { pass(b, a) })
	both.Wait()
}

// pass copies one direction. One that breaks takes the other with it.
func pass(to, from stream) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	to.CloseWrite()
}

// exchange copies datagrams both ways until nothing came for a while.
func (n *Network) exchange(a, b net.Conn) {
	n.keep(a)
	n.keep(b)
	defer n.drop(a)
	defer n.drop(b)
	go datagrams(b, a)
	datagrams(a, b)
}

func datagrams(to, from net.Conn) {
	buf := make([]byte, maxDatagram)
	for {
		size, err := readFlow(from, buf)
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:size]); err != nil {
			return
		}
	}
}

func readFlow(from net.Conn, buf []byte) (int, error) {
	from.SetReadDeadline(time.Now().Add(quiet))
	return from.Read(buf)
}
