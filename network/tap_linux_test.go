package network

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"pith"
)

// isolated moves the test into a network namespace of its own, which vanishes
// with the test's thread.
func isolated(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := os.Stat(tunDevice); err != nil {
		t.Skip("needs " + tunDevice)
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip("needs network namespaces: ", err)
	}
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v: %s", args, err, out)
	}
}

func TestBridge(t *testing.T) {
	isolated(t)
	ip(t, "link", "add", "br0", "type", "bridge")
	a, err := Attach(Mode{Bridge, "br0"})
	if err != nil {
		t.Fatal(err)
	}
	ports, err := exec.Command("ip", "-o", "link", "show", "master", "br0").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(ports), "pith0") || !strings.Contains(string(ports), "UP") {
		t.Errorf("the bridge's ports: %s", ports)
	}
	a.Close()
	if _, err := net.InterfaceByName("pith0"); err == nil {
		t.Error("the tap is left behind")
	}
}

func TestTap(t *testing.T) {
	isolated(t)
	if _, err := Attach(Mode{Tap, "tap7"}); pith.ExitCode(err) != 2 {
		t.Errorf("a tap that is not there: %v", err)
	}
	if _, err := Attach(Mode{Tap, "lo"}); pith.ExitCode(err) != 2 {
		t.Errorf("an interface that is no tap: %v", err)
	}
	ip(t, "tuntap", "add", "tap7", "mode", "tap")
	a, err := Attach(Mode{Tap, "tap7"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Attach(Mode{Tap, "tap7"}); pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), "another machine") {
		t.Errorf("a tap in use: %v", err)
	}
	a.Close()
	if _, err := net.InterfaceByName("tap7"); err != nil {
		t.Errorf("the user's tap is gone: %v", err)
	}
}
