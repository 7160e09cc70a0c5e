package load

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/miekg/dns"
)

// Question is one DNS query and what its answer must hold.
type Question struct {
	Name string // absolute
	Type uint16
	wire []byte            // the query, its ID zero
	want map[string]string // record → what the user knows it as; empty: no such record
}

// Wire is the query as it is sent, its ID zero.
func (q Question) Wire() []byte { return q.wire }

// maxAliases is how many aliases one answer may follow.
const maxAliases = 8

// ReadQuestions reads a file as dnsperf takes it, "name type" a line, and the
// zone file (RFC 1035, section 5) of the zone origin, which tells the right
// answers. Names of questions are meant from the root.
func ReadQuestions(questions, origin, zone string) ([]Question, error) {
	records, err := readRecords(origin, zone)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(questions)
	if err != nil {
		return nil, err
	}
	var all []Question
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		q, err := parseQuestion(line, records)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", questions, n, err)
		}
		all = append(all, q)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: it holds no question: write lines such as: www.example.org A", questions)
	}
	return all, lines.Err()
}

// record is a name and a type of a zone.
type record struct {
	name string
	kind uint16
}

func readRecords(origin, zone string) (map[record][]dns.RR, error) {
	f, err := os.Open(zone)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	records := map[record][]dns.RR{}
	parser := dns.NewZoneParser(f, dns.Fqdn(origin), zone)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		h := rr.Header()
		key := record{strings.ToLower(h.Name), h.Rrtype}
		records[key] = append(records[key], rr)
	}
	if err := parser.Err(); err != nil && err != io.EOF {
		return nil, err
	}
	return records, nil
}

func parseQuestion(line string, records map[record][]dns.RR) (Question, error) {
	fields := strings.Fields(line)
	if len(fields) != 2 {
		return Question{}, fmt.Errorf("%q is no question: write a name and a type", line)
	}
	kind, ok := dns.StringToType[strings.ToUpper(fields[1])]
	if !ok {
		return Question{}, fmt.Errorf("%q is no type of a DNS record", fields[1])
	}
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(fields[0]), kind)
	m.Id, m.RecursionDesired = 0, false
	wire, err := m.Pack()
	if err != nil {
		return Question{}, fmt.Errorf("%q: %w", line, err)
	}
	q := Question{Name: m.Question[0].Name, Type: kind, wire: wire, want: map[string]string{}}
	q.expect(strings.ToLower(q.Name), records, 0)
	return q, nil
}

// expect follows aliases to the records that are asked for.
func (q *Question) expect(name string, records map[record][]dns.RR, depth int) {
	for _, rr := range records[record{name, q.Type}] {
		q.want[content(rr)] = rr.String()
	}
	if len(q.want) > 0 || depth == maxAliases {
		return
	}
	for _, rr := range records[record{name, dns.TypeCNAME}] {
		q.expect(strings.ToLower(rr.(*dns.CNAME).Target), records, depth+1)
	}
}

// content is a record without its TTL, which counts down in a cache.
func content(rr dns.RR) string {
	rr = dns.Copy(rr)
	rr.Header().Ttl = 0
	rr.Header().Name = strings.ToLower(rr.Header().Name)
	return rr.String()
}

// check says what is wrong with an answer.
func (q *Question) check(reply []byte) error {
	var m dns.Msg
	if err := m.Unpack(reply); err != nil {
		return fmt.Errorf("%s %s: %w", q.Name, dns.TypeToString[q.Type], err)
	}
	say := func(format string, args ...any) error {
		return fmt.Errorf("%s %s: "+format, append([]any{q.Name, dns.TypeToString[q.Type]}, args...)...)
	}
	switch {
	case !m.Response || len(m.Question) != 1 || !strings.EqualFold(m.Question[0].Name, q.Name) || m.Question[0].Qtype != q.Type:
		return say("the answer is to another question")
	case m.Rcode == dns.RcodeNameError && len(q.want) == 0:
		return nil
	case m.Rcode != dns.RcodeSuccess:
		return say("the answer is %s", dns.RcodeToString[m.Rcode])
	}
	found := map[string]bool{}
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == q.Type {
			found[content(rr)] = true
		}
	}
	for key, text := range q.want {
		if !found[key] {
			return say("the answer lacks %q", text)
		}
	}
	if len(found) != len(q.want) {
		return say("the answer has %d records, the zone %d", len(found), len(q.want))
	}
	return nil
}
