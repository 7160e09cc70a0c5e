package dns

import (
	"os"
	"sort"

	"github.com/miekg/dns"
)

// Zone is one zone, ready to answer. It never changes once it is made.
type Zone struct {
	apex     string // wire format, folded
	nodes    map[string]*node
	soa      *rrset
	negative *rrset // the SOA with the TTL of negative answers (RFC 2308, section 5)
	files    []string
	records  int
}

// node is a name in a zone. One without sets is an empty non-terminal.
type node struct {
	sets  []rrset
	cname *rrset
	dname *rrset
	cut   *rrset // NS records of a delegation: never at the apex
}

// rrset is the records of one name and type.
type rrset struct {
	kind    uint16
	ttl     uint32
	records []string // RDATA in wire format, uncompressed
}

// find returns the records of a type, nil where there are none.
func (n *node) find(kind uint16) *rrset {
	for i := range n.sets {
		if n.sets[i].kind == kind {
			return &n.sets[i]
		}
	}
	return nil
}

// Name is the zone's own name, "example.org.".
func (z *Zone) Name() string { return text(z.apex) }

// Serial is the SOA's serial number.
func (z *Zone) Serial() uint32 {
	soa := z.soa.records[0]
	at := len(soa) - 20
	return uint32(soa[at])<<24 | uint32(soa[at+1])<<16 | uint32(soa[at+2])<<8 | uint32(soa[at+3])
}

// Records is the number of the zone's records.
func (z *Zone) Records() int { return z.records }

// ReadZone reads a zone from a master file. It returns all mistakes; the zone is
// nil if any of them is more than a warning.
func ReadZone(origin, file string) (*Zone, Mistakes) {
	return readZone(origin, file, os.ReadFile)
}

// CheckZone is ReadZone for a zone whose files are read by open: file and what it
// includes.
func CheckZone(origin, file string, open func(string) ([]byte, error)) Mistakes {
	_, mistakes := readZone(origin, file, open)
	return mistakes
}

func readZone(origin, file string, open func(string) ([]byte, error)) (*Zone, Mistakes) {
	r := reader{open: open}
	apex, err := wire(origin)
	if err != nil {
		return nil, Mistakes{{File: file, Text: "the zone's name " + origin + " is no domain name"}}
	}
	r.file(scope{file: file, origin: dns.Fqdn(origin)}, "", 0)
	b := builder{reader: &r, where: map[setKey][]located{}, zone: &Zone{apex: lower(apex), nodes: map[string]*node{}, files: r.files}}
	b.build(file)
	sort.SliceStable(r.mistakes, func(i, j int) bool {
		a, b := r.mistakes[i], r.mistakes[j]
		return a.File == b.File && a.Line < b.Line
	})
	if len(r.mistakes.Fatal()) > 0 {
		return nil, r.mistakes
	}
	return b.zone, r.mistakes
}

// newZone makes a zone of records that did not come from a file.
func newZone(origin string, records []dns.RR) (*Zone, error) {
	r := reader{}
	for _, rr := range records {
		r.records = append(r.records, located{rr: rr, file: origin})
	}
	apex, err := wire(origin)
	if err != nil {
		return nil, err
	}
	b := builder{reader: &r, where: map[setKey][]located{}, zone: &Zone{apex: lower(apex), nodes: map[string]*node{}}}
	b.build(origin)
	if fatal := r.mistakes.Fatal(); len(fatal) > 0 {
		return nil, fatal
	}
	return b.zone, nil
}
