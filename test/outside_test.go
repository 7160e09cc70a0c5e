package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// What stands for the world outside of the machines in TestOutside.
const (
	outsideAddr = "10.99.0.1" // the test's server
	outsideName = "files.pith.test"
	outsideMany = 100 // new connections to the outside at once
)

// insideMany is how many new connections come to a machine at once. Few may where pith can't
// borrow QEMU's sockets (machine/qemu, backlog_linux.go).
func insideMany() int {
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return 10
	}
	defer unix.Close(self)
	fd, err := unix.PidfdGetfd(self, 0, 0)
	if err != nil {
		return 10
	}
	unix.Close(fd)
	return 100
}

// TestOutside runs a program as each kind of machine on the user network, in a network
// namespace that has nothing but a name server and a web server of the test's. The
// program resolves a name by the host's resolver, fetches a page, and opens many
// connections at once; then many come to its published ports.
func TestOutside(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces take root")
	}
	for _, kind := range []string{"unikernel", "process", "container", "linuxvm"} {
		t.Run(kind, func(t *testing.T) {
			canRun(t, kind)
			program := guest
			if kind != "unikernel" {
				program = hostedGuest(t)
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), clientVariable+"=outside "+kind+" "+command+" "+program)
			cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			switch {
			case err != nil && !errors.As(err, &exit):
				t.Skip("this host has no network namespaces: ", err)
			case err != nil:
				t.Fatalf("%v: %s", err, out)
			}
			want := fmt.Sprintf("outside: [%s] %q %d of %d, datagram true, unknown true\n", outsideAddr, "hello from outside", outsideMany, outsideMany)
			if !strings.Contains(string(out), want) {
				t.Errorf("%s; want %s", out, want)
			}
		})
	}
}

// hostedGuest builds the guest as a Linux program, once.
func hostedGuest(t *testing.T) string {
	t.Helper()
	file, err := buildHostedGuest()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

var buildHostedGuest = sync.OnceValues(func() (string, error) {
	file := filepath.Join(filepath.Dir(guest), "guest.linux")
	cmd := exec.Command("go", "build", "-o", file, ".")
	cmd.Dir = "guest"
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the guest for Linux: %w\n%s", err, out)
	}
	return file, nil
})

// canRun skips where this host lacks what a kind needs.
func canRun(t *testing.T, kind string) {
	t.Helper()
	var found struct {
		Findings []struct {
			Name, Detail string
			OK           bool
		}
	}
	out, _ := exec.Command(command, "doctor", "-o", "json").Output() // its exit code is about other things, too
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatalf("pith doctor: %v: %s", err, out)
	}
	finding := map[string]string{"process": "process", "container": "runc", "linuxvm": "linux"}[kind]
	for _, f := range found.Findings {
		if f.Name == finding && !f.OK {
			t.Skip(f.Detail)
		}
	}
}

// beOutside is the world outside of one machine, and runs it. It prints what the machine
// does, and what failed.
func beOutside(args string) int {
	words := strings.Fields(args)
	page, err := openOutside()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	var out bytes.Buffer
	cmd := exec.Command(words[1], "run", "--rm", "--machine", words[0], "-p", "127.0.0.1:80:80", "-p", "127.0.0.1:7:7/udp",
		words[2], "--", "outbound", page, fmt.Sprint(outsideMany))
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
		return 1
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	err = useMachine(ended)
	cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(patience):
		cmd.Process.Kill()
		err = errors.Join(err, errors.New("the machine did not stop"))
	}
	fmt.Print(out.String())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// openOutside makes the namespaces that this process was started in the world outside. It
// returns the URL of its page.
func openOutside() (page string, err error) {
	for _, args := range []string{"link set lo up", "link add outside type bridge", "addr add " + outsideAddr + "/24 dev outside", "link set outside up"} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("ip %s: %w: %s", args, err, out)
		}
	}
	config, err := os.CreateTemp("", "pith-resolv")
	if err != nil {
		return "", err
	}
	defer os.Remove(config.Name()) // the mount keeps it
	if _, err := config.WriteString("nameserver 127.0.0.1\n"); err != nil {
		return "", err
	}
	config.Close()
	if err := syscall.Mount(config.Name(), "/etc/resolv.conf", "", syscall.MS_BIND, ""); err != nil {
		return "", fmt.Errorf("put a resolv.conf of the test's in place: %w", err)
	}
	for _, network := range []string{"udp", "tcp"} {
		started := make(chan error, 1)
		server := &dns.Server{Addr: "127.0.0.1:53", Net: network, Handler: dns.HandlerFunc(answerName), NotifyStartedFunc: func() { started <- nil }}
		go func() { started <- server.ListenAndServe() }()
		if err := <-started; err != nil {
			return "", err
		}
	}
	l, err := net.Listen("tcp", outsideAddr+":0")
	if err != nil {
		return "", err
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello from outside") }))
	echo, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		return "", err
	}
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := echo.ReadFrom(buf)
			if err != nil {
				return
			}
			echo.WriteTo(buf[:n], from)
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return "http://" + outsideName + ":" + port + "/", err
}

// answerName is a name server with one name, which has an IPv4 address only.
func answerName(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	name, kind := q.Question[0].Name, q.Question[0].Qtype
	switch {
	case name != outsideName+".":
		m.Rcode = dns.RcodeNameError
	case kind == dns.TypeA:
		m.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
			A:   net.ParseIP(outsideAddr),
		}}
	}
	w.WriteMsg(m)
}

// useMachine waits for the machine's page, and uses its published ports: many flows by
// connections that stay, and many new connections at once.
func useMachine(ended chan error) error {
	for end := time.Now().Add(patience); getOnce("http://127.0.0.1:80/new") != nil; time.Sleep(50 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			return errors.Join(errors.New("the machine has ended"), err)
		default:
		}
		if time.Now().After(end) {
			return errors.New("the machine's page did not come")
		}
	}
	var all sync.WaitGroup
	many := insideMany()
	failures := make(chan error, many+20)
	for range many {
		all.Go(func() { failures <- getOnce("http://127.0.0.1:80/new") })
	}
	for range 10 {
		all.Go(func() { failures <- askPages("127.0.0.1:80") })
		all.Go(func() { failures <- askEchoes("127.0.0.1:7") })
	}
	all.Wait()
	close(failures)
	var err error
	for one := range failures {
		err = errors.Join(err, one)
	}
	return err
}

func getOnce(page string) error {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(page)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if text, err := io.ReadAll(r.Body); err != nil || string(text) != "hello from /new\n" {
		return fmt.Errorf("the machine's page: %q, %v", text, err)
	}
	return nil
}
