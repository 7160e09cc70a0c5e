package netns

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"pith"
)

// lookPause is how often listening sockets are looked for.
const lookPause = 50 * time.Millisecond

// WatchPorts calls tell once for each of the ports when a socket in the network
// namespace of process pid takes connections or datagrams there. It returns
// when all were told or done is closed.
func WatchPorts(pid int, ports []pith.Port, done <-chan struct{}, tell func(protocol string, port uint16)) {
	type key struct {
		protocol string
		port     uint16
	}
	waiting := map[key]bool{}
	for _, p := range ports {
		waiting[key{p.Protocol, p.Guest}] = true
	}
	for len(waiting) > 0 {
		for k := range waiting {
			if listens(pid, k.protocol, k.port) {
				delete(waiting, k)
				tell(k.protocol, k.port)
			}
		}
		select {
		case <-done:
			return
		case <-time.After(lookPause):
		}
	}
}

// States of sockets in /proc/net. Source: the kernel's include/net/tcp_states.h;
// a datagram socket that is not connected is "closed".
const (
	stateClose  = "07"
	stateListen = "0A"
)

func listens(pid int, protocol string, port uint16) bool {
	state := stateListen
	if protocol == "udp" {
		state = stateClose
	}
	for _, name := range []string{protocol, protocol + "6"} {
		if hasSocket(fmt.Sprintf("/proc/%d/net/%s", pid, name), state, port) {
			return true
		}
	}
	return false
}

func hasSocket(path, state string, port uint16) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if isSocket(lines.Text(), state, port) {
			return true
		}
	}
	return false
}

// isSocket reads a line of /proc/net/tcp and its kin: slot, local address and
// port in hexadecimal, the remote ones, and the state.
func isSocket(line, state string, port uint16) bool {
	words := strings.Fields(line)
	if len(words) < 4 || words[3] != state {
		return false
	}
	_, hex, ok := strings.Cut(words[1], ":")
	n, err := strconv.ParseUint(hex, 16, 16)
	return ok && err == nil && uint16(n) == port
}
