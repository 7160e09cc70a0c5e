package network

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
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

// TestQueues: a tap has as many queues as are asked for and its maker let it have.
func TestQueues(t *testing.T) {
	isolated(t)
	ip(t, "link", "add", "br0", "type", "bridge")
	ip(t, "tuntap", "add", "single", "mode", "tap")
	ip(t, "tuntap", "add", "many", "mode", "tap", "multi_queue")
	for _, c := range []struct {
		mode         Mode
		wanted, want int
	}{
		{Mode{Tap, "single"}, 4, 1},
		{Mode{Tap, "many"}, 4, 4},
		{Mode{Tap, "many"}, 1, 1},
		{Mode{Tap, "many"}, 0, 1},
		{Mode{Tap, "many"}, 64, MaxQueues},
		{Mode{Bridge, "br0"}, 2, 2},
		{Mode{Bridge, "br0"}, 1, 1},
	} {
		a, err := AttachQueues(c.mode, c.wanted)
		if err != nil {
			t.Errorf("%s, %d queues: %v", c.mode, c.wanted, err)
			continue
		}
		if got := 1 + len(a.Queues); got != c.want {
			t.Errorf("%s has %d queues, want %d of %d", c.mode, got, c.want, c.wanted)
		}
		if c.mode.Kind == Tap {
			for _, queues := range []int{1, 2} {
				refused(t, c.mode, queues, "used by another machine")
			}
		}
		a.Close()
	}
}

// refused wants a user's mistake that says something.
func refused(t *testing.T, m Mode, queues int, says string) {
	t.Helper()
	a, err := AttachQueues(m, queues)
	a.Close()
	if pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v; want one that says %q", m, err, says)
	}
}

// refusedBefore is refused, also by Check.
func refusedBefore(t *testing.T, m Mode, says string) {
	t.Helper()
	refused(t, m, 1, says)
	if err := Check(m); pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), says) {
		t.Errorf("Check of %s: %v; want one that says %q", m, err, says)
	}
}

func TestRefusals(t *testing.T) {
	isolated(t)
	ip(t, "link", "add", "br0", "type", "bridge")
	ip(t, "tuntap", "add", "tap0", "mode", "tap")
	ip(t, "tuntap", "add", "tun0", "mode", "tun")
	for _, c := range []struct {
		mode Mode
		says string
	}{
		{Mode{Tap, "tap7"}, "no interface tap7; as root: ip tuntap add tap7 mode tap user $USER"},
		{Mode{Bridge, "br7"}, "no interface br7; as root: ip link add br7 type bridge"},
		{Mode{Tap, "br0"}, "br0 is no tap interface"},
		{Mode{Tap, "tun0"}, "tun0 is no tap interface"},
		{Mode{Bridge, "tap0"}, "tap0 is no bridge"},
	} {
		for _, queues := range []int{1, 2} {
			refused(t, c.mode, queues, c.says)
		}
	}
	for _, m := range []Mode{{Tap, "tap7"}, {Bridge, "br7"}} {
		refusedBefore(t, m, "no interface")
	}
	for _, m := range []Mode{{Tap, "tap0"}, {Bridge, "br0"}, {Kind: User}} {
		if err := Check(m); err != nil {
			t.Errorf("Check of %s: %v", m, err)
		}
	}
	if left, err := exec.Command("ip", "-o", "link", "show").Output(); err != nil || strings.Contains(string(left), "pith") {
		t.Errorf("left behind (%v): %s", err, left)
	}
}

// TestOtherUser: a user without rights gets his own tap, and a sentence for others.
func TestOtherUser(t *testing.T) {
	isolated(t)
	const user = 12345
	ip(t, "link", "add", "br0", "type", "bridge")
	ip(t, "tuntap", "add", "own", "mode", "tap", "user", strconv.Itoa(user))
	ip(t, "tuntap", "add", "other", "mode", "tap", "user", "54321")
	become(t, user)
	a, err := Attach(Mode{Tap, "own"})
	if err != nil {
		if strings.Contains(err.Error(), "may not open") {
			t.Skip("this host's device for taps is for root only: ", err)
		}
		t.Fatal(err)
	}
	a.Close()
	refused(t, Mode{Tap, "other"}, 1, "belongs to another user; as root: ip tuntap del other mode tap")
	refused(t, Mode{Bridge, "br0"}, 2, "takes root")
}

// become gives the test's thread, which ends with the test, to another user.
func become(t *testing.T, user int) {
	t.Helper()
	id := uintptr(user)
	for _, call := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} { // syscall.Setresuid would change all threads
		if _, _, errno := unix.RawSyscall(call, id, id, id); errno != 0 {
			t.Skip("this host doesn't let tests become another user: ", errno)
		}
	}
}

// TestNoTun: without the device for taps, and without the right to open it.
func TestNoTun(t *testing.T) {
	isolated(t)
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Skip("needs mount namespaces: ", err)
	}
	mount := func(source, target, kind string, flags uintptr) {
		if err := unix.Mount(source, target, kind, flags, ""); err != nil {
			t.Skip("needs mounts of its own: ", err)
		}
	}
	ip(t, "link", "add", "br0", "type", "bridge")
	mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE)
	mount("tmpfs", filepath.Dir(tunDevice), "tmpfs", 0)
	for _, m := range []Mode{{Tap, "br0"}, {Bridge, "br0"}} {
		refusedBefore(t, m, "this host has no /dev/net/tun; as root: modprobe tun")
	}
	if err := os.WriteFile(tunDevice, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	become(t, 12345)
	refusedBefore(t, Mode{Bridge, "br0"}, "this user may not open /dev/net/tun")
}
