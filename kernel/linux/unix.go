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

// packet is one message, or a piece of a stream.
type packet struct {
	data   []byte
	from   string
	rights []*file
}

// abstractNames is the sockets with abstract names.
var abstractNames = struct {
	mu    sync.Mutex
	names map[string]*unix
	auto  uint32 // last name given by autobind
}{names: map[string]*unix{}}

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
	if !c.address(c.a4).holds(8) {
		return 0, syscall.EFAULT
	}
	typ, flags := int(int32(c.a2))&sockTypeMask, c.a2&sockFlags
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

// unixName reads a sockaddr_un. A path ends at its NUL; an abstract name is
// all that follows the first NUL.
func unixName(name []byte) (string, Errno) {
	switch {
	case len(name) < sizeofFamily || family(name) != syscall.AF_UNIX:
		return "", syscall.EINVAL
	case len(name) > syscall.SizeofSockaddrUnix:
		return "", syscall.EINVAL
	}
	path := name[sizeofFamily:]
	if len(path) > 0 && path[0] != 0 {
		for i, b := range path {
			if b == 0 {
				return string(path[:i]), 0
			}
		}
	}
	return string(path), 0
}

// encodeUnix writes a sockaddr_un.
func encodeUnix(room *[maxSockaddr]byte, name string) []byte {
	store16(room[:], syscall.AF_UNIX)
	n := sizeofFamily + copy(room[sizeofFamily:], name)
	if name != "" && name[0] != 0 {
		room[n] = 0
		n++
	}
	return room[:n]
}

func (u *unix) bind(sockaddr []byte) Errno {
	name, errno := unixName(sockaddr)
	if errno != 0 {
		return errno
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.name != "" {
		return syscall.EINVAL
	}
	switch {
	case name == "":
		u.name = autobind(u)
		return 0
	case name[0] == 0:
		errno = bindAbstract(name, u)
	default:
		errno = u.bindPath(name)
	}
	if errno == 0 {
		u.name = name
	}
	return errno
}

// bindPath makes a socket node. The caller holds u.mu.
func (u *unix) bindPath(name string) Errno {
	process.mu.RLock()
	dir := process.cwd
	process.mu.RUnlock()
	node := tree.NewNode(syscall.S_IFSOCK|0o777&^process.umask.Load(), 0)
	node.Extra.Store(u)
	errno := tree.Make(dir, name, node) // it stays when the socket is closed, as on Linux
	if errno == syscall.EEXIST {
		return syscall.EADDRINUSE
	}
	return errno
}

func bindAbstract(name string, u *unix) Errno {
	abstractNames.mu.Lock()
	defer abstractNames.mu.Unlock()
	if abstractNames.names[name] != nil {
		return syscall.EADDRINUSE
	}
	abstractNames.names[name] = u
	return 0
}

// autobind gives a socket an abstract name of five hexadecimal digits.
func autobind(u *unix) string {
	abstractNames.mu.Lock()
	defer abstractNames.mu.Unlock()
	for {
		abstractNames.auto++
		name := []byte{0, 0, 0, 0, 0, 0}
		for i := range 5 {
			name[5-i] = "0123456789abcdef"[abstractNames.auto>>(4*i)&15]
		}
		if abstractNames.names[string(name)] == nil {
			abstractNames.names[string(name)] = u
			return string(name)
		}
	}
}

// findUnix returns the socket that an address names.
func findUnix(sockaddr []byte) (*unix, string, Errno) {
	name, errno := unixName(sockaddr)
	switch {
	case errno != 0:
		return nil, "", errno
	case name == "":
		return nil, "", syscall.ECONNREFUSED
	case name[0] == 0:
		abstractNames.mu.Lock()
		u := abstractNames.names[name]
		abstractNames.mu.Unlock()
		if u == nil {
			return nil, "", syscall.ECONNREFUSED
		}
		return u, name, 0
	}
	process.mu.RLock()
	dir := process.cwd
	process.mu.RUnlock()
	node, errno := tree.Lookup(dir, name, true)
	if errno != 0 {
		return nil, "", errno
	}
	u, _ := node.Extra.Load().(*unix)
	if node.Format() != syscall.S_IFSOCK || u == nil || u.isGone() {
		return nil, "", syscall.ECONNREFUSED
	}
	return u, name, 0
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

func releaseAbstract(name string, u *unix) {
	abstractNames.mu.Lock()
	defer abstractNames.mu.Unlock()
	if abstractNames.names[name] == u {
		delete(abstractNames.names, name)
	}
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

func (u *unix) read(p []byte) (int, Errno) {
	m := newMessage()
	defer m.free()
	m.data = p
	n, errno := u.receive(m)
	m.dropRights()
	return n, errno
}

func (u *unix) write(p []byte) (int, Errno) {
	m := newMessage()
	defer m.free()
	m.data = p
	return u.send(m)
}

func (u *unix) receive(m *message) (int, Errno) {
	m.stream = u.typ == syscall.SOCK_STREAM
	u.mu.Lock()
	if errno := u.nothing(m); errno != 0 || len(u.queue) == 0 {
		u.mu.Unlock()
		return 0, errno
	}
	var n int
	if m.stream {
		n = u.takeStream(m)
	} else {
		n = u.takePacket(m)
	}
	roomy := u.queued < unixBuffer/2
	peer := u.peer
	u.mu.Unlock()
	if roomy && m.flags&msgPeek == 0 {
		u.room.notifyOnce(writable)
		if peer != nil && u.typ != syscall.SOCK_DGRAM {
			peer.watch.notify(writable)
		}
	}
	return n, 0
}

// nothing says what a receive returns if nothing is queued. The caller holds
// u.mu.
func (u *unix) nothing(m *message) Errno {
	switch {
	case len(u.queue) > 0:
		return 0
	case u.refused != 0:
		errno := u.refused
		u.refused = 0
		return errno
	case u.listening:
		return syscall.EINVAL
	case u.typ != syscall.SOCK_DGRAM && u.peer == nil:
		if u.typ == syscall.SOCK_STREAM {
			return syscall.EINVAL
		}
		return syscall.ENOTCONN
	case u.ended || u.noRead || m.stream && len(m.data) == 0:
		return 0
	}
	return syscall.EAGAIN
}

// takeStream moves bytes to m, across packets but not across open files that
// travel along. The caller holds u.mu.
func (u *unix) takeStream(m *message) int {
	n := 0
	for i := 0; i < len(u.queue) && n < len(m.data); {
		p := &u.queue[i]
		if n > 0 && len(p.rights) > 0 {
			break
		}
		k := copy(m.data[n:], p.data)
		n += k
		if m.flags&msgPeek != 0 {
			i++
			continue
		}
		if len(p.rights) > 0 {
			m.rights, p.rights = p.rights, nil
		}
		u.queued -= k
		if p.data = p.data[k:]; len(p.data) > 0 {
			break
		}
		u.queue[0] = packet{}
		u.queue = u.queue[1:]
		if len(m.rights) > 0 {
			break
		}
	}
	return n
}

// takePacket moves one packet to m. The caller holds u.mu.
func (u *unix) takePacket(m *message) int {
	p := u.queue[0]
	n := copy(m.data, p.data)
	if n < len(p.data) {
		m.outFlags |= msgTrunc
		if m.flags&msgTrunc != 0 {
			n = len(p.data)
		}
	}
	if u.typ == syscall.SOCK_DGRAM {
		m.name = encodeUnix(&m.room, p.from)
	} else {
		m.outFlags |= msgEOR
	}
	if m.flags&msgPeek == 0 {
		m.rights = p.rights
		u.queued -= len(p.data)
		u.queue[0] = packet{}
		u.queue = u.queue[1:]
	}
	return n
}

func (u *unix) send(m *message) (int, Errno) {
	rights, errno := m.takeRights()
	if errno != 0 {
		return 0, errno
	}
	n, errno := u.sendWith(m, rights)
	if errno != 0 {
		dropFiles(rights)
	}
	return n, errno
}

func (u *unix) sendWith(m *message, rights []*file) (int, Errno) {
	u.mu.Lock()
	to, from, closed := u.peer, u.name, u.noWrite
	u.mu.Unlock()
	switch {
	case u.typ == syscall.SOCK_DGRAM && len(m.name) > 0:
		var errno Errno
		if to, _, errno = findUnix(m.name); errno != 0 {
			return 0, errno
		}
		if to.typ != u.typ {
			return 0, syscall.EPROTOTYPE
		}
	case closed:
		return 0, syscall.EPIPE
	case to == nil:
		return 0, syscall.ENOTCONN
	case len(m.name) > 0 && u.typ == syscall.SOCK_STREAM:
		return 0, syscall.EISCONN
	}
	return to.enqueue(packet{m.data, from, rights}, u)
}

// enqueue puts a copy of a packet into u's queue: as much as fits of a stream,
// else all or nothing.
func (u *unix) enqueue(p packet, by *unix) (int, Errno) {
	u.mu.Lock()
	room := unixBuffer - u.queued
	switch {
	case u.gone && u.typ == syscall.SOCK_DGRAM:
		u.mu.Unlock()
		return 0, syscall.ECONNREFUSED
	case u.gone || u.noRead:
		u.mu.Unlock()
		return 0, syscall.EPIPE
	case u.typ != syscall.SOCK_STREAM && len(p.data) > unixBuffer:
		u.mu.Unlock()
		return 0, syscall.EMSGSIZE
	case room < len(p.data) && (u.typ != syscall.SOCK_STREAM || room < pipeAtomic):
		u.mu.Unlock()
		u.awaitRoom(by)
		return 0, syscall.EAGAIN
	case len(p.data) == 0 && u.typ == syscall.SOCK_STREAM:
		u.mu.Unlock()
		return 0, 0
	}
	n := min(room, len(p.data))
	p.data = append(make([]byte, 0, n), p.data[:n]...)
	u.push(p)
	u.mu.Unlock()
	u.watch.notify(readable)
	return n, 0
}

// push appends a packet, to the last one if both are plain pieces of a small
// stream. The caller holds u.mu.
func (u *unix) push(p packet) {
	u.queued += len(p.data)
	if last := len(u.queue) - 1; last >= 0 && u.typ == syscall.SOCK_STREAM && len(p.rights) == 0 &&
		len(u.queue[last].rights) == 0 && len(u.queue[last].data) < pipeAtomic {
		u.queue[last].data = append(u.queue[last].data, p.data...)
		return
	}
	u.queue = append(u.queue, p)
}

// awaitRoom makes a datagram sender hear of room in u's queue. A stream's
// sender hears of it as u's peer.
func (u *unix) awaitRoom(by *unix) {
	if u.typ != syscall.SOCK_DGRAM {
		return
	}
	u.room.add(&by.watch)
	if u.hasRoom() {
		by.watch.notify(writable)
	}
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
