package usernet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"

	"pith"
)

// publish carries what comes to a port of the host to the machine.
func (n *Network) publish(p pith.Port) error {
	if p.Protocol == "udp" {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(p.Host))
		if err != nil {
			return fmt.Errorf("%s/udp can't be published: %w", p.Host, err)
		}
		n.keep(conn)
		go n.clients(conn, p.Guest)
		return nil
	}
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(p.Host))
	if err != nil {
		return fmt.Errorf("%s/tcp can't be published: %w", p.Host, err)
	}
	n.keep(l)
	go func() {
		for {
			conn, err := l.AcceptTCP()
			if err != nil {
				return
			}
			go n.inwards(conn, p.Guest)
		}
	}()
	return nil
}

// inwards connects a client of the host to the machine.
func (n *Network) inwards(client *net.TCPConn, port uint16) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	conn, err := gonet.DialContextTCP(ctx, n.stack, guest(port), ipv4.ProtocolNumber)
	if err != nil {
		client.SetLinger(0) // the client sees a reset, as from a closed port
		client.Close()
		return
	}
	n.join(conn, client)
}

// clients gives each client of a published UDP port a flow of its own.
func (n *Network) clients(conn *net.UDPConn, port uint16) {
	var mu sync.Mutex
	flows := map[netip.AddrPort]net.Conn{}
	buf := make([]byte, maxDatagram)
	for {
		size, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		mu.Lock()
		flow := flows[from]
		mu.Unlock()
		if flow == nil {
			to := guest(port)
			flow, err = gonet.DialUDP(n.stack, nil, &to, ipv4.ProtocolNumber)
			if err != nil {
				continue
			}
			mu.Lock()
			flows[from] = flow
			mu.Unlock()
			go func() {
				n.answers(conn, from, flow)
				mu.Lock()
				delete(flows, from)
				mu.Unlock()
			}()
		}
		flow.Write(buf[:size]) // datagrams may be lost
	}
}

// answers brings the machine's datagrams back to one client until it is quiet.
func (n *Network) answers(conn *net.UDPConn, to netip.AddrPort, flow net.Conn) {
	n.keep(flow)
	defer n.drop(flow)
	buf := make([]byte, maxDatagram)
	for {
		size, err := readFlow(flow, buf)
		if err != nil {
			return
		}
		conn.WriteToUDPAddrPort(buf[:size], to)
	}
}
