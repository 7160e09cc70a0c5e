package linux

import "syscall"

// Options that package syscall lacks.
const (
	soReusePort = 15
	soPeerPidfd = 77
)

// unixOption returns the initial value of an option that is kept and given
// back, without further effect: a socket in this machine has no use for it.
func unixOption(name int) (value int, ok bool) {
	switch name {
	case syscall.SO_SNDBUF, syscall.SO_RCVBUF:
		return unixBuffer, true
	case syscall.SO_PASSCRED, syscall.SO_REUSEADDR, soReusePort, syscall.SO_KEEPALIVE, syscall.SO_BROADCAST,
		syscall.SO_PRIORITY, syscall.SO_TIMESTAMP:
		return 0, true
	}
	return 0, false
}

func (u *unix) setOption(level, name int, value []byte) Errno {
	if level != syscall.SOL_SOCKET {
		return syscall.EOPNOTSUPP
	}
	if name == syscall.SO_LINGER {
		return 0
	}
	if _, ok := unixOption(name); !ok {
		return syscall.ENOPROTOOPT
	}
	if len(value) < 4 {
		return syscall.EINVAL
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.options == nil {
		u.options = map[int]int{}
	}
	u.options[name] = int(int32(load32(value)))
	return 0
}

func (u *unix) option(level, name int, value []byte) (int, Errno) {
	if level != syscall.SOL_SOCKET {
		return 0, syscall.EOPNOTSUPP
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	switch name {
	case syscall.SO_TYPE:
		return number(value, u.typ)
	case soDomain:
		return number(value, syscall.AF_UNIX)
	case soProtocol:
		return number(value, 0)
	case syscall.SO_ACCEPTCONN:
		if u.listening {
			return number(value, 1)
		}
		return number(value, 0)
	case syscall.SO_ERROR:
		errno := u.refused
		u.refused = 0
		return number(value, int(errno))
	case syscall.SO_PEERCRED:
		return u.credentials(value)
	case soPeerPidfd:
		if u.peer == nil {
			return 0, syscall.ENODATA
		}
		fd, errno := newPidfd(0)
		if errno != 0 {
			return 0, errno
		}
		return number(value, int(fd))
	case syscall.SO_LINGER:
		return copy(value, make([]byte, 8)), 0
	}
	if v, ok := u.options[name]; ok {
		return number(value, v)
	}
	if v, ok := unixOption(name); ok {
		return number(value, v)
	}
	return 0, syscall.ENOPROTOOPT
}

// credentials writes a struct ucred: the peer is this very process.
func (u *unix) credentials(value []byte) (int, Errno) {
	cred := ownCredentials()
	if u.peer == nil {
		store32(cred[:], 0)
		store32(cred[4:], ^uint32(0))
		store32(cred[8:], ^uint32(0))
	}
	return copy(value, cred[:]), 0
}

// ownCredentials is the process's struct ucred: pid, uid, gid.
func ownCredentials() (cred [syscall.SizeofUcred]byte) {
	store32(cred[:], uint32(processID()))
	return cred
}

// Ancillary data: struct cmsghdr is a length of 8 bytes, level and type of 4
// each, then the data, padded to 8 bytes (cmsg(3)).
const cmsgHeader = 16

// putControl adds a control message of SOL_SOCKET to what is received. One that
// does not fit is left out.
func (m *message) putControl(typ uint32, data []byte) {
	room := m.control[min(m.controlLen, len(m.control)):]
	if len(room) < cmsgHeader+len(data) {
		m.outFlags |= msgCtrunc
		return
	}
	store64(room, uint64(cmsgHeader+len(data)))
	store32(room[8:], syscall.SOL_SOCKET)
	store32(room[12:], typ)
	copy(room[cmsgHeader:], data)
	m.controlLen = min(len(m.control), m.controlLen+(cmsgHeader+len(data)+7)&^7)
}

// passCredentials tells the receiver who sent the message, if it asked to be
// told (SO_PASSCRED). The caller holds u.mu.
func (u *unix) passCredentials(m *message) {
	if u.options[syscall.SO_PASSCRED] == 0 || len(m.control) == 0 {
		return
	}
	cred := ownCredentials()
	m.putControl(syscall.SCM_CREDENTIALS, cred[:])
}

// takeRights reads the open files that a message is to carry (SCM_RIGHTS) and
// counts a reference to each.
func (m *message) takeRights() (rights []*file, errno Errno) {
	for rest := m.control; len(rest) >= cmsgHeader; {
		size := load64(rest)
		if size < cmsgHeader || size > uint64(len(rest)) {
			dropFiles(rights)
			return nil, syscall.EINVAL
		}
		data := rest[cmsgHeader:size]
		if load32(rest[8:]) == syscall.SOL_SOCKET && load32(rest[12:]) == syscall.SCM_RIGHTS {
			for ; len(data) >= 4; data = data[4:] {
				f, errno := open(uintptr(load32(data)))
				if errno != 0 {
					dropFiles(rights)
					return nil, errno
				}
				f.refs.Add(1)
				rights = append(rights, f)
			}
		}
		if load32(rest[8:]) == syscall.SOL_SOCKET && load32(rest[12:]) == syscall.SCM_CREDENTIALS {
			if errno := checkCredentials(data); errno != 0 {
				dropFiles(rights)
				return nil, errno
			}
		}
		rest = rest[min(uint64(len(rest)), (size+7)&^7):]
	}
	return rights, 0
}

// checkCredentials refuses a struct ucred of a process that there is not.
func checkCredentials(cred []byte) Errno {
	switch {
	case len(cred) != syscall.SizeofUcred:
		return syscall.EINVAL
	case uintptr(load32(cred)) != processID():
		return syscall.ESRCH
	}
	return 0
}

// installRights gives the open files that came along descriptors, as many as
// there is room to tell of.
func (m *message) installRights() {
	room := max(0, len(m.control)-m.controlLen-cmsgHeader) / 4
	flags := uintptr(0)
	if m.flags&msgCmsgCloexec != 0 {
		flags = syscall.O_CLOEXEC
	}
	var list []byte
	for _, f := range m.rights {
		if len(list)/4 >= room {
			m.outFlags |= msgCtrunc
			f.unref()
			continue
		}
		fd, errno := install(f, flags)
		if errno != 0 {
			m.outFlags |= msgCtrunc
			continue
		}
		list = append(list, byte(fd), byte(fd>>8), byte(fd>>16), byte(fd>>24))
	}
	m.rights = nil
	if len(list) > 0 {
		m.putControl(syscall.SCM_RIGHTS, list)
	}
}

// dropRights forgets open files that nobody asked for.
func (m *message) dropRights() {
	dropFiles(m.rights)
	m.rights = nil
}

func dropFiles(files []*file) {
	for _, f := range files {
		f.unref()
	}
}
