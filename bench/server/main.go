// Command server is the program that the comparison measures, the same one on
// every target: an ordinary net/http server with a CPU-bound handler, and a UDP
// echo. It knows nothing about where it runs.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
)

// maxRounds bounds /work, so that a request can't hold a CPU for long.
const maxRounds = 1 << 20

func main() {
	web := flag.String("http", ":8080", "address of the web server")
	echo := flag.String("udp", ":9000", "address of the UDP echo")
	flag.Parse()
	conn, err := net.ListenPacket("udp", *echo)
	if err != nil {
		log.Fatal(err)
	}
	go answer(conn)
	http.HandleFunc("/", hello)
	http.HandleFunc("/work", work)
	log.Fatal(http.ListenAndServe(*web, nil))
}

func hello(w http.ResponseWriter, _ *http.Request) {
	io.WriteString(w, "Hello, world\n")
}

// work hashes a block of 4 KiB n times, each time with the hash before it, and
// answers the last hash.
func work(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil || n < 1 || n > maxRounds {
		http.Error(w, fmt.Sprintf("n must be 1 to %d", maxRounds), http.StatusBadRequest)
		return
	}
	block := make([]byte, 4096)
	for range n {
		sum := sha256.Sum256(block)
		copy(block, sum[:])
	}
	io.WriteString(w, hex.EncodeToString(block[:sha256.Size])+"\n")
}

// answer sends each datagram back to where it came from.
func answer(conn net.PacketConn) {
	buf := make([]byte, 65535)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			log.Fatal(err)
		}
		conn.WriteTo(buf[:n], from) // a datagram that can't be sent is lost, as UDP may
	}
}
