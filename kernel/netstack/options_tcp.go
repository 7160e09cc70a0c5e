package netstack

import (
	"encoding/binary"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// Options of IPPROTO_TCP (man 7 tcp).
func init() {
	for name, o := range map[int]option{
		syscall.TCP_NODELAY: flagOption(
			func(o *tcpip.SocketOptions, on bool) { o.SetDelayOption(!on) },
			func(o *tcpip.SocketOptions) bool { return !o.GetDelayOption() }),
		syscall.TCP_CORK:         flagOption((*tcpip.SocketOptions).SetCorkOption, (*tcpip.SocketOptions).GetCorkOption),
		syscall.TCP_QUICKACK:     flagOption((*tcpip.SocketOptions).SetQuickAck, (*tcpip.SocketOptions).GetQuickAck),
		syscall.TCP_MAXSEG:       plainOption(tcpip.MaxSegOption, 48, 65535, -1, -1),
		syscall.TCP_KEEPCNT:      plainOption(tcpip.KeepaliveCountOption, 1, 127, 0, 0),
		syscall.TCP_SYNCNT:       plainOption(tcpip.TCPSynCountOption, 1, 127, 0, 0),
		syscall.TCP_WINDOW_CLAMP: plainOption(tcpip.TCPWindowClampOption, 0, 1<<30, -1, -1),
		syscall.TCP_KEEPIDLE:     durationOption[tcpip.KeepaliveIdleOption](time.Second, 1, 32767),
		syscall.TCP_KEEPINTVL:    durationOption[tcpip.KeepaliveIntervalOption](time.Second, 1, 32767),
		syscall.TCP_LINGER2:      durationOption[tcpip.TCPLingerTimeoutOption](time.Second, -1<<31, 1<<31-1),
		syscall.TCP_DEFER_ACCEPT: durationOption[tcpip.TCPDeferAcceptOption](time.Second, 0, 1<<31-1),
		tcpUserTimeout:           durationOption[tcpip.TCPUserTimeoutOption](time.Millisecond, 0, 1<<31-1),
		tcpFastOpen:              accepted(0),
		tcpNotSentLowAt:          accepted(0),
		syscall.TCP_CONGESTION:   {set: setCongestion, get: getCongestion},
		syscall.TCP_INFO:         {get: getInfo},
	} {
		options[optionKey{syscall.IPPROTO_TCP, name}] = o
	}
}

// durationType is one of gVisor's options that are a time.Duration.
type durationType[T any] interface {
	*T
	tcpip.SettableSocketOption
	tcpip.GettableSocketOption
}

// durationOption makes an option of an int that counts units, between low and
// high.
func durationOption[T ~int64, P durationType[T]](unit time.Duration, low, high int) option {
	return intOption(
		func(e *endpoint, n int) syscall.Errno {
			if n < low || n > high {
				return syscall.EINVAL
			}
			v := T(time.Duration(n) * unit)
			return errno(e.ep.SetSockOpt(P(&v)))
		},
		func(e *endpoint) (int, syscall.Errno) {
			var v T
			if err := e.ep.GetSockOpt(P(&v)); err != nil {
				return 0, errno(err)
			}
			return int(time.Duration(v) / unit), 0
		})
}

func setCongestion(e *endpoint, v []byte) syscall.Errno {
	for i, c := range v {
		if c == 0 {
			v = v[:i]
			break
		}
	}
	o := tcpip.CongestionControlOption(v)
	return errno(e.ep.SetSockOpt(&o))
}

func getCongestion(e *endpoint, v []byte) (int, syscall.Errno) {
	const nameMax = 16 // TCP_CA_NAME_MAX
	var o tcpip.CongestionControlOption
	if err := e.ep.GetSockOpt(&o); err != nil {
		return 0, errno(err)
	}
	var b [nameMax]byte
	copy(b[:nameMax-1], o)
	return copy(v, b[:]), 0
}

// Offsets in struct tcp_info (include/uapi/linux/tcp.h), as far as gVisor
// knows the values.
const (
	infoSize     = 104 // up to and including tcpi_total_retrans
	infoState    = 0
	infoCAState  = 1
	infoRTO      = 8 // microseconds, as all times
	infoSendMSS  = 16
	infoRTT      = 68
	infoRTTVar   = 72
	infoThresh   = 76
	infoWindow   = 80
	infoAdvMSS   = 84
	caOpen       = 0
	caDisorder   = 1
	caRecovery   = 3
	caLoss       = 4
	thresholdMax = 0x7fffffff
)

func getInfo(e *endpoint, v []byte) (int, syscall.Errno) {
	var o tcpip.TCPInfoOption
	if err := e.ep.GetSockOpt(&o); err != nil {
		return 0, errno(err)
	}
	var b [infoSize]byte
	b[infoState] = linuxState(tcp.EndpointState(o.State))
	b[infoCAState] = linuxCongestion(o.CcState)
	put := func(at int, n uint32) { binary.LittleEndian.PutUint32(b[at:], n) }
	put(infoRTO, uint32(o.RTO.Microseconds()))
	if mss, err := e.ep.GetSockOptInt(tcpip.MaxSegOption); err == nil {
		put(infoSendMSS, uint32(mss))
		put(infoAdvMSS, uint32(mss))
	}
	put(infoRTT, uint32(o.RTT.Microseconds()))
	put(infoRTTVar, uint32(o.RTTVar.Microseconds()))
	put(infoThresh, min(o.SndSsthresh, thresholdMax))
	put(infoWindow, o.SndCwnd)
	return copy(v, b[:]), 0
}

// linuxState gives the numbers of include/net/tcp_states.h, which gVisor's
// public states share.
func linuxState(s tcp.EndpointState) byte {
	const closed = 7
	if s == tcp.StateError || s == tcp.StateInitial || s == tcp.StateBound {
		return closed
	}
	if s == tcp.StateConnecting {
		return byte(tcp.StateSynSent)
	}
	return byte(s)
}

func linuxCongestion(s tcpip.CongestionControlState) byte {
	switch s {
	case tcpip.RTORecovery:
		return caLoss
	case tcpip.FastRecovery, tcpip.SACKRecovery:
		return caRecovery
	case tcpip.Disorder:
		return caDisorder
	}
	return caOpen
}
