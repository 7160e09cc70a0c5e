package machine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"pith"
)

// Remote is a machine that another process supervises.
type Remote struct {
	entry *Entry
}

// Remote reaches the machine's supervisor.
func (e *Entry) Remote() Remote { return Remote{e} }

// Signal hands a signal to the program inside.
func (r Remote) Signal(number int) error {
	_, err := r.ask(context.Background(), fmt.Sprintf("signal %d", number))
	return err
}

// PressButton presses the machine's power button.
func (r Remote) PressButton() error {
	_, err := r.ask(context.Background(), "button")
	return err
}

// Stats asks the machine for its figures.
func (r Remote) Stats(ctx context.Context) (s Stats, err error) {
	reply, err := r.ask(ctx, "stats")
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(reply), &s); err != nil {
		return s, fmt.Errorf("figures of %s: %w", r.entry.Spec.Name, err)
	}
	return s, nil
}

// Listens tells whether the program has begun to listen at a port. On the user
// network a connection to a published port says nothing of it.
func (r Remote) Listens(ctx context.Context, protocol string, port uint16) (bool, error) {
	reply, err := r.ask(ctx, "listens")
	return slices.Contains(strings.Fields(reply), listenWord(protocol, port)), err
}

// Kill ends the machine at once, also one whose supervisor does not answer.
func (r Remote) Kill() error {
	if _, err := r.ask(context.Background(), "kill"); err == nil {
		return nil
	}
	return r.entry.State().Process.Kill()
}

// Debug lets a debugger connect to a Unix socket at path.
func (r Remote) Debug(path string) error {
	_, err := r.ask(context.Background(), "debug "+path)
	return err
}

// Wait returns the program's exit code when the machine has ended.
func (r Remote) Wait(ctx context.Context) (int, error) {
	reply, err := r.ask(ctx, "wait")
	if err == nil {
		return strconv.Atoi(reply)
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	// It may have ended before the question reached it.
	if s := r.entry.State(); s.Status == StatusExited {
		return s.ExitCode, nil
	}
	return 0, err
}

// Stop asks the program to end (SIGTERM), gives it grace, and kills it then.
// killed says whether that was needed. A machine that has ended is no error.
func (r Remote) Stop(ctx context.Context, grace time.Duration) (killed bool, err error) {
	if r.entry.State().Status == StatusExited {
		return false, nil
	}
	if err := r.Signal(15); err != nil && r.entry.State().Status == StatusExited {
		return false, nil
	}
	return r.await(ctx, grace)
}

// StopByButton is Stop by the machine's power button.
func (r Remote) StopByButton(ctx context.Context, grace time.Duration) (killed bool, err error) {
	if r.entry.State().Status == StatusExited {
		return false, nil
	}
	if err := r.PressButton(); err != nil {
		return false, err
	}
	return r.await(ctx, grace)
}

// await gives the program grace to end, and kills the machine then.
func (r Remote) await(ctx context.Context, grace time.Duration) (killed bool, err error) {
	waiting, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if _, err := r.Wait(waiting); err == nil {
		return false, nil
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err := r.Kill(); err != nil {
		return true, err
	}
	waiting, cancel = context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := r.Wait(waiting); err != nil {
		return true, fmt.Errorf("machine %s was killed but did not end: %w", r.entry.Spec.Name, err)
	}
	return true, nil
}

// ask sends one request and returns the words behind "ok".
func (r Remote) ask(ctx context.Context, request string) (string, error) {
	conn, err := r.dial(ctx)
	if err != nil {
		return "", fmt.Errorf("reach the supervisor of %s: %w", r.entry.Spec.Name, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := fmt.Fprintln(conn, request); err != nil {
		return "", fmt.Errorf("ask the supervisor of %s: %w", r.entry.Spec.Name, err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("the supervisor of %s did not answer: %w", r.entry.Spec.Name, err)
	}
	status, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	if status != "ok" {
		return "", errors.New(rest)
	}
	return rest, nil
}

func (r Remote) dial(ctx context.Context) (net.Conn, error) {
	path, done, err := socketPath(r.entry.Dir)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}

// maxSocketPath is the least that any system takes for a Unix socket's path,
// its final zero included (sun_path of macOS; Linux takes 108).
const maxSocketPath = 104

// socketPath is a path of the machine's socket that is short enough to be
// used. It is good until done is called.
func socketPath(dir string) (path string, done func(), err error) {
	path = filepath.Join(dir, socketFile)
	if len(path) < maxSocketPath {
		return path, func() {}, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, pith.Errorf("%s is too long a path for a socket: set PITH_STATE to a shorter folder", path)
	}
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), socketFile), func() { f.Close() }, nil
}
