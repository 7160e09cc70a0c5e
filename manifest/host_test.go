package manifest

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"pith"
)

// TestCheckHost: a port that another program has is refused with its place,
// unless it is the deployment's own.
func TestCheckHost(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	text := fmt.Sprintf("name: a\nports: ['80', '%d:80']\n", l.Addr().(*net.TCPAddr).Port)
	m, err := Parse(filepath.Join(t.TempDir(), FileName), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	err = m.CheckHost(nil)
	if pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), ":2:15: ") || !strings.Contains(err.Error(), "another program on this host uses it") {
		t.Errorf("a port that is taken: %v", err)
	}
	if err := m.CheckHost(func(pith.Port) bool { return true }); err != nil {
		t.Errorf("a port of our own: %v", err)
	}
}
