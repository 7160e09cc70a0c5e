package qemu

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"pith/machine"
)

// TestRaiseBacklog takes for QEMU a process that listens with a backlog of one and accepts
// nothing: as many clients as come are connected then.
func TestRaiseBacklog(t *testing.T) {
	const variable = "PITH_TEST_LISTEN"
	if os.Getenv(variable) != "" {
		listenLikeQEMU()
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestRaiseBacklog$")
	cmd.Env = append(os.Environ(), variable+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr = strings.TrimSpace(addr)
	if got := waitingRoom(t, addr); got > 10 {
		t.Fatalf("%d wait at a backlog of one: this is no test", got)
	}
	id, err := machine.Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := raiseBacklog(id); err != nil {
		t.Skip("this host doesn't let a process borrow its child's sockets: ", err)
	}
	if got := waitingRoom(t, addr); got < 128 {
		t.Errorf("%d may wait", got)
	}
	if err := raiseBacklog(machine.ProcessID{PID: cmd.Process.Pid, Start: id.Start + 1}); err != nil {
		t.Errorf("another process under the same number: %v", err)
	}
}

// waitingRoom is the backlog of a listening socket of this host, as sock_diag(7) tells it.
func waitingRoom(t *testing.T, addr string) int {
	t.Helper()
	out, err := exec.Command("ss", "-Hltn", "src", addr).Output()
	if err != nil {
		t.Skip("needs iproute2's ss: ", err)
	}
	words := strings.Fields(string(out))
	if len(words) < 3 {
		t.Fatalf("ss says %q", out)
	}
	n := 0
	for _, c := range words[2] {
		n = n*10 + int(c-'0')
	}
	return n
}

func listenLikeQEMU() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		err = unix.Listen(fd, 1)
	}
	f := os.NewFile(uintptr(fd), "socket")
	l, err2 := net.FileListener(f)
	if err != nil || err2 != nil {
		os.Exit(1)
	}
	os.Stdout.WriteString(l.Addr().String() + "\n")
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	<-ended
}
