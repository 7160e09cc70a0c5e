package dns

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// maxIncludes bounds how deep files include one another.
const maxIncludes = 8

// maxGenerated bounds what one $GENERATE may make.
const maxGenerated = 1 << 16

// Mistake is one thing that is wrong in a zone, and where.
type Mistake struct {
	File    string
	Line    int // from 1; 0 where the whole file is meant
	Text    string
	Warning bool // the zone is served all the same
}

// String is the mistake as "file:line: text".
func (m Mistake) String() string {
	kind := ""
	if m.Warning {
		kind = "warning: "
	}
	if m.Line == 0 {
		return m.File + ": " + kind + m.Text
	}
	return m.File + ":" + strconv.Itoa(m.Line) + ": " + kind + m.Text
}

// Mistakes are all that is wrong in a zone. As an error it lists them all.
type Mistakes []Mistake

// Error lists the mistakes, one a line.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i := range m {
		lines[i] = m[i].String()
	}
	return strings.Join(lines, "\n")
}

// Fatal are those for which the zone can't be served.
func (m Mistakes) Fatal() Mistakes {
	var fatal Mistakes
	for _, one := range m {
		if !one.Warning {
			fatal = append(fatal, one)
		}
	}
	return fatal
}

// located is a record and where it stands.
type located struct {
	rr   dns.RR
	file string
	line int
}

// reader reads a master file and those that it includes. It goes on after a
// mistake, so that one report has them all.
type reader struct {
	open     func(name string) ([]byte, error)
	files    []string // all that were read
	records  []located
	mistakes Mistakes
	ttl      uint32
	hasTTL   bool
	fixedTTL bool // by $TTL, and no longer by the last record
}

// scope is what an included file inherits and can't change for its includer.
type scope struct {
	file, origin, owner string
	depth               int
}

func (r *reader) wrong(file string, line int, format string, args ...any) {
	r.mistakes = append(r.mistakes, Mistake{File: file, Line: line, Text: fmt.Sprintf(format, args...)})
}

// file reads one file.
func (r *reader) file(s scope, from string, line int) {
	data, err := r.open(s.file)
	if err != nil {
		if from == "" {
			from = s.file
		}
		r.wrong(from, line, "can't read it: %v", err)
		return
	}
	r.files = append(r.files, s.file)
	cut := splitter{rest: strings.ReplaceAll(string(data), "\r\n", "\n"), line: 1}
	for e, ok := cut.next(); ok; e, ok = cut.next() {
		switch {
		case e.mistake != "":
			r.wrong(s.file, e.wrong, "%s", e.mistake)
		case e.text[0] == '$' && !strings.HasPrefix(strings.ToUpper(e.text), "$GENERATE"):
			r.directive(&s, e)
		default:
			r.entry(&s, e)
		}
	}
}

// directive obeys $ORIGIN, $TTL and $INCLUDE.
func (r *reader) directive(s *scope, e entry) {
	before, _, _ := strings.Cut(e.text, ";")
	words := strings.Fields(before)
	switch word := strings.ToUpper(words[0]); {
	case word == "$ORIGIN" && len(words) == 2:
		r.setOrigin(s, e.line, words[1])
	case word == "$TTL" && len(words) == 2:
		ttl, ok := parseTTL(words[1])
		if !ok {
			r.wrong(s.file, e.line, "$TTL %q is no time: write seconds, or as in 1h30m", words[1])
			return
		}
		r.ttl, r.hasTTL, r.fixedTTL = ttl, true, true
	case word == "$INCLUDE" && (len(words) == 2 || len(words) == 3):
		r.include(*s, e.line, words[1:])
	case word == "$ORIGIN" || word == "$TTL" || word == "$INCLUDE":
		r.wrong(s.file, e.line, "%s has %d arguments, which is too many or too few", word, len(words)-1)
	default:
		r.wrong(s.file, e.line, "there is no directive %s: use $ORIGIN, $TTL, $INCLUDE or $GENERATE", words[0])
	}
}

func (r *reader) setOrigin(s *scope, line int, name string) {
	full := absolute(name, s.origin)
	if _, err := wire(full); err != nil {
		r.wrong(s.file, line, "%q is no domain name", name)
		return
	}
	s.origin = full
}

func (r *reader) include(s scope, line int, words []string) {
	name := strings.Trim(words[0], `"`)
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(s.file), name)
	}
	inner := scope{file: name, origin: s.origin, owner: s.owner, depth: s.depth + 1}
	if inner.depth > maxIncludes {
		r.wrong(s.file, line, "files include one another more than %d deep", maxIncludes)
		return
	}
	if len(words) == 2 {
		r.setOrigin(&inner, line, words[1])
	}
	r.file(inner, s.file, line)
}

// entry reads a record, or those that a $GENERATE makes.
func (r *reader) entry(s *scope, e entry) {
	source := e.text
	if c := source[0]; c == ' ' || c == '\t' || c == '(' {
		if s.owner == "" {
			r.wrong(s.file, e.line, "the first record has no owner name")
			return
		}
		source = s.owner + " " + source
	}
	p := dns.NewZoneParser(strings.NewReader(source+"\n"), s.origin, "")
	if r.hasTTL {
		p.SetDefaultTTL(r.ttl)
	}
	made := 0
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		s.owner = rr.Header().Name
		if !r.fixedTTL {
			r.ttl, r.hasTTL = rr.Header().Ttl, true
		}
		r.records = append(r.records, located{rr, s.file, e.line})
		if made++; made > maxGenerated {
			r.wrong(s.file, e.line, "$GENERATE makes more than %d records", maxGenerated)
			return
		}
	}
	if err := p.Err(); err != nil {
		text, line := plain(err)
		r.wrong(s.file, e.line+line, "%s", text)
	} else if made == 0 {
		r.wrong(s.file, e.line, "this is no record")
	}
}

// plain takes the library's prefix and position off its message, and returns
// how many lines after the entry's first the mistake is.
func plain(err error) (text string, line int) {
	text = strings.TrimPrefix(err.Error(), "dns: ")
	text, at, found := cutLast(text, " at line: ")
	if found {
		number, _, _ := strings.Cut(at, ":")
		if n, err := strconv.Atoi(number); err == nil && n > 1 {
			line = n - 1
		}
	}
	return strings.TrimSuffix(text, `: "\n"`), line
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// absolute completes a name by the origin.
func absolute(name, origin string) string {
	switch {
	case name == "@":
		return origin
	case dns.IsFqdn(name):
		return name
	case origin == ".":
		return name + "."
	default:
		return name + "." + origin
	}
}

// parseTTL reads seconds, or numbers with units as in 1w2d3h4m5s.
func parseTTL(s string) (uint32, bool) {
	var total, number uint64
	digits := false
	for i := range len(s) {
		c := s[i] | 0x20
		unit := map[byte]uint64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}[c]
		switch {
		case '0' <= s[i] && s[i] <= '9':
			number, digits = number*10+uint64(s[i]-'0'), true
		case unit != 0 && digits:
			total, number, digits = total+number*unit, 0, false
		default:
			return 0, false
		}
		if number > 1<<31 || total > 1<<31 {
			return 0, false
		}
	}
	total += number
	return uint32(total), s != "" && total < 1<<31
}
