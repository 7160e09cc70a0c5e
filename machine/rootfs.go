package machine

import (
	"fmt"
	"io/fs"
	"strings"

	"pith"
)

// File is a file that a machine which shares the host's kernel finds in its
// otherwise empty root.
type File struct {
	Name string // without the leading slash
	Mode fs.FileMode
	Data []byte
}

// RootFiles are the files that every such machine has: those by which Go's
// resolver works.
func (s Spec) RootFiles() ([]File, error) {
	return []File{
		{Name: "etc/hosts", Mode: 0o444, Data: []byte("127.0.0.1 localhost " + s.Name + "\n::1 localhost\n")},
		{Name: "etc/hostname", Mode: 0o444, Data: []byte(s.Name + "\n")},
		{Name: "etc/resolv.conf", Mode: 0o444, Data: []byte(resolvConf(s.Links))},
	}, nil
}

// resolvConf names the DNS servers of all cards; it is never empty, since Go
// would take 127.0.0.1 then.
func resolvConf(links []pith.Link) string {
	var b strings.Builder
	for _, l := range links {
		for _, a := range l.DNS {
			fmt.Fprintf(&b, "nameserver %s\n", a)
		}
	}
	if b.Len() == 0 {
		return "nameserver 0.0.0.0\n"
	}
	return b.String()
}
