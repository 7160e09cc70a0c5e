package netstack

import (
	"syscall"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
)

func TestErrno(t *testing.T) {
	for _, c := range []struct {
		err  tcpip.Error
		want syscall.Errno
	}{
		{nil, 0},
		{&tcpip.ErrAborted{}, syscall.ECONNABORTED},
		{&tcpip.ErrAddressFamilyNotSupported{}, syscall.EAFNOSUPPORT},
		{&tcpip.ErrAlreadyBound{}, syscall.EINVAL},
		{&tcpip.ErrAlreadyConnected{}, syscall.EISCONN},
		{&tcpip.ErrAlreadyConnecting{}, syscall.EALREADY},
		{&tcpip.ErrBadAddress{}, syscall.EFAULT},
		{&tcpip.ErrBadBuffer{}, syscall.EFAULT},
		{&tcpip.ErrBadLocalAddress{}, syscall.EADDRNOTAVAIL},
		{&tcpip.ErrBroadcastDisabled{}, syscall.EACCES},
		{&tcpip.ErrClosedForReceive{}, syscall.EINVAL},
		{&tcpip.ErrClosedForSend{}, syscall.EPIPE},
		{&tcpip.ErrConnectStarted{}, syscall.EINPROGRESS},
		{&tcpip.ErrConnectionAborted{}, syscall.ECONNABORTED},
		{&tcpip.ErrConnectionRefused{}, syscall.ECONNREFUSED},
		{&tcpip.ErrConnectionReset{}, syscall.ECONNRESET},
		{&tcpip.ErrDestinationRequired{}, syscall.EDESTADDRREQ},
		{&tcpip.ErrDuplicateAddress{}, syscall.EADDRINUSE},
		{&tcpip.ErrDuplicateNICID{}, syscall.EADDRINUSE},
		{&tcpip.ErrEndpointBusy{}, syscall.EBUSY},
		{&tcpip.ErrHostDown{}, syscall.EHOSTDOWN},
		{&tcpip.ErrHostUnreachable{}, syscall.EHOSTUNREACH},
		{&tcpip.ErrInvalidEndpointState{}, syscall.EINVAL},
		{&tcpip.ErrInvalidNICID{}, syscall.ENODEV},
		{&tcpip.ErrInvalidOptionValue{}, syscall.EINVAL},
		{&tcpip.ErrInvalidPortRange{}, syscall.EINVAL},
		{&tcpip.ErrMalformedHeader{}, syscall.EINVAL},
		{&tcpip.ErrMessageTooLong{}, syscall.EMSGSIZE},
		{&tcpip.ErrMissingRequiredFields{}, syscall.EINVAL},
		{&tcpip.ErrMulticastInputCannotBeOutput{}, syscall.EINVAL},
		{&tcpip.ErrNetworkUnreachable{}, syscall.ENETUNREACH},
		{&tcpip.ErrNoBufferSpace{}, syscall.ENOBUFS},
		{&tcpip.ErrNoNet{}, syscall.ENONET},
		{&tcpip.ErrNoPortAvailable{}, syscall.EAGAIN},
		{&tcpip.ErrNoSuchFile{}, syscall.ENOENT},
		{&tcpip.ErrNotConnected{}, syscall.ENOTCONN},
		{&tcpip.ErrNotPermitted{}, syscall.EPERM},
		{&tcpip.ErrNotSupported{}, syscall.EOPNOTSUPP},
		{&tcpip.ErrPortInUse{}, syscall.EADDRINUSE},
		{&tcpip.ErrQueueSizeNotSupported{}, syscall.EOPNOTSUPP},
		{&tcpip.ErrTimeout{}, syscall.ETIMEDOUT},
		{&tcpip.ErrUnknownDevice{}, syscall.ENODEV},
		{&tcpip.ErrUnknownNICID{}, syscall.ENODEV},
		{&tcpip.ErrUnknownProtocol{}, syscall.EPROTONOSUPPORT},
		{&tcpip.ErrUnknownProtocolOption{}, syscall.ENOPROTOOPT},
		{&tcpip.ErrWouldBlock{}, syscall.EAGAIN},
	} {
		if got := errno(c.err); got != c.want {
			t.Errorf("%T: %d, want %d", c.err, got, c.want)
		}
	}
}
