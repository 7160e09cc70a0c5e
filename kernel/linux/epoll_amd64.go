package linux

// struct epoll_event is packed on x86-64.
const (
	epollEventSize = 12
	epollDataAt    = 4
)

type epollEvent [epollEventSize]byte
