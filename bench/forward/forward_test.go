package forward

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pith/bench/lab/labtest"
	"pith/service/packet"
)

func TestFrame(t *testing.T) {
	to, from := packet.MAC{2, 0, 0, 0, 0, 1}, packet.MAC{2, 0, 0, 0, 0, 2}
	for size, want := range map[int]int{LeastFrame: 60, LargestPacket: 1514, 500: 514} {
		f := frame(to, from, size, 3)
		var p packet.Packet
		p.Parse(&packet.Frame{Store: f, Len: len(f)})
		if len(f) != want || p.DstMAC() != to || p.SrcMAC() != from || p.DstPort != port || p.SrcPort != 20003 || !p.ChecksumOK() {
			t.Errorf("%d bytes: %d, %+v", size, len(f), p)
		}
		number(f, 42)
		p.Parse(&packet.Frame{Store: f, Len: len(f)})
		if n, ok := numberOf(f); n != 42 || !ok || !p.ChecksumOK() {
			t.Errorf("%d bytes: number %d, %v", size, n, ok)
		}
	}
	for name, f := range map[string][]byte{"nothing": nil, "ARP": make([]byte, 60), "cut short": frame(to, from, LeastFrame, 0)[:payload+4]} {
		if _, ok := numberOf(f); ok {
			t.Errorf("%s has a number", name)
		}
	}
	for _, size := range []int{0, 63, 1501} {
		if checkSize(size) == nil {
			t.Errorf("%d bytes are no error", size)
		}
	}
}

func TestConsole(t *testing.T) {
	var c console
	c.Write([]byte(strings.Repeat("a", consoleSize)))
	c.Write([]byte("the end"))
	if text := c.String(); len(text) != consoleSize || !strings.HasSuffix(text, "athe end") {
		t.Errorf("%d bytes, the end %q", len(text), text[len(text)-20:])
	}
}

// TestHost measures the host's own forwarding, in a network namespace of its own.
func TestHost(t *testing.T) {
	for _, tool := range []string{"ip", "nft", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("nothing forwards without it: %v", err)
		}
	}
	if !labtest.Enter(t) {
		return
	}
	for _, service := range Services {
		h := Host{service}
		if err := h.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		p, err := h.Start(t.Context(), Shape{})
		if err != nil {
			t.Fatal(err)
		}
		measure(t)
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		for _, s := range []side{left, right} {
			if s.exists() {
				t.Errorf("%s stays behind", s.link)
			}
		}
	}
	d, err := Wire(t.Context(), LeastFrame, 100*time.Millisecond)
	if err != nil || d.Sent == 0 || d.Microseconds(50) <= 0 {
		t.Errorf("the wire: %+v, error %v", d, err)
	}
}

func measure(t *testing.T) {
	t.Helper()
	m, err := NewMeter()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := m.Await(ctx); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{LeastFrame, LargestPacket} {
		f, err := m.Rate(ctx, size, 256, 300*time.Millisecond)
		if err != nil || f.Through == 0 || f.Through > f.Sent+512 || len(f.Tenths) == 0 {
			t.Errorf("%d bytes: %+v, error %v", size, f, err)
		}
		d, err := m.Delay(ctx, size, 300*time.Millisecond)
		if err != nil || d.Sent == 0 || d.Microseconds(50) <= 0 {
			t.Errorf("%d bytes: %d sent, %d lost, error %v", size, d.Sent, d.Lost, err)
		}
	}
	ended, stop := context.WithCancel(ctx)
	stop()
	if _, err := m.Rate(ended, LeastFrame, 256, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// TestNothingThrough: a way that isn't there is an error.
func TestNothingThrough(t *testing.T) {
	if _, err := NewMeter(); err == nil {
		t.Error("a meter without interfaces")
	}
}
