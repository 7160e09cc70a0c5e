package network

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pith"
)

// vlanLab is a lab with a network that carries two VLANs.
func vlanLab(t *testing.T, networks []pith.Network) *Lab {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := os.Stat(tunDevice); err != nil {
		t.Skip("needs " + tunDevice)
	}
	l, err := MakeLab(fmt.Sprintf("vlantest-%d", os.Getpid()), networks)
	if pith.ExitCode(err) == 2 {
		t.Skipf("network namespaces can't be made here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Remove() })
	return l
}

var trunkAndTwo = []pith.Network{
	{Name: "red", Kind: pith.NetworkBridge, VLAN: 10, Parent: "trunk"}, // before its parent
	{Name: "trunk", Kind: pith.NetworkBridge},
	{Name: "blue", Kind: pith.NetworkBridge, VLAN: 20, Parent: "trunk"},
}

// station is a machine without a stack, on a tap.
type station struct {
	*testing.T
	tap *os.File
	mac byte
}

func newStation(t *testing.T, l *Lab, network string, mac byte) *station {
	t.Helper()
	tap, err := l.Tap(network)
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	fd, err := unix.FcntlInt(tap.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // or reads would have no deadline
		t.Fatal(err)
	}
	polled := os.NewFile(uintptr(fd), network)
	t.Cleanup(func() { polled.Close() })
	return &station{t, polled, mac}
}

const virtioHeader = 10 // of a tap with IFF_VNET_HDR

// send sends a broadcast frame of an experimental EtherType with a tag in front; 0 is
// none.
func (s *station) send(tag byte, text string) {
	s.Helper()
	frame := append(make([]byte, virtioHeader), 255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, s.mac)
	if tag != 0 {
		frame = append(frame, 0x81, 0, 0, tag)
	}
	frame = append(append(frame, 0x88, 0xb5), text...)
	if _, err := s.tap.Write(append(frame, make([]byte, 60)...)); err != nil {
		s.Fatal(err)
	}
}

// next returns the next frame of the experiment: its tag and what it says; "" is none
// within a time.
func (s *station) next(within time.Duration) string {
	s.Helper()
	if err := s.tap.SetReadDeadline(time.Now().Add(within)); err != nil {
		s.Fatal(err)
	}
	b := make([]byte, 2048)
	for {
		n, err := s.tap.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return ""
		}
		if err != nil {
			s.Fatal(err)
		}
		tag, frame := "untagged", b[virtioHeader+12:n]
		if frame[0] == 0x81 {
			tag, frame = fmt.Sprint("tag ", frame[3]), frame[4:]
		}
		if frame[0] == 0x88 && frame[1] == 0xb5 {
			return tag + ": " + string(bytes.TrimRight(frame[2:], "\x00"))
		}
	}
}

const probe = "probe"

// receive is next, but for probes.
func (s *station) receive() string {
	s.Helper()
	for {
		if got := s.next(time.Minute); !strings.HasSuffix(got, probe) {
			return got
		}
	}
}

// meet sends probes until one arrives: a bridge takes its time to notice a new port.
func meet(from, to *station, tag byte) {
	from.Helper()
	for end := time.Now().Add(time.Minute); ; {
		from.send(tag, probe)
		if strings.HasSuffix(to.next(50*time.Millisecond), probe) {
			return
		}
		if time.Now().After(end) {
			from.Fatalf("no frame with tag %d arrives", tag)
		}
	}
}

// TestVLANs: a VLAN's frames are untagged in their own network, tagged in the one that
// carries them, and nowhere else.
func TestVLANs(t *testing.T) {
	l := vlanLab(t, trunkAndTwo)
	trunk, red, blue := newStation(t, l, "trunk", 1), newStation(t, l, "red", 2), newStation(t, l, "blue", 3)
	for _, way := range []struct {
		from, to *station
		tag      byte
	}{{red, trunk, 0}, {blue, trunk, 0}, {trunk, red, 10}, {trunk, blue, 20}} {
		meet(way.from, way.to, way.tag)
	}
	// What must not arrive is sent before what must.
	for _, step := range []struct {
		do   func()
		at   *station
		want string
	}{
		{func() { red.send(0, "from red") }, trunk, "tag 10: from red"},
		{func() { blue.send(10, "as if from red"); blue.send(0, "from blue") }, trunk, "tag 20: from blue"},
		{func() { trunk.send(0, "own"); trunk.send(20, "to blue"); trunk.send(10, "to red") }, red, "untagged: to red"},
		{func() {}, blue, "untagged: to blue"},
		{func() { trunk.send(30, "to nobody"); trunk.send(20, "again") }, blue, "untagged: again"},
	} {
		step.do()
		if got := step.at.receive(); got != step.want {
			t.Errorf("%q arrives, want %q", got, step.want)
		}
	}
}

// TestVLANChanges: what stays is left alone, what changes follows.
func TestVLANChanges(t *testing.T) {
	l := vlanLab(t, trunkAndTwo)
	links := func() string {
		out, err := exec.Command("ip", "-n", l.name, "-o", "-br", "link").CombinedOutput()
		if err != nil {
			t.Skip("iproute2's ip is not installed: ", err)
		}
		var names strings.Builder // with hardware addresses, by which another one is noticed
		for line := range strings.Lines(string(out)) {
			words := strings.Fields(line)
			fmt.Fprintln(&names, words[0], words[2])
		}
		return names.String()
	}
	change := func(networks ...pith.Network) string {
		t.Helper()
		if err := l.Do(func() error { return reconcile(networks) }); err != nil {
			t.Fatal(err)
		}
		return links()
	}
	before := links()
	if strings.Count(before, "-out@") != 2 {
		t.Fatalf("two VLANs make:\n%s", before)
	}
	if now := change(trunkAndTwo...); now != before {
		t.Errorf("the second time:\n%s\nbefore:\n%s", now, before)
	}
	red := trunkAndTwo[0]
	red.VLAN = 11
	change(red, trunkAndTwo[1], trunkAndTwo[2])
	trunk, station := newStation(t, l, "trunk", 1), newStation(t, l, "red", 2)
	meet(station, trunk, 0)
	station.send(0, "hello")
	if got := trunk.receive(); got != "tag 11: hello" {
		t.Errorf("after the change: %q", got)
	}
	red.VLAN, red.Parent = 0, ""
	if now := change(red, trunkAndTwo[1]); strings.Contains(now, "-out@") || strings.Contains(now, "-in@") {
		t.Errorf("VLANs that are gone leave:\n%s", now)
	}
}
