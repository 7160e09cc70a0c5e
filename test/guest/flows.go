package main

import (
	"encoding/binary"
	"net"
	"strconv"
)

// flows serves many flows at once: pages on TCP port 80, an echo on UDP port 7, and on
// UDP port 9 as many numbered datagrams as are asked for, as fast as they go.
func flows() {
	echo, err := net.ListenPacket("udp", ":7")
	check(err)
	go each(echo, func(from net.Addr, asked []byte) { echo.WriteTo(asked, from) })
	flood, err := net.ListenPacket("udp", ":9")
	check(err)
	go each(flood, func(from net.Addr, asked []byte) {
		n, err := strconv.ParseUint(string(asked), 10, 32)
		check(err)
		go pour(flood, from, uint32(n))
	})
	serve()
}

func each(conn net.PacketConn, answer func(from net.Addr, asked []byte)) {
	for buf := make([]byte, 2048); ; {
		n, from, err := conn.ReadFrom(buf)
		check(err)
		answer(from, buf[:n])
	}
}

func pour(conn net.PacketConn, to net.Addr, count uint32) {
	text := make([]byte, 64)
	for i := range count {
		binary.BigEndian.PutUint32(text, i)
		_, err := conn.WriteTo(text, to)
		check(err)
	}
}
