package linux

import (
	"sync"
	"syscall"

	"pith/kernel/socket"
)

// unixBuffer is how many bytes a socket of AF_UNIX holds for its reader.
const unixBuffer = 208 << 10

// unix is a socket of AF_UNIX (unix(7)). All such sockets are in this
// machine, so that sending is putting into the receiver's queue.
//
// Lock order: no two sockets' mu are held at the same time.
type unix struct {
	file
	typ   int
	inode uint64
	room  watchers // who was turned away for lack of room in queue or pending

	mu      sync.Mutex
	name    string // the address: a path, or NUL and an abstract name; "" for none
	peer    *unix  // stream: the other end; datagram: where messages go
	peerIs  string
	queue   []packet // what is there to be read
	queued  int      // bytes in queue
	options map[int]int
	ended   bool // no more will come: the peer is closed or shut down
	noRead  bool // shut down
	noWrite bool
	gone    bool // closed
	refused Errno

	listening bool
	backlog   int
	pending   []*unix // connections to be accepted
}

func newUnix(typ, protocol int, flags uintptr) (*file, Errno) {
	switch typ {
	case syscall.SOCK_STREAM, syscall.SOCK_DGRAM, syscall.SOCK_SEQPACKET:
	case syscall.SOCK_RAW:
		typ = syscall.SOCK_DGRAM
	default:
		return nil, syscall.ESOCKTNOSUPPORT
	}
	if protocol != 0 && protocol != syscall.AF_UNIX {
		return nil, syscall.EPROTONOSUPPORT
	}
	return &makeUnix(typ, flags).file, 0
}

func makeUnix(typ int, flags uintptr) *unix {
	u := &unix{typ: typ, inode: nextInode()}
	u.begin(u, syscall.O_RDWR|flags, true)
	return u
}

func sysSocketpair(c call) (uintptr, Errno) {
	if int32(c.a1) != syscall.AF_UNIX {
		return 0, syscall.EOPNOTSUPP
	}
	if !c.address(c.a4).writable(8) {
		return 0, syscall.EFAULT
	}
	typ, flags := int(int32(c.a2))&sockTypeMask, c.a2&sockFlags
	if c.a2&^(sockTypeMask|sockFlags) != 0 {
		return 0, syscall.EINVAL
	}
	f, errno := newUnix(typ, int(int32(c.a3)), flags)
	if errno != 0 {
		return 0, errno
	}
	a := f.object.(*unix)
	b := makeUnix(a.typ, flags)
	a.peer, b.peer = b, a
	pair, errno := installTwo(&a.file, &b.file, flags)
	if errno != 0 {
		return 0, errno
	}
	return 0, put(c.address(c.a4), &pair)
}

func (u *unix) isGone() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.gone
}

func (u *unix) connect(sockaddr []byte) Errno {
	if u.typ == syscall.SOCK_DGRAM && len(sockaddr) >= sizeofFamily && family(sockaddr) == syscall.AF_UNSPEC {
		u.setPeer(nil, "")
		return 0
	}
	to, name, errno := findUnix(sockaddr)
	switch {
	case errno != 0:
		return errno
	case to.typ != u.typ:
		return syscall.EPROTOTYPE
	case u.typ == syscall.SOCK_DGRAM:
		u.setPeer(to, name)
		return 0
	}
	return u.connectStream(to, name)
}

// connectStream queues the other end of a new connection at a listener.
func (u *unix) connectStream(to *unix, name string) Errno {
	u.mu.Lock()
	own, connected, listening := u.name, u.peer != nil, u.listening
	u.mu.Unlock()
	switch {
	case connected:
		return syscall.EISCONN
	case listening:
		return syscall.EINVAL
	}
	end := makeUnix(u.typ, 0)
	end.name, end.peer, end.peerIs = name, u, own
	u.setPeer(end, name)
	if errno := to.admit(end); errno != 0 {
		u.setPeer(nil, "")
		if errno == syscall.EAGAIN {
			to.room.add(&u.watch)
		}
		return errno
	}
	to.watch.notify(readable)
	u.watch.notify(writable)
	return 0
}

func (u *unix) setPeer(peer *unix, name string) {
	u.mu.Lock()
	u.peer, u.peerIs = peer, name
	u.mu.Unlock()
}

// admit queues a connection to be accepted.
func (u *unix) admit(end *unix) Errno {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case !u.listening || u.gone || u.noRead:
		return syscall.ECONNREFUSED
	case len(u.pending) > u.backlog:
		return syscall.EAGAIN
	}
	u.pending = append(u.pending, end)
	return 0
}

func (u *unix) listen(backlog int) Errno {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.typ == syscall.SOCK_DGRAM:
		return syscall.EOPNOTSUPP
	case u.name == "" || u.peer != nil:
		return syscall.EINVAL
	}
	if backlog < 0 || backlog > somaxconn {
		backlog = somaxconn
	}
	u.listening, u.backlog = true, backlog
	return 0
}

func (u *unix) accept(flags uintptr, room *[maxSockaddr]byte) (*file, []byte, Errno) {
	u.mu.Lock()
	switch {
	case u.typ == syscall.SOCK_DGRAM:
		u.mu.Unlock()
		return nil, nil, syscall.EOPNOTSUPP
	case !u.listening || u.noRead:
		u.mu.Unlock()
		return nil, nil, syscall.EINVAL
	case len(u.pending) == 0:
		u.mu.Unlock()
		return nil, nil, syscall.EAGAIN
	}
	end := u.pending[0]
	u.pending = u.pending[1:]
	u.mu.Unlock()
	u.room.notifyOnce(writable) // somebody may wait for a place in the queue
	end.setFlags(uint32(flags & syscall.O_NONBLOCK))
	end.mu.Lock()
	name := encodeUnix(room, end.peerIs)
	end.mu.Unlock()
	return &end.file, name, 0
}

func (u *unix) localName(room *[maxSockaddr]byte) ([]byte, Errno) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return encodeUnix(room, u.name), 0
}

func (u *unix) peerName(room *[maxSockaddr]byte) ([]byte, Errno) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.peer == nil {
		return nil, syscall.ENOTCONN
	}
	return encodeUnix(room, u.peerIs), 0
}

func (u *unix) stat(st *syscall.Stat_t) Errno {
	anonymous(st, syscall.S_IFSOCK|0o777, u.inode)
	return 0
}

func (u *unix) close() {
	u.mu.Lock()
	name, peer, pending, queue := u.name, u.peer, u.pending, u.queue
	u.gone, u.ended, u.noRead, u.noWrite = true, true, true, true
	u.pending, u.queue, u.queued = nil, nil, 0
	u.mu.Unlock()
	if name != "" && name[0] == 0 {
		releaseAbstract(name, u)
	}
	if peer != nil && u.typ != syscall.SOCK_DGRAM {
		peer.end(len(queue) > 0)
	}
	for _, end := range pending {
		end.unref()
	}
	for _, p := range queue {
		dropFiles(p.rights)
	}
	u.room.notifyOnce(writable | broken)
}

// end tells a connected socket that its peer is closed. A peer that left
// something unread resets the connection.
func (u *unix) end(unread bool) {
	u.mu.Lock()
	u.ended, u.noWrite = true, true
	if unread {
		u.refused = syscall.ECONNRESET
	}
	u.mu.Unlock()
	u.watch.notify(readable | writable | peerDone | hungUp)
	u.room.notifyOnce(writable | broken)
}

func (u *unix) shutdown(how int) Errno {
	u.mu.Lock()
	peer := u.peer
	if peer == nil && !u.listening {
		u.mu.Unlock()
		return syscall.ENOTCONN
	}
	if how != syscall.SHUT_WR {
		u.noRead = true
	}
	if how != syscall.SHUT_RD {
		u.noWrite = true
	}
	u.mu.Unlock()
	u.watch.notify(readable | writable | peerDone)
	if peer == nil || u.typ == syscall.SOCK_DGRAM {
		return 0
	}
	peer.mu.Lock()
	if how != syscall.SHUT_RD {
		peer.ended = true
	}
	if how != syscall.SHUT_WR {
		peer.noWrite = true
	}
	peer.mu.Unlock()
	peer.watch.notify(readable | writable | peerDone)
	return 0
}

func (u *unix) readiness() (r socket.Readiness) {
	u.mu.Lock()
	if len(u.queue) > 0 || u.ended || u.noRead || len(u.pending) > 0 || u.refused != 0 {
		r |= readable
	}
	if u.refused != 0 {
		r |= broken
	}
	stream := u.typ != syscall.SOCK_DGRAM
	if stream && (u.ended || u.noRead) {
		r |= peerDone
	}
	if stream && (u.ended || u.noRead) && u.noWrite || stream && u.peer == nil && !u.listening {
		r |= hungUp
	}
	peer, listening, closed := u.peer, u.listening, u.noWrite
	u.mu.Unlock()
	if !listening && (closed || peer == nil || peer.hasRoom()) {
		r |= writable
	}
	return r
}

// hasRoom reports whether a writer finds room in u's queue.
func (u *unix) hasRoom() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.gone || u.queued < unixBuffer/2
}

func (u *unix) ioctl(_ call, request uintptr, arg address) (uintptr, Errno) {
	if request != fionread {
		return 0, syscall.ENOTTY
	}
	u.mu.Lock()
	n := int32(u.queued)
	if u.typ != syscall.SOCK_STREAM && len(u.queue) > 0 {
		n = int32(len(u.queue[0].data))
	}
	u.mu.Unlock()
	return 0, put(arg, &n)
}
