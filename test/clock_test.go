package test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// TestWallClock: the guest's clock is the host's, also where QEMU is slow to
// start. What a question and its answer take is the measure: the clock may be wrong
// by a few times that, not by the second that the start is held up here.
func TestWallClock(t *testing.T) {
	emulator, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Fatal(err)
	}
	slow := filepath.Join(t.TempDir(), "slow-qemu")
	if err := os.WriteFile(slow, []byte("#!/bin/sh\nsleep 1\nexec "+emulator+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, board := range []string{"microvm", "q35"} {
		t.Run(board, func(t *testing.T) {
			t.Setenv("PITH_QEMU", slow)
			addr := serving(t, "80", "--machine-type", board, guest, "--", "serve")
			get(t, http.DefaultClient, "http://"+addr+"/now")
			var wrong, took time.Duration
			for i := range 30 {
				time.Sleep(20 * time.Millisecond)
				before := time.Now()
				text := get(t, http.DefaultClient, "http://"+addr+"/now")
				after := time.Now()
				ns, err := strconv.ParseInt(text, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				if width := after.Sub(before); i == 0 || width < took {
					took = width
					wrong = max(before.Sub(time.Unix(0, ns)), time.Unix(0, ns).Sub(after), 0)
				}
			}
			t.Logf("a question takes %v, the clock is wrong by at least %v", took, wrong)
			if wrong > 10*took {
				t.Errorf("the clock is wrong by %v, a question takes %v", wrong, took)
			}
		})
	}
}
