package bench

import (
	"fmt"
	"testing"
	"time"

	"pith/machine"
)

func TestMarks(t *testing.T) {
	begin := time.Now()
	m := marks{texts: []string{runtimeMark, servesMark}}
	for i, part := range []string{"web serves too ea", "rly\nin", "it os @0.1 ms\ninit net", " @0.2 ms\n", "{\"msg\":\"web serves\"}", "\n web serves\n"} {
		m.look([]byte(part), begin.Add(time.Duration(i)*time.Second))
	}
	got := fmt.Sprint(m.stages(begin, StageRuntime, StageMain))
	if want := "[{runtime 2s} {main 5s}]"; got != want {
		t.Errorf("stages %s, want %s: a mark counts after the one before, at its line's end", got, want)
	}
}

func TestLinuxStages(t *testing.T) {
	begin := time.Now()
	lines := func(first string) *marks {
		m := &marks{texts: []string{initStamp, programStamp, runtimeMark, servesMark}}
		for i, line := range []string{"init of the init @1 ms", first, "init os @1 ms", "stamp program", "init os @1 ms", "web serves"} {
			m.look([]byte(line+"\n"), begin.Add(time.Duration(i)*time.Second))
		}
		return m
	}
	for first, want := range map[string]string{
		"stamp init 600000000": "[{VMM 400ms} {kernel 1s} {init 3s} {runtime 4s} {main 5s}]",
		"stamp init ?":         "[{kernel 1s} {init 3s} {runtime 4s} {main 5s}]",
		"nothing":              "[]",
	} {
		if got := fmt.Sprint(linuxStages(lines(first), begin)); got != want {
			t.Errorf("%s: %s, want %s", first, got, want)
		}
	}
}

func TestStamps(t *testing.T) {
	var s stamps
	begin := time.Now()
	s.notify(machine.Message{Kind: "listen", Words: []string{"tcp", "80"}})
	if got := s.stages(begin); got != nil {
		t.Errorf("stages without a stamp: %v", got)
	}
	s.notify(machine.Message{Kind: "stamp", Words: []string{"memory", "1", "0"}})
	s.notify(machine.Message{Kind: "stamp", Words: []string{"runtime", "4", "9"}})
	got := s.stages(begin)
	if len(got) != 2 || got[0].Name != StageVMM || got[1].End < got[0].End {
		t.Errorf("stages %v", got)
	}
}

func TestHostClock(t *testing.T) {
	c, err := parseHostClock("cpu  10 1 5 80 20 2 1 1 7 0\ncpu0 1 1 1 1\n")
	if err != nil || c.busy != 20 || c.total != 120 {
		t.Errorf("%+v, error %v", c, err)
	}
	for _, bad := range []string{"", "cpu 1 2 3", "cpu a b c d e f g h i", "intr 1 2 3 4 5 6 7 8 9"} {
		if _, err := parseHostClock(bad); err == nil {
			t.Errorf("%q is no error", bad)
		}
	}
}

func TestScarce(t *testing.T) {
	before, err := ReadHostClock()
	if err != nil {
		t.Skipf("no /proc as Linux has it: %v", err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; { // until a tick has passed
		shares, err := before.Scarce()
		if err != nil {
			t.Fatal(err)
		}
		if len(shares) == 4 {
			for i, s := range shares {
				if s.Used < 0 || s.Used > 100 || i > 0 && s.Used > shares[i-1].Used {
					t.Errorf("%v", shares)
				}
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v", shares)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
