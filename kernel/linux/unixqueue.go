package linux

import "syscall"

// packet is one message, or a piece of a stream.
type packet struct {
	data   []byte
	from   string
	rights []*file
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
	u.passCredentials(m)
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
			if m.peekRights(p); len(m.rights) > 0 {
				break
			}
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
	switch {
	case u.typ != syscall.SOCK_DGRAM:
	case p.from != "": // a sender without a name has no address
		m.name = encodeUnix(&m.room, p.from)
	}
	if m.flags&msgPeek != 0 {
		m.peekRights(&p)
	} else {
		m.rights = p.rights
		u.queued -= len(p.data)
		u.queue[0] = packet{}
		u.queue = u.queue[1:]
	}
	return n
}

// peekRights gives the reader the open files that travel with a packet, which
// keeps them.
func (m *message) peekRights(p *packet) {
	for _, f := range p.rights {
		f.refs.Add(1)
		m.rights = append(m.rights, f)
	}
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
