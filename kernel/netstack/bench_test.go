package netstack_test

import (
	"net/netip"
	"syscall"
	"testing"

	"pith/kernel/link/linktest"
	"pith/kernel/socket"
	"pith/kernel/socket/sockettest"
)

// waiter parks a goroutine until an endpoint is told something.
type waiter chan struct{}

func watch(e socket.Endpoint) waiter {
	w := make(waiter, 1)
	e.Notify(func(socket.Readiness) {
		select {
		case w <- struct{}{}:
		default:
		}
	})
	return w
}

func benchPair(b *testing.B, o linktest.Options) (client, server sockettest.Node) {
	return pairOver(o)(b, linktest.Conditions{})
}

// stop ends a serving goroutine at the end of a benchmark.
func serve(b *testing.B, e socket.Endpoint, answer func(w waiter, stop chan struct{})) {
	stop, done := make(chan struct{}), make(chan struct{})
	w := watch(e)
	go func() {
		answer(w, stop)
		close(done)
	}()
	b.Cleanup(func() {
		close(stop)
		<-done
		e.Close()
	})
}

// echo answers datagrams, or bytes of a connection.
func echo(e socket.Endpoint, w waiter, stop chan struct{}) {
	p := make([]byte, 2048)
	for {
		n, _, _, from, code := e.Receive(p, nil, 0)
		if code == 0 {
			e.Send(p[:n], nil, from, 0)
			continue
		}
		select {
		case <-w:
		case <-stop:
			return
		}
	}
}

// receive waits for the next bytes.
func receive(b *testing.B, e socket.Endpoint, w waiter, p []byte) int {
	for {
		n, _, _, _, code := e.Receive(p, nil, 0)
		if code == 0 {
			return n
		}
		if code != syscall.EAGAIN {
			b.Fatal(code)
		}
		<-w
	}
}

// BenchmarkUDPEcho is one datagram of 64 bytes there and back: four passes
// through the stack and two over the cable.
func BenchmarkUDPEcho(b *testing.B) {
	near, far := benchPair(b, linktest.Options{Features: offloads})
	server, _ := far.Stack.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	server.Bind(netip.AddrPortFrom(far.V4, 7))
	serve(b, server, func(w waiter, stop chan struct{}) { echo(server, w, stop) })
	client, _ := near.Stack.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	client.Connect(netip.AddrPortFrom(far.V4, 7))
	w := watch(client)
	p := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, code := client.Send(p, nil, netip.AddrPort{}, 0); code != 0 {
			b.Fatal(code)
		}
		receive(b, client, w, p)
	}
	client.Close()
}

// connect opens a connection from near to far.
func connect(b *testing.B, near, far sockettest.Node) (client, server socket.Endpoint, w waiter) {
	l, _ := far.Stack.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	l.Bind(netip.AddrPortFrom(far.V4, 80))
	l.Listen(16)
	lw := watch(l)
	client, _ = near.Stack.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	w = watch(client)
	client.Connect(netip.AddrPortFrom(far.V4, 80))
	for {
		s, _, code := l.Accept()
		if code == 0 {
			server = s
			break
		}
		<-lw
	}
	for client.Readiness()&syscall.EPOLLOUT == 0 {
		<-w
	}
	for _, e := range []socket.Endpoint{client, server} {
		e.SetOption(syscall.IPPROTO_TCP, syscall.TCP_NODELAY, []byte{1, 0, 0, 0})
	}
	l.Close()
	return client, server, w
}

// BenchmarkTCPRequest is 64 bytes there and back on one connection.
func BenchmarkTCPRequest(b *testing.B) {
	near, far := benchPair(b, linktest.Options{Features: offloads})
	client, server, w := connect(b, near, far)
	serve(b, server, func(w waiter, stop chan struct{}) { echo(server, w, stop) })
	p := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, code := client.Send(p, nil, netip.AddrPort{}, 0); code != 0 {
			b.Fatal(code)
		}
		receive(b, client, w, p)
	}
	client.Close()
}

// BenchmarkTCPStream is 64 KiB one way.
func BenchmarkTCPStream(b *testing.B) {
	near, far := benchPair(b, linktest.Options{Features: offloads, Merge: true})
	client, server, w := connect(b, near, far)
	const chunk = 64 << 10
	serve(b, server, func(w waiter, stop chan struct{}) {
		p := make([]byte, chunk)
		for {
			if _, _, _, _, code := server.Receive(p, nil, 0); code == 0 {
				continue
			}
			select {
			case <-w:
			case <-stop:
				return
			}
		}
	})
	p := make([]byte, chunk)
	b.SetBytes(chunk)
	b.ReportAllocs()
	for b.Loop() {
		for rest := p; len(rest) > 0; {
			n, code := client.Send(rest, nil, netip.AddrPort{}, 0)
			if code == syscall.EAGAIN {
				<-w
				continue
			}
			if code != 0 {
				b.Fatal(code)
			}
			rest = rest[n:]
		}
	}
	client.Close()
}
