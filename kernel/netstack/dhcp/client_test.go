package dhcp

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// server answers a client's frames in the test's bubble of time.
type server struct {
	client *Client
	mu     sync.Mutex
	seen   []Message
	to     []endpoints
	answer func(m Message) []byte // nil: silence
}

func (s *server) send(frame []byte) {
	head := endpoints{toMAC: [6]byte(frame), to: netip.AddrFrom4([4]byte(frame[etherLen+16:]))}
	m, err := Parse(frame[etherLen+ipLen+udpLen:])
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	s.seen = append(s.seen, m)
	s.to = append(s.to, head)
	answer := s.answer
	s.mu.Unlock()
	if answer == nil {
		return
	}
	if b := answer(m); b != nil {
		s.client.Receive(fromServer(b))
	}
}

func (s *server) behave(f func(m Message) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// fromServer wraps an answer in a frame.
func fromServer(b []byte) []byte {
	f := wrap(endpoints{
		fromMAC: [6]byte{9, 9, 9, 9, 9, 9}, toMAC: broadcastMAC,
		from: netip.MustParseAddr("10.9.0.1"), to: limited,
	}, b)
	udp := f[etherLen+ipLen:]
	put16(udp, ServerPort)
	put16(udp[2:], ClientPort)
	return f
}

func (s *server) messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.seen...)
}

// polite answers as a DHCP server should.
func polite(m Message) []byte {
	switch m.Type {
	case Discover:
		return replyTo(m, Offer, lease100...)
	case Request:
		return replyTo(m, ACK, lease100...)
	}
	return nil
}

type outcomes struct {
	gained, lost atomic.Int32
	last         atomic.Pointer[Lease]
}

// run starts a client against a server.
func run(answer func(Message) []byte) (*Client, *server, *outcomes) {
	s, o := &server{answer: answer}, &outcomes{}
	var n atomic.Uint32
	c := &Client{
		MAC:    [6]byte{2, 0, 0, 0, 0, 7},
		Send:   s.send,
		Gained: func(l Lease) { o.gained.Add(1); o.last.Store(&l) },
		Lost:   func() { o.lost.Add(1) },
		Random: func() uint32 { return n.Add(0x9e3779b9) },
	}
	s.client = c
	go c.Run()
	return c, s, o
}

func TestLeaseAndRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, o := run(polite)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if o.gained.Load() != 1 || o.last.Load().Addr.String() != "10.9.0.7/24" {
			t.Fatalf("gained %d leases: %+v", o.gained.Load(), o.last.Load())
		}
		m := s.messages()
		if len(m) != 2 || m[0].Type != Discover || m[1].Type != Request || m[1].Requested.String() != "10.9.0.7" {
			t.Errorf("sent %+v", m)
		}
		c.Stop()
		synctest.Wait()
		m = s.messages()
		if len(m) != 3 || m[2].Type != Release || m[2].Client.String() != "10.9.0.7" || o.lost.Load() != 1 {
			t.Errorf("after Stop: sent %+v, lost %d", m, o.lost.Load())
		}
	})
}

func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, o := run(polite)
		defer c.Stop()
		time.Sleep(51 * time.Second) // half the lease
		synctest.Wait()
		m := s.messages()
		if o.gained.Load() != 2 || len(m) != 3 || m[2].Client.String() != "10.9.0.7" || m[2].Requested.IsValid() {
			t.Fatalf("renewals: %d, sent %+v", o.gained.Load()-1, m)
		}
		if s.to[2].toMAC != [6]byte{9, 9, 9, 9, 9, 9} || s.to[2].to.String() != "10.9.0.1" {
			t.Errorf("the renewal went to %+v", s.to[2])
		}
	})
}

func TestLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, o := run(polite)
		defer c.Stop()
		time.Sleep(time.Second)
		s.behave(nil)
		time.Sleep(101 * time.Second)
		synctest.Wait()
		if o.lost.Load() != 1 {
			t.Fatalf("lost %d leases 101 seconds after the server fell silent", o.lost.Load())
		}
		m, last := s.messages(), 0
		for i := range m {
			if m[i].Type == Request && m[i].Client.IsValid() && !m[i].Client.IsUnspecified() {
				last = i
			}
		}
		if s.to[last].to != limited {
			t.Errorf("the last attempt went to %v, not to every server", s.to[last].to)
		}
		s.behave(polite)
		time.Sleep(2 * lastPause)
		synctest.Wait()
		if o.gained.Load() < 2 {
			t.Error("no lease after the server came back")
		}
	})
}

func TestRefusalStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refusals := 0
		c, _, o := run(func(m Message) []byte {
			if m.Type == Request && refusals < 3 {
				refusals++
				return replyTo(m, NAK)
			}
			return polite(m)
		})
		defer c.Stop()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if o.gained.Load() != 1 || refusals != 3 {
			t.Errorf("gained %d leases after %d refusals", o.gained.Load(), refusals)
		}
	})
}

func TestPausesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, _ := run(nil)
		defer c.Stop()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := len(s.messages()); n < 10 || n > 25 {
			t.Errorf("%d transmissions in ten minutes of silence", n)
		}
	})
}

func TestRapidCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, o := run(func(m Message) []byte {
			if m.Type != Discover || !m.Rapid {
				return nil
			}
			return replyTo(m, ACK, append(lease100[:len(lease100):len(lease100)], optRapidCommit, 0)...)
		})
		defer c.Stop()
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if o.gained.Load() != 1 || len(s.messages()) != 1 {
			t.Errorf("gained %d leases with %d messages", o.gained.Load(), len(s.messages()))
		}
	})
}

func TestStrangersAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, o := run(func(m Message) []byte {
			m.XID++
			return polite(m)
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if o.gained.Load() != 0 {
			t.Error("took an answer to somebody else's question")
		}
		c.Stop()
		synctest.Wait()
		other := replyTo(Message{MAC: [6]byte{1}}, Offer, lease100...)
		c.Receive(fromServer(other)) // must not block, nor be kept
		if len(c.received) != 0 {
			t.Error("kept a message for another machine")
		}
	})
}
