package test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestQueues boots a machine with two CPUs on a bridge and on a tap: both queue pairs of
// its card carry packets, and nothing is lost, also where a ring gets full.
func TestQueues(t *testing.T) {
	for _, c := range []struct{ board, kind string }{{"q35", "bridge"}, {"microvm", "tap"}} {
		t.Run(c.board+"-"+c.kind, func(t *testing.T) {
			place := queuesPlace(t)
			name := fmt.Sprintf("queues-%s-%s-%d", c.board, c.kind, os.Getpid())
			startInside(t, place, name, "--machine-type", c.board, "--cpus", "2", "-m", "64",
				"--net", c.kind+":"+c.kind+"0,queues=2", "--addr", "10.8.0.2/24", guest, "--", "flows")
			if out, err := inside(place, "flows 10.8.0.2").CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			s := stats(t, name)
			if len(s.Queues) != 2 {
				t.Fatalf("the card has %d queue pairs, want 2: %+v", len(s.Queues), s)
			}
			full := uint64(0)
			for i, q := range s.Queues {
				if q.Rx < flowCount || q.Tx < flowCount {
					t.Errorf("queue pair %d of the two carried little: %+v", i, s.Queues)
				}
				full += q.Full
			}
			if s.Drops != full {
				t.Errorf("%d packets were lost in the machine: %+v", s.Drops-full, s)
			}
			t.Logf("%+v", s.Queues)
		})
	}
}

// TestOneQueue: where QEMU emulates there is one queue pair, as with a tap that was made
// for one, which can't be given more.
func TestOneQueue(t *testing.T) {
	place := queuesPlace(t)
	runIP(t, "-n", place, "tuntap", "add", "single0", "mode", "tap")
	runIP(t, "-n", place, "link", "set", "single0", "master", "bridge0", "up")
	for i, args := range [][]string{
		{"--net", "bridge:bridge0"},
		{"--net", "tap:single0,queues=1"},
	} {
		name := fmt.Sprintf("onequeue-%d-%d", i, os.Getpid())
		addr := fmt.Sprintf("10.8.0.%d", 2+i)
		startInside(t, place, name, append(args, "--cpus", "2", "-m", "64", "--addr", addr+"/24", guest, "--", "flows")...)
		if out, err := inside(place, addr+":80 3").CombinedOutput(); err != nil {
			t.Errorf("%v: %v: %s", args, err, out)
		}
		if s := stats(t, name); len(s.Queues) != 0 || s.Drops != 0 {
			t.Errorf("%v: %+v", args, s)
		}
	}
	runIP(t, "-n", place, "tuntap", "add", "single1", "mode", "tap")
	out, err := exec.Command("ip", "netns", "exec", place, command, "run", "--rm", "--net", "tap:single1,queues=2", guest, "--", "exit3").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "made for one queue") {
		t.Errorf("two queues of a tap for one: %v: %s", err, out)
	}
}

// queuesPlace makes a namespace with a bridge that has the address 10.8.0.1, and a tap on
// it that may have several queues.
func queuesPlace(t *testing.T) string {
	t.Helper()
	return newNamespace(t, "pith-queues", "link add bridge0 type bridge", "addr add 10.8.0.1/24 dev bridge0", "link set bridge0 up",
		"tuntap add tap0 mode tap multi_queue", "link set tap0 master bridge0 up")
}

// startInside starts a machine in a namespace, in the background, and removes it at the
// end.
func startInside(t *testing.T, ns, name string, args ...string) {
	t.Helper()
	// A file, because what stays in the background would keep a pipe open.
	said, err := os.CreateTemp(t.TempDir(), "said")
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd := exec.Command("ip", append([]string{"netns", "exec", ns, command, "run", "-d", "--name", name}, args...)...)
	cmd.Stdout, cmd.Stderr = said, said
	err = cmd.Run()
	t.Cleanup(func() { exec.Command(command, "rm", "-f", name).Run() })
	if err != nil {
		text, _ := os.ReadFile(said.Name())
		t.Fatalf("%v: %s", err, text)
	}
}

const (
	flowCount  = 40     // of each kind
	flowRounds = 20     // questions of each flow
	flooded    = 10_000 // datagrams of each of flowFloods
	flowFloods = 4
)

// useFlows is the other side of the guest's program flows. It prints what failed.
func useFlows(addr string) int {
	awaited := false
	for end := time.Now().Add(patience); !awaited && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", addr+":80", time.Second)
		if awaited = err == nil; awaited {
			c.Close()
		}
	}
	failures := make(chan error, 2*flowCount+flowFloods)
	var all sync.WaitGroup
	begin := func(count int, f func() error) {
		for range count {
			all.Go(func() { failures <- f() })
		}
	}
	begin(flowCount, func() error { return askPages(addr + ":80") })
	begin(flowCount, func() error { return askEchoes(addr + ":7") })
	all.Wait()
	begin(flowFloods, func() error { return takeFlood(addr) })
	all.Wait()
	close(failures)
	code := 0
	for err := range failures {
		if err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	return code
}

// askPages fetches pages by one connection.
func askPages(addr string) error {
	client := http.Client{Timeout: patience, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for i := range flowRounds {
		r, err := client.Get(fmt.Sprintf("http://%s/%d", addr, i))
		if err != nil {
			return err
		}
		text, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || string(text) != fmt.Sprintf("hello from /%d\n", i) {
			return fmt.Errorf("page %d: %q, %v", i, text, err)
		}
	}
	return nil
}

// askEchoes has one datagram under way at a time: none may get lost.
func askEchoes(addr string) error {
	c, err := net.Dial("udp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	buf := make([]byte, 100)
	for i := range flowRounds {
		fmt.Fprint(c, i)
		c.SetReadDeadline(time.Now().Add(patience))
		n, err := c.Read(buf)
		if err != nil || string(buf[:n]) != fmt.Sprint(i) {
			return fmt.Errorf("echo %d: %q, %v", i, buf[:n], err)
		}
	}
	return nil
}

// takeFlood wants all datagrams of a flood. Its socket has room for all of them, so that
// what is missing was lost on the way.
func takeFlood(addr string) error {
	c, err := net.Dial("udp", addr+":9")
	if err != nil {
		return err
	}
	defer c.Close()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	const perDatagram = 8 << 10 // with what the kernel counts beside the contents
	var errno error
	raw.Control(func(fd uintptr) {
		errno = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, flooded*perDatagram)
	})
	if errno != nil {
		return fmt.Errorf("make room: %w", errno)
	}
	fmt.Fprint(c, flooded)
	seen := make([]bool, flooded)
	buf := make([]byte, 100)
	for got := 0; got < flooded; got++ {
		c.SetReadDeadline(time.Now().Add(patience))
		n, err := c.Read(buf)
		if err != nil {
			return fmt.Errorf("flood: %d of %d came: %w", got, flooded, err)
		}
		number := binary.BigEndian.Uint32(buf[:n])
		if n != 64 || number >= flooded || seen[number] {
			return fmt.Errorf("flood: a wrong datagram %d after %d", number, got)
		}
		seen[number] = true
	}
	return nil
}
