package ninep

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

// Errno is Linux's error number; 0 is success.
type Errno = syscall.Errno

// Transport carries messages to a server and its replies back. It is used from
// several goroutines.
type Transport interface {
	// Requests is how many may be under way at once.
	Requests() int
	// MessageSize is the size of the largest message, in bytes.
	MessageSize() int
	// Exchange sends a request, the pieces one behind the other, waits for the
	// reply and copies it into the pieces of reply. It returns the reply's
	// length, which may be more than those hold. slot is below Requests, and no
	// two requests under way have the same.
	Exchange(slot int, request, reply [][]byte) (int, error)
}

const (
	version      = "9P2000.L"
	leastMessage = 8 << 10 // holds any request with two names and a link's text
)

// connection is a session with a server. What the server sends is checked before
// it is used; one that breaks the rules is not asked again.
type connection struct {
	transport Transport
	report    func(string)
	size      int         // of the largest message
	slots     chan uint16 // those that are free: a slot's number is the request's tag
	broken    atomic.Bool

	mu         sync.Mutex
	last       uint32   // fid
	free       []uint32 // fids that the server has forgotten
	garbage    []uint32 // fids that it is to forget
	collecting bool     // a goroutine does garbage
}

// dial agrees with the server on version and message size.
func dial(t Transport, report func(string)) (*connection, error) {
	c := &connection{transport: t, report: report, size: t.MessageSize(), slots: make(chan uint16, t.Requests())}
	for i := range t.Requests() {
		c.slots <- uint16(i)
	}
	f, errno := c.callAs(noTag, newRequest(typeVersion).u32(uint32(c.size)).text(version), 64)
	if errno != 0 {
		return nil, errors.New("the host's 9P server does not answer: " + errno.Error())
	}
	size, spoken := f.u32(), f.text()
	switch {
	case f.short || spoken != version:
		return nil, errors.New("the host's 9P server speaks " + strconv.Quote(spoken) + ", not " + version)
	case size < leastMessage || int64(size) > int64(c.size):
		return nil, errors.New("the host's 9P server wants messages of " + strconv.FormatUint(uint64(size), 10) + " bytes")
	}
	c.size = int(size)
	return c, nil
}

// call sends a request and returns the fields of its reply, which are at most most
// bytes.
func (c *connection) call(r *request, most int) (fields, Errno) { return c.callAs(0, r, most) }

func (c *connection) callAs(tag uint16, r *request, most int) (fields, Errno) {
	b := make([]byte, max(headerSize+most, errorSize))
	n, errno := c.exchange(tag, r, nil, b)
	if errno != 0 {
		return fields{}, errno
	}
	return fields{b: b[headerSize:n]}, 0
}

// do is call for a request whose reply has no fields of interest.
func (c *connection) do(r *request, most int) Errno {
	_, errno := c.call(r, most)
	return errno
}

// exchange sends a request with a payload behind it, and returns the length of its
// reply, which has the right type and lies in the pieces of reply. The first of those
// has room for an error. tag is noTag, or 0 for one that is free.
func (c *connection) exchange(tag uint16, r *request, payload []byte, reply ...[]byte) (int, Errno) {
	slot := <-c.slots
	defer func() { c.slots <- slot }()
	if c.broken.Load() {
		return 0, syscall.EIO
	}
	if tag == 0 {
		tag = slot
	}
	r.finish(tag, len(payload))
	n, err := c.transport.Exchange(int(slot), [][]byte{r.b, payload}, reply)
	if err != nil {
		return 0, c.fail(err.Error())
	}
	room := 0
	for _, p := range reply {
		room += len(p)
	}
	f := fields{b: reply[0]}
	size, typ, replyTag := f.u32(), f.u8(), f.u16()
	switch {
	case n < headerSize || int64(size) != int64(n) || n > room:
		return 0, c.fail("its reply to a request of type " + decimal(r.b[4]) + " has a wrong length")
	case replyTag != tag:
		return 0, c.fail("it answered another request than that of type " + decimal(r.b[4]))
	case typ == replyError && n == errorSize:
		return 0, errnoOf(f.u32())
	case typ != r.b[4]+1:
		return 0, c.fail("it answered a request of type " + decimal(r.b[4]) + " by one of type " + decimal(typ))
	}
	return n, 0
}

func decimal(v uint8) string { return strconv.Itoa(int(v)) }

// errnoOf is the server's error, which is Linux's number.
func errnoOf(code uint32) Errno {
	const most = 4095 // MAX_ERRNO
	if code == 0 || code > most {
		return syscall.EIO
	}
	return Errno(code)
}

// fail ends the session. It is told of once.
func (c *connection) fail(why string) Errno {
	if !c.broken.Swap(true) && c.report != nil {
		c.report("the host's 9P server can't be used any more: " + why)
	}
	return syscall.EIO
}

// handle is a fid: a number by which the server knows a node. It lives as long as
// somebody uses it.
type handle struct {
	c     *connection
	fid   uint32
	users atomic.Int32
}

// newHandle returns a handle with one user, for a fid that the server is about to
// learn.
func (c *connection) newHandle() *handle {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := &handle{c: c}
	h.users.Store(1)
	if n := len(c.free); n > 0 {
		h.fid, c.free = c.free[n-1], c.free[:n-1]
		return h
	}
	h.fid = c.last
	c.last++
	return h
}

// hold adds a user.
func (h *handle) hold() *handle {
	h.users.Add(1)
	return h
}

// release takes a user away. The server is told some time after the last one.
func (h *handle) release() {
	if h == nil || h.users.Add(-1) > 0 {
		return
	}
	c := h.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.garbage = append(c.garbage, h.fid)
	if !c.collecting {
		c.collecting = true
		go c.collect()
	}
}

// unused gives back a fid that the server did not learn.
func (h *handle) unused() {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	h.c.free = append(h.c.free, h.fid)
}

// collect has the server forget fids, until there are none to forget.
func (c *connection) collect() {
	for {
		c.mu.Lock()
		n := len(c.garbage)
		if n == 0 || c.broken.Load() {
			c.collecting = false
			c.mu.Unlock()
			return
		}
		fid := c.garbage[n-1]
		c.garbage = c.garbage[:n-1]
		c.mu.Unlock()

		c.do(newRequest(typeClunk).u32(fid), 0) // a fid is gone after an error, too (clunk(5))

		c.mu.Lock()
		c.free = append(c.free, fid)
		c.mu.Unlock()
	}
}
