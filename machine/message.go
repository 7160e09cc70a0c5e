package machine

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"pith/abi"
)

// Message is one control message of a guest: the line's first word and the
// words behind it. What a guest sends is never trusted: Parse functions below
// check each word.
type Message struct {
	Kind  string // abi.ControlExit, ControlStamp, ...
	Words []string
}

// maxLine bounds a control line; a guest that sends more is cut off.
const maxLine = 1024

// ParseMessage reads one line without its newline. ok is false for an empty
// line and for one that holds anything but printable ASCII.
func ParseMessage(line string) (m Message, ok bool) {
	for i := range len(line) {
		if line[i] < ' ' || line[i] > '~' {
			return Message{}, false
		}
	}
	words := strings.Fields(line)
	if len(words) == 0 {
		return Message{}, false
	}
	return Message{Kind: words[0], Words: words[1:]}, true
}

// ExitCode is the code of an exit message, 0 to 255.
func (m Message) ExitCode() (code int, ok bool) {
	if m.Kind != abi.ControlExit || len(m.Words) != 1 {
		return 0, false
	}
	n, err := strconv.ParseUint(m.Words[0], 10, 8)
	return int(n), err == nil
}

// Listen is the protocol and port of a listen message: a socket of the
// program's takes connections or datagrams there from now on.
func (m Message) Listen() (protocol string, port uint16, ok bool) {
	if m.Kind != abi.ControlListen || len(m.Words) != 2 {
		return "", 0, false
	}
	if m.Words[0] != TCP && m.Words[0] != UDP {
		return "", 0, false
	}
	n, err := strconv.ParseUint(m.Words[1], 10, 16)
	return m.Words[0], uint16(n), err == nil && n > 0
}

// Terminal is the mode of a terminal message; nil is that of before.
func (m Message) Terminal() (mode *TerminalMode, ok bool) {
	switch {
	case m.Kind != abi.ControlTerminal:
		return nil, false
	case len(m.Words) == 0:
		return nil, true
	case len(m.Words) != 5:
		return nil, false
	}
	var n [5]uint32
	for i, w := range m.Words {
		bits := 32
		if i >= 3 {
			bits = 8
		}
		v, err := strconv.ParseUint(w, 10, bits)
		if err != nil {
			return nil, false
		}
		n[i] = uint32(v)
	}
	return &TerminalMode{Input: n[0], Output: n[1], Local: n[2], Min: uint8(n[3]), Time: uint8(n[4])}, true
}

// OutOfMemory is what an out-of-memory message tells, in bytes.
func (m Message) OutOfMemory() (asked, used, given int64, ok bool) {
	if m.Kind != abi.ControlOutOfMemory || len(m.Words) != 3 {
		return 0, 0, 0, false
	}
	var n [3]int64
	for i, w := range m.Words {
		v, err := strconv.ParseInt(w, 10, 64)
		if err != nil || v < 0 {
			return 0, 0, 0, false
		}
		n[i] = v
	}
	return n[0], n[1], n[2], true
}

// Stamp is how far the start has come, and when: the time since the machine's
// clock began to count.
func (m Message) Stamp() (number int, name string, at time.Duration, ok bool) {
	if m.Kind != abi.ControlStamp || len(m.Words) != 3 {
		return 0, "", 0, false
	}
	n, err := strconv.ParseUint(m.Words[1], 10, 16)
	if err != nil {
		return 0, "", 0, false
	}
	ns, err := strconv.ParseInt(m.Words[2], 10, 64)
	return int(n), m.Words[0], time.Duration(ns), err == nil && ns >= 0
}

// LineReader is an io.Writer that cuts a guest's control bytes into messages.
// The zero value with Notify set is ready. It is not safe for concurrent use.
type LineReader struct {
	Notify func(Message)

	line    []byte
	tooLong bool
}

// Write takes the next bytes; it never fails.
func (r *LineReader) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			r.add(p)
			return n, nil
		}
		r.add(p[:i])
		r.flush()
		p = p[i+1:]
	}
}

func (r *LineReader) add(p []byte) {
	if len(r.line)+len(p) > maxLine {
		r.tooLong = true
		return
	}
	r.line = append(r.line, p...)
}

func (r *LineReader) flush() {
	m, ok := ParseMessage(string(r.line))
	if ok && !r.tooLong {
		r.Notify(m)
	}
	r.line, r.tooLong = r.line[:0], false
}
