package inet

import "syscall"

// SetOption implements socket.Endpoint.
func (c *tcpEndpoint) SetOption(level, name int, value []byte) syscall.Errno {
	b := c.s.begin()
	c.mu.Lock()
	errno := c.setTCPOption(&b, level, name, value)
	c.mu.Unlock()
	b.flush()
	return errno
}

func (c *tcpEndpoint) setTCPOption(b *batch, level, name int, value []byte) syscall.Errno {
	if level == syscall.IPPROTO_TCP {
		n, ok := number(value)
		if name == syscall.TCP_CONGESTION {
			return congestionName(value)
		}
		if !ok {
			return syscall.EINVAL
		}
		return c.setOwn(b, name, n)
	}
	errno, handled := c.setOption(level, name, value)
	if !handled {
		return syscall.ENOPROTOOPT
	}
	if errno == 0 {
		c.applyOption(b, level, name)
	}
	return errno
}

// applyOption sees to what a changed common option means for a connection.
func (c *tcpEndpoint) applyOption(b *batch, level, name int) {
	if level != syscall.SOL_SOCKET {
		c.template.ip = 0 // TTL or TOS may have changed
		return
	}
	switch name {
	case syscall.SO_RCVBUF, soReceiveForce:
		c.receiveLocked = true
		c.bufferHint.Store(int32(c.receiveBuffer))
	case syscall.SO_SNDBUF, soSendForce:
		c.sendLocked = true
	case syscall.SO_KEEPALIVE:
		c.startKeepAlive(b.now)
	}
}

// congestionName takes the one algorithm there is.
func congestionName(value []byte) syscall.Errno {
	n := 0
	for n < len(value) && value[n] != 0 {
		n++
	}
	if string(value[:n]) != "cubic" {
		return syscall.ENOENT
	}
	return 0
}

// setOwn sets one of IPPROTO_TCP's options.
func (c *tcpEndpoint) setOwn(b *batch, name, n int) syscall.Errno {
	switch name {
	case syscall.TCP_NODELAY:
		c.noDelay = n != 0
		if c.noDelay {
			c.output(b)
		}
	case syscall.TCP_CORK:
		c.cork = n != 0
		if !c.cork {
			c.output(b)
		}
	case syscall.TCP_KEEPIDLE, syscall.TCP_KEEPINTVL:
		if n < 1 || n > 32767 {
			return syscall.EINVAL
		}
		if name == syscall.TCP_KEEPINTVL {
			c.keepInterval = int64(n) * 1e9
			break
		}
		c.keepIdle = int64(n) * 1e9
		c.startKeepAlive(b.now)
	case syscall.TCP_KEEPCNT:
		if n < 1 || n > 127 {
			return syscall.EINVAL
		}
		c.keepCount = n
	case syscall.TCP_SYNCNT:
		if n < 1 || n > 127 {
			return syscall.EINVAL
		}
		c.synLimit = n
	case tcpUserTimeout:
		if n < 0 {
			return syscall.EINVAL
		}
		c.userTimeout = int64(n) * 1e6
	case syscall.TCP_QUICKACK:
		c.pingPong = n == 0
		c.quick = quickAcks * flag(n != 0)
	case syscall.TCP_DEFER_ACCEPT, syscall.TCP_LINGER2, syscall.TCP_WINDOW_CLAMP, syscall.TCP_MAXSEG, tcpNotSentLow:
		// Taken and without effect.
	default:
		return syscall.ENOPROTOOPT
	}
	return 0
}

// Option implements socket.Endpoint.
func (c *tcpEndpoint) Option(level, name int, value []byte) (int, syscall.Errno) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if level == syscall.SOL_SOCKET && name == syscall.SO_TYPE {
		return putNumber(value, syscall.SOCK_STREAM), 0
	}
	if level == syscall.SOL_SOCKET && name == syscall.SO_ACCEPTCONN {
		return putNumber(value, flag(c.state == stateListen)), 0
	}
	if level == syscall.IPPROTO_TCP {
		return c.ownOption(name, value)
	}
	n, errno, handled := c.option(level, name, value)
	if !handled {
		return 0, syscall.ENOPROTOOPT
	}
	return n, errno
}

// ownOption gives one of IPPROTO_TCP's options.
func (c *tcpEndpoint) ownOption(name int, value []byte) (int, syscall.Errno) {
	v := 0
	switch name {
	case syscall.TCP_INFO:
		return c.info(value), 0
	case syscall.TCP_CONGESTION:
		return copy(value, "cubic\x00"), 0
	case syscall.TCP_NODELAY:
		v = flag(c.noDelay)
	case syscall.TCP_CORK:
		v = flag(c.cork)
	case syscall.TCP_KEEPIDLE:
		v = int(c.keepIdle / 1e9)
	case syscall.TCP_KEEPINTVL:
		v = int(c.keepInterval / 1e9)
	case syscall.TCP_KEEPCNT:
		v = c.keepCount
	case syscall.TCP_SYNCNT:
		v = synRetries
		if c.synLimit != 0 {
			v = c.synLimit
		}
	case tcpUserTimeout:
		v = int(c.userTimeout / 1e6)
	case syscall.TCP_QUICKACK:
		v = flag(!c.pingPong)
	case syscall.TCP_MAXSEG:
		v = defaultMSS
		if c.mss != 0 {
			v = c.mss
		}
	case syscall.TCP_DEFER_ACCEPT, syscall.TCP_LINGER2:
	default:
		return 0, syscall.ENOPROTOOPT
	}
	return putNumber(value, v), 0
}

// linuxState are Linux's numbers for the states (include/net/tcp_states.h).
var linuxState = [...]uint8{
	stateClosed: 7, stateListen: 10, stateSynSent: 2, stateSynReceived: 3, stateEstablished: 1,
	stateFinWait1: 4, stateFinWait2: 5, stateCloseWait: 8, stateClosing: 11, stateLastAck: 9,
}

// info gives struct tcp_info's first fields (Linux, include/uapi/linux/tcp.h).
func (c *tcpEndpoint) info(value []byte) int {
	var v [104]byte
	v[0] = linuxState[c.state]
	v[2], v[3], v[4] = uint8(c.retries), uint8(c.keepProbes), uint8(c.backoff)
	if c.stamps {
		v[5] |= 1
	}
	if c.sackOK {
		v[5] |= 2
	}
	if c.sndScale != 0 || c.rcvScale != 0 {
		v[5] |= 4
	}
	v[6] = c.sndScale | c.rcvScale<<4
	mss := max(c.mss, 1)
	put := func(at int, n int64) { putLE32(v[at:], uint32(n)) }
	put(8, c.timeout()/1e3)
	put(12, delayedAck/1e3)
	put(16, int64(c.mss))
	put(20, int64(c.mss))
	put(24, int64(c.inFlight()/mss)) // tcpi_unacked
	put(28, int64(c.sackedBytes/mss))
	put(60, int64(c.route.mtu)) // tcpi_pmtu
	put(64, int64(c.receiveBuffer))
	put(68, c.srtt/1e3)
	put(72, c.rttvar/1e3)
	put(76, int64(c.ssthresh/mss))
	put(80, int64(c.cwnd/mss))
	put(84, int64(c.mss)) // tcpi_advmss
	put(88, 3)            // tcpi_reordering
	put(96, int64(c.receiveBuffer))
	return copy(value, v[:])
}
