package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// DNS is a load of queries, over UDP or TCP.
type DNS struct {
	To        netip.AddrPort
	Questions []Question
	Clients   int  // sockets, or connections
	TCP       bool // one query at a time on each connection
	Close     bool // a new connection for every query
}

// Rate asks at a fixed rate (per second) for length, each client in turn. When ctx
// ends, the outcome is that of what was asked until then, with ctx's error.
func (d DNS) Rate(ctx context.Context, rate float64, length time.Duration) (Outcome, error) {
	if d.TCP {
		return d.rateTCP(ctx, rate, length)
	}
	scores := newScores(d.Clients)
	clients := make([]*dnsClient, d.Clients)
	for i := range clients {
		conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(d.To))
		if noPorts(err) {
			return Outcome{}, ErrNoPorts
		}
		if err != nil {
			return Outcome{}, err
		}
		defer conn.Close()
		clients[i] = &dnsClient{conn: conn, questions: d.Questions, score: &scores[i], known: make([][]byte, len(d.Questions)), asked: map[uint16]asked{}}
	}
	watch := &watch{begin: time.Now()}
	end := watch.begin.Add(length)
	running, giveUp := context.WithCancel(ctx)
	defer giveUp()
	go watch.guard(running, giveUp)
	go func() {
		n := 0
		Pace(running, rate, watch.begin, end, func(due time.Time) {
			watch.due.Add(1)
			clients[n%len(clients)].send(n%len(d.Questions), due)
			n++
		})
		watch.asked.Store(true)
	}()
	each(len(clients), func(i int) { clients[i].receive(running, end, watch) })
	silent := running.Err() != nil && ctx.Err() == nil
	return watch.outcome(scores, silent), ctx.Err()
}

// Ask asks the first question once and waits for its right answer until ctx
// ends, asking again every few milliseconds.
func (d DNS) Ask(ctx context.Context) (time.Time, error) {
	last := errors.New("no answer")
	for ctx.Err() == nil {
		err := d.ask(ctx)
		if err == nil {
			return time.Now(), nil
		}
		if ctx.Err() == nil {
			last = err
		}
	}
	return time.Time{}, fmt.Errorf("DNS at %v: %w", d.To, last)
}

// askLife is how long one try waits for its answer.
const askLife = 5 * time.Millisecond

func (d DNS) ask(ctx context.Context) error {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(d.To))
	if err != nil {
		return err
	}
	defer conn.Close()
	// All tries share a socket: the answer to an earlier one, of a slow server,
	// is as good.
	in := make([]byte, 4096)
	for ctx.Err() == nil {
		if _, err := conn.Write(d.Questions[0].wire); err != nil {
			pause(ctx, askLife)
			continue
		}
		if err := conn.SetReadDeadline(time.Now().Add(askLife)); err != nil {
			return err
		}
		n, err := conn.Read(in)
		switch {
		case err == nil:
			return d.Questions[0].check(in[:n])
		case !isTimeout(err):
			pause(ctx, askLife) // refused: the machine is up, the program is not
		}
	}
	return ctx.Err()
}

// asked is a query on its way.
type asked struct {
	question int
	due      time.Time
}

type dnsClient struct {
	conn      *net.UDPConn
	questions []Question
	score     *score
	known     [][]byte // by question: a right answer, from behind the ID on
	out       []byte

	mu    sync.Mutex
	last  uint16
	asked map[uint16]asked // by ID
}

// send asks one question. What can't be sent is lost.
func (c *dnsClient) send(question int, due time.Time) {
	c.mu.Lock()
	c.last++
	id := c.last
	c.asked[id] = asked{question, due}
	c.mu.Unlock()
	c.out = append(c.out[:0], c.questions[question].wire...)
	binary.BigEndian.PutUint16(c.out, id)
	c.conn.Write(c.out)
}

// idle reports whether nothing is on its way.
func (c *dnsClient) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.asked) == 0
}

// take is what was asked under an ID, once.
func (c *dnsClient) take(id uint16) (asked, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.asked[id]
	delete(c.asked, id)
	return a, ok
}

// receive counts answers until all have come or the grace after end is over.
func (c *dnsClient) receive(ctx context.Context, end time.Time, w *watch) {
	const look = 100 * time.Millisecond
	in := make([]byte, 65535)
	for ctx.Err() == nil {
		now := time.Now()
		if now.After(end.Add(grace)) || w.asked.Load() && c.idle() { // on a busy host all was asked late
			return
		}
		c.conn.SetReadDeadline(now.Add(look)) // an open socket takes any
		n, err := c.conn.Read(in)
		switch {
		case err == nil:
			c.got(in[:n], w)
		case !isTimeout(err):
			pause(ctx, time.Millisecond) // refused
		}
	}
}

// got judges one answer. One that nobody asked for, or a second one, does not
// count.
func (c *dnsClient) got(reply []byte, w *watch) {
	if len(reply) < 2 {
		return
	}
	a, ok := c.take(binary.BigEndian.Uint16(reply))
	if !ok {
		return
	}
	w.sawAnswer()
	if !bytes.Equal(reply[2:], c.known[a.question]) {
		if err := c.questions[a.question].check(reply); err != nil {
			c.score.wrong++
			w.sawWrong(err)
			return
		}
		c.known[a.question] = bytes.Clone(reply[2:])
	}
	c.score.right(time.Since(a.due))
}
