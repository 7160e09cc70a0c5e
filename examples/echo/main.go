// Command echo sends back what it receives, on TCP and UDP port 7 (RFC 862).
package main

import (
	"io"
	"log"
	"net"
)

func main() {
	packets, err := net.ListenPacket("udp", ":7")
	if err != nil {
		log.Fatal(err)
	}
	streams, err := net.Listen("tcp", ":7")
	if err != nil {
		log.Fatal(err)
	}
	go echoPackets(packets)
	for {
		c, err := streams.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() { defer c.Close(); io.Copy(c, c) }()
	}
}

func echoPackets(conn net.PacketConn) {
	buf := make([]byte, 65535)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			log.Fatal(err)
		}
		conn.WriteTo(buf[:n], from)
	}
}
