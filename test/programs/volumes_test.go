package programs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// disk is a volume that outlives the machines of a test.
type disk struct {
	*testing.T
	name string
}

// volume makes a disk.
func volume(t *testing.T, size string) disk {
	t.Helper()
	d := disk{t, strings.ToLower(strings.NewReplacer("/", "-", "#", "-").Replace(t.Name()))}
	tool(t, "volume", "create", d.name, "--size", size)
	t.Cleanup(func() { tool(t, "volume", "rm", d.name) })
	return d
}

// sound has the volume checked by Pith as it is, and by Linux's own checker once
// that has replayed the journal, in a copy.
func (d disk) sound() {
	d.Helper()
	tool(d.T, "volume", "check", d.name)
	if _, err := exec.LookPath("e2fsck"); err != nil {
		d.Log("e2fsck is not installed: only Pith's own check was made")
		return
	}
	copied := filepath.Join(d.TempDir(), "copy")
	image := filepath.Join(os.Getenv("PITH_STATE"), "_volumes", d.name+".img")
	if out, err := exec.Command("cp", "--sparse=always", image, copied).CombinedOutput(); err != nil {
		d.Fatalf("cp: %v\n%s", err, out)
	}
	defer os.Remove(copied)
	out, err := exec.Command("e2fsck", "-p", copied).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) { // 1: it has put right what a replay puts right
		d.Errorf("e2fsck -p: %v\n%s", err, out)
	}
	if out, err := exec.Command("e2fsck", "-f", "-n", copied).CombinedOutput(); err != nil {
		d.Errorf("e2fsck -f -n: %v\n%s", err, out)
	}
}

// tool runs pith.
func tool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(command, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("pith %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// kill ends the machine's emulator at once, as a power cut does.
func (s *server) kill() {
	s.Helper()
	var list []struct {
		Name string
		PID  int
	}
	if err := json.Unmarshal([]byte(tool(s.T, "ps", "-o", "json")), &list); err != nil {
		s.Fatal(err)
	}
	for _, m := range list {
		if m.Name != s.name {
			continue
		}
		if err := syscall.Kill(m.PID, syscall.SIGKILL); err != nil {
			s.Fatal(err)
		}
		select {
		case <-s.ended:
		case <-time.After(patience):
			s.Fatal("pith does not see that its machine was killed")
		}
		return
	}
	s.Fatalf("%s does not run", s.name)
}

// records is how a test writes numbered records to a program and finds them again,
// through the program's client.
type records interface {
	// write returns when the program has acknowledged record n, or ctx is done.
	write(ctx context.Context, n int) error
	// all is the records that are there.
	all(ctx context.Context) (map[int]bool, error)
	close()
}

// lasting runs a program whose data is on a volume, again and again: it is stopped
// and its emulator is killed while it is written to, and at each start all records
// that it had acknowledged must be there. If synced is not set, the program doesn't
// claim that what it acknowledges survives a power cut, only a stop.
type lasting struct {
	disk
	synced bool
	start  func() (*server, records)

	mu      sync.Mutex
	next    int
	kept    map[int]bool // acknowledged, and not to be lost
	written map[int]bool // acknowledged since the last start
}

const atOnce = 4

func (l *lasting) run() {
	l.Helper()
	l.kept, l.written = map[int]bool{}, map[int]bool{}
	for i, end := range []func(*server){(*server).stop, (*server).kill, (*server).kill, nil} {
		s, r := l.start()
		l.verify(s, r, i)
		if end == nil {
			r.close()
			s.stop()
			l.sound()
			return
		}
		l.writeUntil(s, r, func() { end(s) })
		r.close()
		l.sound()
		if l.synced || i == 0 {
			for n := range l.written {
				l.kept[n] = true
			}
		}
		clear(l.written)
		if l.Failed() {
			l.FailNow()
		}
	}
}

// verify waits for the program to answer, and compares.
func (l *lasting) verify(s *server, r records, starts int) {
	l.Helper()
	var there map[int]bool
	s.eventually("the records", func() (err error) {
		ctx, cancel := context.WithTimeout(l.Context(), patience/4)
		defer cancel()
		there, err = r.all(ctx)
		return err
	})
	for n := range l.kept {
		if !there[n] {
			l.Errorf("start %d: record %d was acknowledged and is lost", starts+1, n)
		}
	}
	for n := range there {
		if n >= l.next {
			l.Errorf("start %d: record %d was never written", starts+1, n)
		}
	}
	l.Logf("start %d: %d records are there, %d must be", starts+1, len(there), len(l.kept))
	for n := range there {
		l.kept[n] = true // what was seen once stays
	}
}

// enough is how many records are acknowledged before the machine is ended.
const enough = 100

// writeUntil writes records until enough are acknowledged, ends the machine under
// the writers, and waits for these.
func (l *lasting) writeUntil(s *server, r records, end func()) {
	l.Helper()
	ctx, cancel := context.WithCancel(l.Context())
	defer cancel()
	reached := make(chan struct{})
	var writers sync.WaitGroup
	for range atOnce {
		writers.Go(func() {
			for ctx.Err() == nil {
				n := l.take()
				if r.write(ctx, n) == nil && l.acknowledged(n) == enough {
					close(reached)
				}
			}
		})
	}
	select {
	case <-reached:
	case <-s.ended:
		l.Fatalf("the program has ended by itself:\n%s", s.out.String())
	case <-time.After(patience):
		l.Fatalf("too few records were acknowledged; the program said:\n%s", s.out.String())
	}
	end()
	cancel()
	writers.Wait()
}

// take is the number of the next record.
func (l *lasting) take() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	return l.next - 1
}

// acknowledged notes that a record is, and returns how many are since the start.
func (l *lasting) acknowledged(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written[n] = true
	return len(l.written)
}

// number reads a record's name.
func number(name string) (n int, err error) {
	_, err = fmt.Sscanf(name, "record-%d", &n)
	return n, err
}

func named(n int) string { return fmt.Sprintf("record-%08d", n) }
