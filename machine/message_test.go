package machine

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func readAll(chunks ...string) []Message {
	var got []Message
	r := LineReader{Notify: func(m Message) { got = append(got, m) }}
	for _, c := range chunks {
		r.Write([]byte(c))
	}
	return got
}

func TestLineReader(t *testing.T) {
	got := readAll("exit 3\nlis", "ten tcp 8", "0\n\n  \nstamp 1 entry 20\nexit \x1b\nhalf")
	want := []Message{{"exit", []string{"3"}}, {"listen", []string{"tcp", "80"}}, {"stamp", []string{"1", "entry", "20"}}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("messages = %v, want %v", got, want)
	}
	if got := readAll(strings.Repeat("x", maxLine+1)+"\nexit 1\n", ""); len(got) != 1 || got[0].Kind != "exit" {
		t.Errorf("behind a line that is too long: %v", got)
	}
}

func TestMessages(t *testing.T) {
	for line, want := range map[string]int{"exit 0": 0, "exit 255": 255, "exit 256": -1, "exit -1": -1, "exit": -1, "exit 1 2": -1, "exit x": -1, "halt 1": -1} {
		m, _ := ParseMessage(line)
		code, ok := m.ExitCode()
		if !ok {
			code = -1
		}
		if code != want {
			t.Errorf("%q: code %d, want %d", line, code, want)
		}
	}
	for line, want := range map[string]bool{"listen tcp 80": true, "listen udp 65535": true, "listen tcp 0": false, "listen tcp 65536": false, "listen sctp 1": false, "listen tcp": false, "listen": false} {
		m, _ := ParseMessage(line)
		if _, _, ok := m.Listen(); ok != want {
			t.Errorf("%q: listen %v, want %v", line, ok, want)
		}
	}
	for line, want := range map[string]TerminalMode{"terminal 1 2 3 4 5": {1, 2, 3, 4, 5}, "terminal 4294967295 0 0 255 0": {Input: 1<<32 - 1, Min: 255}} {
		m, _ := ParseMessage(line)
		if mode, ok := m.Terminal(); !ok || mode == nil || *mode != want {
			t.Errorf("%q: %v %v, want %v", line, mode, ok, want)
		}
	}
	if m, _ := ParseMessage("terminal"); true {
		if mode, ok := m.Terminal(); !ok || mode != nil {
			t.Errorf("terminal = %v %v, want that of before", mode, ok)
		}
	}
	for _, line := range []string{"terminal 1", "terminal 1 2 3 4", "terminal 1 2 3 4 5 6", "terminal 1 2 3 256 5", "terminal 4294967296 2 3 4 5", "terminal a b c d e", "window 1 2 3 4 5"} {
		m, _ := ParseMessage(line)
		if _, ok := m.Terminal(); ok {
			t.Errorf("%q is taken", line)
		}
	}
	m, _ := ParseMessage("oom 1 2 3")
	if asked, used, given, ok := m.OutOfMemory(); !ok || asked != 1 || used != 2 || given != 3 {
		t.Errorf("oom = %d %d %d %v", asked, used, given, ok)
	}
	m, _ = ParseMessage("oom 1 -2 3")
	if _, _, _, ok := m.OutOfMemory(); ok {
		t.Error("a negative amount is taken")
	}
	m, _ = ParseMessage("stamp memory 1 1500000")
	if number, name, at, ok := m.Stamp(); !ok || number != 1 || name != "memory" || at != 1500*time.Microsecond {
		t.Errorf("stamp = %d %s %v %v", number, name, at, ok)
	}
	for _, line := range []string{"stamp memory 1", "stamp memory x 1", "stamp memory 1 -1"} {
		m, _ := ParseMessage(line)
		if _, _, _, ok := m.Stamp(); ok {
			t.Errorf("%q is taken", line)
		}
	}
}

// FuzzLineReader: what a guest sends must not depend on how it is cut, nor
// grow without bound.
func FuzzLineReader(f *testing.F) {
	f.Add("exit 3\nlisten tcp 80\n", 3)
	f.Add("\n\n\x00exit", 1)
	f.Add(strings.Repeat("a", 2000)+"\nexit 1\n", 700)
	f.Fuzz(func(t *testing.T, s string, cut int) {
		if cut < 0 || cut > len(s) {
			cut = len(s) / 2
		}
		whole, parts := readAll(s), readAll(s[:cut], s[cut:])
		if fmt.Sprint(whole) != fmt.Sprint(parts) {
			t.Errorf("%q cut at %d: %v and %v", s, cut, whole, parts)
		}
		for _, m := range whole {
			m.ExitCode()
			m.Listen()
			m.Terminal()
			m.OutOfMemory()
			m.Stamp()
		}
		r := LineReader{Notify: func(Message) {}}
		r.Write([]byte(s))
		if len(r.line) > maxLine {
			t.Errorf("the reader holds %d bytes", len(r.line))
		}
	})
}
