package machine

import (
	"os/exec"
	"testing"
)

func TestParseStartTime(t *testing.T) {
	stat := "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 10\n"
	if got, err := parseStartTime([]byte(stat)); err != nil || got != 4711 {
		t.Errorf("start = %d, %v", got, err)
	}
	for _, bad := range []string{"", "7 (x) S 1", "7 (x) Z 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9"} {
		if got, err := parseStartTime([]byte(bad)); err == nil {
			t.Errorf("%q: %d", bad, got)
		}
	}
}

func TestProcessID(t *testing.T) {
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := Identify(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	other := ProcessID{PID: id.PID, Start: id.Start + 1}
	if !id.Alive() || other.Alive() || (ProcessID{}).Alive() {
		t.Errorf("alive: %v, another's %v, none %v", id.Alive(), other.Alive(), ProcessID{}.Alive())
	}
	if err := other.Kill(); err != nil || !id.Alive() {
		t.Errorf("a process that only has the number was killed: %v", err)
	}
	if err := id.Kill(); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	if id.Alive() {
		t.Error("the process is still alive")
	}
	if err := id.Kill(); err != nil {
		t.Errorf("killing a process that is gone: %v", err)
	}
}
