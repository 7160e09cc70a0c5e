package main

import (
	"bufio"
	"io"
	"regexp"
	"slices"
	"strconv"
)

// calls are the places of call instructions that ran, by the address of the function.
type calls map[uint64][]uint64

var (
	// A line of in_asm: address, bytes, mnemonic, operand.
	instruction = regexp.MustCompile(`^0x([0-9a-f]+):  (?:[0-9a-f]{2} )+ *(\S+) *(\S?)`)
	// A line of exec: CPU, host address, and in brackets CS base, address, flags.
	execution = regexp.MustCompile(`^Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/`)
)

// reader follows the log.
type reader struct {
	symbols *symbols
	calls   calls
	ends    map[uint64]uint64 // by a block's address: the direct call that it ends in, or 0
	block   uint64            // that is being listed; 0 is none yet
	last    uint64            // that ran
}

// readLog reads QEMU's log of -d in_asm,exec,nochain.
func readLog(r io.Reader, s *symbols) (calls, error) {
	l := &reader{symbols: s, calls: calls{}, ends: map[uint64]uint64{}}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		l.line(lines.Bytes())
	}
	return l.calls, lines.Err()
}

func (l *reader) line(text []byte) {
	switch {
	case len(text) < 2:
	case text[0] == 'I':
		l.block = 0
	case text[0] == 'T':
		if m := execution.FindSubmatch(text); m != nil {
			l.ran(hex(m[1]))
		}
	case text[1] == 'x':
		if m := instruction.FindSubmatch(text); m != nil {
			l.listed(hex(m[1]), string(m[2]) == "callq" && string(m[3]) != "*")
		}
	}
}

func (l *reader) listed(at uint64, call bool) {
	if l.block == 0 {
		l.block = at
	}
	l.ends[l.block] = 0
	if call {
		l.ends[l.block] = at
	}
}

func (l *reader) ran(at uint64) {
	from := l.ends[l.last]
	l.last = at
	if from == 0 || l.symbols.function(at) != at || slices.Contains(l.calls[at], from) {
		return
	}
	l.calls[at] = append(l.calls[at], from)
}

func hex(digits []byte) uint64 {
	n, _ := strconv.ParseUint(string(digits), 16, 64) // the expressions let nothing else through
	return n
}
