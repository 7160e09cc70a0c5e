package netstack

import (
	"encoding/binary"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// Options of SOL_SOCKET (man 7 socket).
func init() {
	for name, o := range map[int]option{
		syscall.SO_REUSEADDR:  flagOption((*tcpip.SocketOptions).SetReuseAddress, (*tcpip.SocketOptions).GetReuseAddress),
		soReusePort:           flagOption((*tcpip.SocketOptions).SetReusePort, (*tcpip.SocketOptions).GetReusePort),
		syscall.SO_BROADCAST:  flagOption((*tcpip.SocketOptions).SetBroadcast, (*tcpip.SocketOptions).GetBroadcast),
		syscall.SO_KEEPALIVE:  flagOption((*tcpip.SocketOptions).SetKeepAlive, (*tcpip.SocketOptions).GetKeepAlive),
		syscall.SO_NO_CHECK:   flagOption((*tcpip.SocketOptions).SetNoChecksum, (*tcpip.SocketOptions).GetNoChecksum),
		syscall.SO_OOBINLINE:  accepted(0),
		syscall.SO_DONTROUTE:  accepted(0),
		syscall.SO_PRIORITY:   accepted(0),
		syscall.SO_MARK:       accepted(0),
		syscall.SO_RCVLOWAT:   accepted(1),
		soBusyPoll:            accepted(0),
		soIncomingCPU:         accepted(0),
		syscall.SO_TIMESTAMP:  accepted(0),
		syscall.SO_TYPE:       constant(func(e *endpoint) int { return e.typ }),
		soProtocol:            constant(func(e *endpoint) int { return e.protocol }),
		soDomain:              constant((*endpoint).family),
		syscall.SO_ACCEPTCONN: constant(func(e *endpoint) int { return boolNumber(e.ep.SocketOptions().GetAcceptConn()) }),
		syscall.SO_ERROR:      constant((*endpoint).takeError),
		syscall.SO_SNDBUF:     intOption(setSendBuffer, getSendBuffer),
		syscall.SO_RCVBUF:     intOption(setReceiveBuffer, getReceiveBuffer),
		// The same, for those who may exceed the limits. We have no such users.
		syscall.SO_SNDBUFFORCE:  intOption(setSendBuffer, nil),
		syscall.SO_RCVBUFFORCE:  intOption(setReceiveBuffer, nil),
		syscall.SO_LINGER:       {set: setLinger, get: getLinger},
		syscall.SO_BINDTODEVICE: {set: setDevice, get: getDevice},
		syscall.SO_RCVTIMEO:     timeout(func(e *endpoint) *[16]byte { return &e.receiveTimeout }),
		syscall.SO_SNDTIMEO:     timeout(func(e *endpoint) *[16]byte { return &e.sendTimeout }),
	} {
		options[optionKey{syscall.SOL_SOCKET, name}] = o
	}
}

func (e *endpoint) family() int {
	if e.six {
		return syscall.AF_INET6
	}
	return syscall.AF_INET
}

// takeError returns the pending error and clears it. gVisor may hold the same
// error twice, as the connection's end and as what ICMP told.
func (e *endpoint) takeError() int {
	first := e.ep.LastError()
	if first != nil && e.stream() {
		e.ep.LastError()
	}
	return int(errno(first))
}

// Linux doubles what is set, for its bookkeeping, and tells the doubled value.
// gVisor counts payload alone, so we keep what is asked for and tell the double.

func setSendBuffer(e *endpoint, n int) syscall.Errno {
	o := e.ep.SocketOptions()
	low, high := o.SendBufferLimits()
	o.SetSendBufferSize(min(max(int64(n), low), high), true)
	return 0
}

func getSendBuffer(e *endpoint) (int, syscall.Errno) {
	return 2 * int(e.ep.SocketOptions().GetSendBufferSize()), 0
}

func setReceiveBuffer(e *endpoint, n int) syscall.Errno {
	o := e.ep.SocketOptions()
	low, high := o.ReceiveBufferLimits()
	o.SetReceiveBufferSize(min(max(int64(n), low), high), true)
	return 0
}

func getReceiveBuffer(e *endpoint) (int, syscall.Errno) {
	return 2 * int(e.ep.SocketOptions().GetReceiveBufferSize()), 0
}

// setLinger reads struct linger: two ints.
func setLinger(e *endpoint, v []byte) syscall.Errno {
	if len(v) < 8 {
		return syscall.EINVAL
	}
	on, _ := number(v)
	seconds, _ := number(v[4:])
	if seconds < 0 {
		return syscall.EINVAL
	}
	e.ep.SocketOptions().SetLinger(tcpip.LingerOption{
		Enabled: on != 0,
		Timeout: time.Duration(seconds) * time.Second,
	})
	return 0
}

func getLinger(e *endpoint, v []byte) (int, syscall.Errno) {
	l := e.ep.SocketOptions().GetLinger()
	var b [8]byte
	binary.LittleEndian.PutUint32(b[:], uint32(boolNumber(l.Enabled)))
	binary.LittleEndian.PutUint32(b[4:], uint32(l.Timeout/time.Second))
	return copy(v, b[:]), 0
}

// setDevice takes an interface's name, with or without a closing zero; the
// empty name unbinds.
func setDevice(e *endpoint, v []byte) syscall.Errno {
	name := string(v)
	for i, c := range v {
		if c == 0 {
			name = string(v[:i])
			break
		}
	}
	var id int32
	if name != "" {
		id = e.deviceID(name)
		if id == 0 {
			return syscall.ENODEV
		}
	}
	return errno(e.ep.SocketOptions().SetBindToDevice(id))
}

// deviceID is an interface's index by its name alone; 0 if there is none.
func (e *endpoint) deviceID(name string) int32 {
	for _, i := range e.s.Interfaces() {
		if i.Name == name {
			return int32(i.Index)
		}
	}
	return 0
}

func getDevice(e *endpoint, v []byte) (int, syscall.Errno) {
	id := e.ep.SocketOptions().GetBindToDevice()
	if id == 0 {
		return 0, 0
	}
	name := e.s.stack.FindNICNameFromID(tcpip.NICID(id))
	if len(v) < len(name)+1 {
		return 0, syscall.EINVAL
	}
	return copy(v, name+"\x00"), 0
}

// timeout keeps a struct timeval. Nothing here blocks, so nothing here times
// out: whoever waits reads it back.
func timeout(at func(*endpoint) *[16]byte) option {
	return option{
		set: func(e *endpoint, v []byte) syscall.Errno {
			if len(v) < 16 {
				return syscall.EINVAL
			}
			e.optionsMu.Lock()
			defer e.optionsMu.Unlock()
			copy(at(e)[:], v)
			return 0
		},
		get: func(e *endpoint, v []byte) (int, syscall.Errno) {
			e.optionsMu.Lock()
			defer e.optionsMu.Unlock()
			return copy(v, at(e)[:]), 0
		},
	}
}
