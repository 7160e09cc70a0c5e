package dns

import "strings"

// entry is one entry of a master file (RFC 1035, section 5.1): a line, or
// several that parentheses join.
type entry struct {
	line    int    // where it begins, from 1
	text    string // without the line's end
	mistake string // why it can't be read; "" where it can
	wrong   int    // the line of the mistake
}

// splitter cuts a master file into entries.
type splitter struct {
	rest string
	line int // of the first octet of rest, from 1
}

// next returns the next entry that holds more than space and comments.
func (s *splitter) next() (entry, bool) {
	for s.rest != "" {
		e := s.cut()
		if e.mistake != "" || !blank(e.text) {
			return e, true
		}
	}
	return entry{}, false
}

// cut takes one entry off. A quoted text ends with its line at the latest, so
// that a forgotten quote spoils one entry and not the rest of the file.
func (s *splitter) cut() entry {
	e := entry{line: s.line}
	var quoted, comment, escaped bool
	var open []int // lines of the parentheses that are open
	for i := range len(s.rest) {
		c := s.rest[i]
		if c == '\n' {
			s.line++
			comment, escaped = false, false
			if quoted {
				e.fail("a quoted text does not end in its line", s.line-1)
				quoted = false
			}
			if len(open) == 0 || e.mistake != "" {
				return s.take(e, i)
			}
			continue
		}
		switch {
		case comment:
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ';':
			comment = true
		case c == '(':
			open = append(open, s.line)
		case c == ')' && len(open) == 0:
			e.fail("there is a closing parenthesis without an opening one", s.line)
		case c == ')':
			open = open[:len(open)-1]
		}
	}
	if quoted {
		e.fail("a quoted text does not end in its line", s.line)
	}
	if len(open) > 0 {
		e.fail("a parenthesis is opened but never closed", open[0])
	}
	return s.take(e, len(s.rest))
}

func (e *entry) fail(mistake string, line int) {
	if e.mistake == "" {
		e.mistake, e.wrong = mistake, line
	}
}

func (s *splitter) take(e entry, end int) entry {
	e.text = s.rest[:end]
	s.rest = s.rest[min(end+1, len(s.rest)):]
	return e
}

// blank tells whether an entry holds nothing but space and comments.
func blank(text string) bool {
	for line := range strings.Lines(text) {
		before, _, _ := strings.Cut(line, ";")
		if strings.TrimSpace(before) != "" {
			return false
		}
	}
	return true
}
