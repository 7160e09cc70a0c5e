package flood

import (
	"context"
	"math/rand/v2"
	"net"
	"strings"
)

// badRequests are heads that RFC 9112 forbids, or that a server must bound.
var badRequests = []string{
	"\r\n\r\n",
	"GET\r\n\r\n",
	"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.1\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
	"GET  /  HTTP/1.1\r\nHost: x\r\n\r\n",
	"G\x00T / HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /%zz%00/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nzz\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
	"GET / HTTP/1.1\r\nHost: x\r\n folded\r\nName with space: 1\r\n\r\n",
	"GET / HTTP/1.1\nHost: x\n: empty\n\n",
	"GET /" + strings.Repeat("a", 1<<14) + " HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Many: 1\r\n", 2000) + "\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\xff\xff\x04\x00\x00\x00\x00\x00",
	"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}

// badQueries are DNS messages that RFC 1035 has no place for.
var badQueries = []string{
	"",
	"\x00",
	"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00",                                                       // a header cut short
	"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00",                                                   // a question that isn't there
	"\x12\x34\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff",                                                   // 65,535 of everything
	"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01",                           // a name that points to itself
	"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\xff\x00\x01\x00\x01",                           // ... beyond the message
	"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x3f" + "abc",                                       // a label longer than the message
	"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x80a\x00\x00\x01\x00\x01",                          // a label of a kind that isn't
	"\x12\x34\x80\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01",                          // an answer
	"\x12\x34\x78\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01",                          // operation 15
	"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01\x01a\x00\x00\x01\x00\x01\x00\x00\x29\xff\xff",      // OPT cut short
	"\x12\x34\x28\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x06\x00\x01",             // an update
	"\x12\x34\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01\x01b\x00\x00\x01\x00\x01", // two questions
	"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00" + "\x3f" + // a name of more than 255 bytes
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x3faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" +
		"\x3faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x3faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" +
		"\x3faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x00\x00\x01\x00\x01",
}

// bad chooses a bad message, and damages it further half of the time.
func bad(random *rand.Rand, all []string) []byte {
	message := []byte(all[random.IntN(len(all))])
	if len(message) == 0 || random.IntN(2) == 0 {
		return message
	}
	for range 1 + random.IntN(4) {
		message[random.IntN(len(message))] = byte(random.Uint32())
	}
	return message[:1+random.IntN(len(message))]
}

// malformed sends bad messages: each in a datagram, or over a connection of its own
// that is reset when the server has answered or not.
func malformed(ctx context.Context, a *attack) error {
	random := a.random()
	if a.Protocol == DNS {
		return a.datagrams(ctx, func() []byte { return bad(random, badQueries) })
	}
	return a.each(ctx, func() []byte { return bad(random, badRequests) })
}

// each sends every message over a connection of its own, at most a.Conns at a time.
func (a *attack) each(ctx context.Context, next func() []byte) error {
	slots := make(chan struct{}, a.Conns)
	a.pace(ctx, func() {
		select {
		case slots <- struct{}{}:
		default:
			return
		}
		message := next()
		go func() {
			defer func() { <-slots }()
			if conn := a.dial(ctx); conn != nil {
				a.say(conn, message)
			}
		}()
	})
	for range a.Conns { // until all have ended
		slots <- struct{}{}
	}
	return nil
}

// say sends a message and hears the beginning of an answer, if there is one.
func (a *attack) say(conn net.Conn, message []byte) {
	defer reset(conn)
	if _, err := conn.Write(message); err != nil {
		return
	}
	a.sent.Add(1)
	conn.(*net.TCPConn).CloseWrite() // a server that waits for more learns that none comes
	conn.Read(make([]byte, 512))
}
