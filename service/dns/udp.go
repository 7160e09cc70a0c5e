package dns

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// serveUDP starts as many readers of one socket as there are CPUs.
func (s *Server) serveUDP(ctx context.Context, conn *net.UDPConn, work *sync.WaitGroup) {
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() { s.readUDP(ctx, conn, work) })
	}
}

// readUDP answers packets one after the other.
func (s *Server) readUDP(ctx context.Context, conn *net.UDPConn, work *sync.WaitGroup) {
	w := newWorker()
	packet := make([]byte, maxQuery)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(packet)
		if err != nil && ctx.Err() != nil {
			return // when the server ends, it answers what has come
		}
		if err != nil {
			time.Sleep(time.Millisecond) // an ICMP error of an earlier answer, or worse
			continue
		}
		answer, do := s.serve(w, packet[:n], from.Addr(), true)
		switch do {
		case respond:
			conn.WriteToUDPAddrPort(answer, from)
		case ask:
			s.askUDP(ctx, conn, append([]byte(nil), packet[:n]...), from, work)
		}
	}
}

// askUDP forwards a query, if there aren't too many already.
func (s *Server) askUDP(ctx context.Context, conn *net.UDPConn, packet []byte, from netip.AddrPort, work *sync.WaitGroup) {
	if !s.forward.enter() {
		w := newWorker()
		if answer := s.busy(w, packet, from.Addr(), true); answer != nil {
			conn.WriteToUDPAddrPort(answer, from)
		}
		return
	}
	work.Go(func() {
		defer s.forward.leave()
		if answer := s.askUpstream(ctx, packet, from.Addr(), true); answer != nil {
			conn.WriteToUDPAddrPort(answer, from)
		}
	})
}
