package dns

import "github.com/miekg/dns"

// maxLabels bounds the labels of a name: 255 octets hold at most 127.
const maxLabels = 128

// labels are the offsets of a wire-format name's labels, the root's not included.
type labels struct {
	at [maxLabels]uint8
	n  int
}

// scan finds the labels of an uncompressed wire-format name.
func (l *labels) scan(name []byte) {
	l.n = 0
	for i := 0; i < len(name) && name[i] != 0 && l.n < maxLabels; i += int(name[i]) + 1 {
		l.at[l.n] = uint8(i)
		l.n++
	}
}

// suffix is the name from label i on; i = n is the root.
func (l *labels) suffix(name []byte, i int) []byte {
	if i >= l.n {
		return name[len(name)-1:]
	}
	return name[l.at[i]:]
}

// wire packs a presentation-format name; the result keeps its case.
func wire(name string) (string, error) {
	var buf [256]byte
	n, err := dns.PackDomainName(dns.Fqdn(name), buf[:], 0, nil, false)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// lower folds the letters of a wire-format name. Lengths are below 'A', so that
// only the text of labels changes.
func lower(name string) string {
	return string(lowered(make([]byte, 0, len(name)), name))
}

// lowered appends name, folded, to dst.
func lowered[T string | []byte](dst []byte, name T) []byte {
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// text is the presentation format of a wire-format name.
func text(name string) string {
	s, _, err := dns.UnpackDomainName([]byte(name), 0)
	if err != nil {
		return "?"
	}
	return s
}

// parent is name without its first label; the root's is "".
func parent(name string) string {
	if name == "" || name[0] == 0 {
		return ""
	}
	return name[int(name[0])+1:]
}

// within tells whether name is apex or lies below it (both folded).
func within(name, apex string) bool {
	for n := name; n != ""; n = parent(n) {
		if n == apex {
			return true
		}
	}
	return false
}
