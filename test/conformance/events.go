package conformance

import (
	"bytes"
	"strings"
)

// marker begins a line of the testing package's own where a test's output is for
// a program (-test.v=test2json).
const marker = 0x16

// events reads what a test binary prints and notes how each test ended.
type events struct {
	line  []byte
	state map[string]string // by test: "" (it runs), PASS, FAIL, SKIP
	order []string          // top-level tests, as they began
	fails []string          // tests below them that failed
	ended bool              // the binary came to its end

	current string              // the top-level test that prints, "" for none
	text    map[string][]string // what each printed
}

func newEvents() *events { return &events{state: map[string]string{}, text: map[string][]string{}} }

// Write takes a piece of the output.
func (e *events) Write(p []byte) (int, error) {
	e.line = append(e.line, p...)
	for {
		i := bytes.IndexByte(e.line, '\n')
		if i < 0 {
			return len(p), nil
		}
		e.take(string(e.line[:i]))
		e.line = e.line[i+1:]
	}
}

func (e *events) flush() {
	e.take(string(e.line))
	e.line = nil
}

func (e *events) take(line string) {
	line = strings.TrimRight(line, "\r")
	i := strings.LastIndexByte(line, marker)
	if i < 0 {
		e.text[e.current] = append(e.text[e.current], line)
		e.ended = e.ended || line == "PASS" || line == "FAIL"
		return
	}
	if i > 0 {
		e.text[e.current] = append(e.text[e.current], line[:i])
	}
	words := strings.Fields(line[i+1:])
	if len(words) >= 2 && words[0] == "===" {
		e.current, _, _ = strings.Cut(strings.Join(words[2:], ""), "/")
	}
	switch {
	case len(words) == 1:
		e.ended = e.ended || words[0] == "PASS" || words[0] == "FAIL"
	case len(words) >= 3 && words[0] == "===" && words[1] == "RUN":
		e.begin(words[2])
	case len(words) >= 3 && words[0] == "---":
		e.end(words[2], strings.TrimSuffix(words[1], ":"))
	}
}

// failures is what failed tests printed, and what none did, at most the last
// lines of each.
func (e *events) failures() string {
	const most = 60
	var s strings.Builder
	for _, name := range append([]string{""}, e.order...) {
		state, lines := e.state[name], e.text[name]
		if state == "PASS" || state == "SKIP" || len(lines) == 0 {
			continue
		}
		s.WriteString("---- " + name + "\n")
		s.WriteString(strings.Join(lines[max(len(lines)-most, 0):], "\n") + "\n")
	}
	return s.String()
}

func (e *events) begin(name string) {
	if _, ok := e.state[name]; ok {
		return
	}
	e.state[name] = ""
	if !strings.Contains(name, "/") {
		e.order = append(e.order, name)
	}
}

func (e *events) end(name, state string) {
	if state != "PASS" && state != "FAIL" && state != "SKIP" {
		return
	}
	e.begin(name)
	e.state[name] = state
	if state == "FAIL" && strings.Contains(name, "/") {
		e.fails = append(e.fails, name)
	}
}

// failedBelow lists the failed tests below a top-level one that have no failed
// ones below themselves.
func (e *events) failedBelow(top string) (names []string) {
	for _, name := range e.fails {
		if !strings.HasPrefix(name, top+"/") {
			continue
		}
		leaf := true
		for _, other := range e.fails {
			leaf = leaf && !strings.HasPrefix(other, name+"/")
		}
		if leaf {
			names = append(names, name)
		}
	}
	return names
}
