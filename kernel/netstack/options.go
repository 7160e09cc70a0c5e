package netstack

import (
	"encoding/binary"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// Options that package syscall doesn't name on linux/amd64 (man 7 socket, ip,
// ipv6, tcp).
const (
	soReusePort     = 15
	soProtocol      = 38
	soDomain        = 39
	soBusyPoll      = 46
	soIncomingCPU   = 49
	ipv6RecvTClass  = 66
	ipv6TClass      = 67
	tcpUserTimeout  = 18
	tcpFastOpen     = 23
	tcpNotSentLowAt = 25
)

// option is one socket option: how to set and get it. A nil function means
// that Linux can't either (ENOPROTOOPT).
type option struct {
	set func(e *endpoint, v []byte) syscall.Errno
	get func(e *endpoint, v []byte) (int, syscall.Errno)
}

type optionKey struct{ level, name int }

// options is the table of all options, filled by the other files' init.
var options = map[optionKey]option{}

// SetOption implements socket.Endpoint.
func (e *endpoint) SetOption(level, name int, value []byte) syscall.Errno {
	o, ok := e.option(level, name)
	if !ok || o.set == nil {
		return syscall.ENOPROTOOPT
	}
	return o.set(e, value)
}

// Option implements socket.Endpoint.
func (e *endpoint) Option(level, name int, value []byte) (int, syscall.Errno) {
	o, ok := e.option(level, name)
	if !ok || o.get == nil {
		return 0, syscall.ENOPROTOOPT
	}
	return o.get(e, value)
}

// option finds an option that exists for this kind of endpoint.
func (e *endpoint) option(level, name int) (option, bool) {
	if level == syscall.IPPROTO_TCP && !e.stream() || level == syscall.IPPROTO_IPV6 && !e.six {
		return option{}, false
	}
	o, ok := options[optionKey{level, name}]
	return o, ok
}

// number reads an int. Where Linux takes a single byte for one, so do we.
func number(v []byte) (int, syscall.Errno) {
	switch {
	case len(v) >= 4:
		return int(int32(binary.LittleEndian.Uint32(v))), 0
	case len(v) >= 1:
		return int(v[0]), 0
	}
	return 0, syscall.EINVAL
}

// putNumber writes an int, cut to the room that there is, as Linux does.
func putNumber(v []byte, n int) (int, syscall.Errno) {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], uint32(int32(n)))
	return copy(v, b[:]), 0
}

func boolNumber(b bool) int {
	if b {
		return 1
	}
	return 0
}

// intOption makes an option of an int.
func intOption(set func(e *endpoint, n int) syscall.Errno, get func(e *endpoint) (int, syscall.Errno)) option {
	var o option
	if set != nil {
		o.set = func(e *endpoint, v []byte) syscall.Errno {
			if len(v) < 4 {
				return syscall.EINVAL
			}
			n, _ := number(v)
			return set(e, n)
		}
	}
	if get != nil {
		o.get = func(e *endpoint, v []byte) (int, syscall.Errno) {
			n, code := get(e)
			if code != 0 {
				return 0, code
			}
			return putNumber(v, n)
		}
	}
	return o
}

// flagOption makes an option of one of gVisor's flags.
func flagOption(set func(*tcpip.SocketOptions, bool), get func(*tcpip.SocketOptions) bool) option {
	return option{
		set: func(e *endpoint, v []byte) syscall.Errno {
			n, code := number(v)
			if code == 0 {
				set(e.ep.SocketOptions(), n != 0)
			}
			return code
		},
		get: func(e *endpoint, v []byte) (int, syscall.Errno) {
			return putNumber(v, boolNumber(get(e.ep.SocketOptions())))
		},
	}
}

// plainOption makes an option of one of gVisor's ints, between low and high.
// Linux's -1 stands for the default, which gVisor spells unset.
func plainOption(name tcpip.SockOptInt, low, high, unset, whenUnset int) option {
	return option{
		set: func(e *endpoint, v []byte) syscall.Errno {
			n, code := number(v)
			switch {
			case code != 0:
				return code
			case n == -1 && low >= 0:
				n = unset
			case n < low || n > high:
				return syscall.EINVAL
			}
			return errno(e.ep.SetSockOptInt(name, n))
		},
		get: func(e *endpoint, v []byte) (int, syscall.Errno) {
			n, err := e.ep.GetSockOptInt(name)
			if err != nil {
				return 0, errno(err)
			}
			if n == unset {
				n = whenUnset
			}
			return putNumber(v, n)
		},
	}
}

// constant makes an option that can be read only.
func constant(get func(e *endpoint) int) option {
	return intOption(nil, func(e *endpoint) (int, syscall.Errno) { return get(e), 0 })
}

// accepted makes an option that is taken and has no effect here: it tunes
// something that we don't have. Reading it gives what, always.
func accepted(what int) option {
	return intOption(
		func(*endpoint, int) syscall.Errno { return 0 },
		func(*endpoint) (int, syscall.Errno) { return what, 0 })
}
