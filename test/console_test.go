package test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPrintsAGreatDeal: a reader that is slow gets every line, in order, up to
// the last words of a panic.
func TestPrintsAGreatDeal(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, "run", "--rm", guest, "--", "print")
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	cmd.Stdout, cmd.Stderr = to, io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	to.Close()
	time.Sleep(time.Second) // all buffers on the way are full by now
	lines := bufio.NewScanner(from)
	for i := range 200_000 {
		if want := fmt.Sprint("line ", i); !lines.Scan() || lines.Text() != want {
			t.Fatalf("got %q, want %q", lines.Text(), want)
		}
	}
	if !lines.Scan() || lines.Text() != "the last words, panic: on purpose" {
		t.Errorf("at the end: %q", lines.Text())
	}
	io.Copy(io.Discard, from)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
}

// TestInput: what comes at pith's standard input reaches the program, and so
// does its end.
func TestInput(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstu\n"), 1<<20/32)
	for name, input := range map[string][]byte{"a lot": want, "little": []byte("hello"), "nothing": nil} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, command, "run", "--rm", guest, "--", "cat")
			cmd.Stdin = bytes.NewReader(input)
			got, err := cmd.Output()
			if err != nil || !bytes.Equal(got, input) {
				t.Errorf("%v, got %d bytes, want %d", err, len(got), len(input))
			}
		})
	}
}

// TestTerminal: a program whose console is a terminal knows that, its size, and
// when the size changes; elsewhere it is none.
func TestTerminal(t *testing.T) {
	run(t, guest, "--", "tty").expect(t, 0, "no terminal")

	screen, line := pty(t)
	resize(t, screen, 40, 100)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, "run", "--rm", guest, "--", "tty")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = line, line, line
	cmd.Env = append(os.Environ(), "TERM=vt100")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line.Close()
	said := bufio.NewReader(screen)
	expectLine(t, said, "terminal vt100 40 100")
	resize(t, screen, 50, 120)
	expectLine(t, said, "now 50 120")
	fmt.Fprintln(screen, "hello")
	expectLine(t, said, "you said hello")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestRawTerminal: a program that sets its terminal raw edits lines itself, gets
// Ctrl-C as a byte, and leaves the terminal of the person as it found it.
func TestRawTerminal(t *testing.T) {
	screen, line := pty(t)
	resize(t, screen, 24, 80)
	before := modes(t, screen)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, "run", "--rm", "-it", guest, "--", "raw")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = line, line, line
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line.Close()
	said := bufio.NewReader(screen)
	awaitModes(t, screen, func(m *unix.Termios) bool {
		return m.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) == 0 && m.Oflag&unix.OPOST == 0
	})
	const left, end, rubOut = "\x1b[D", "\x1b[F", "\x7f"
	fmt.Fprint(screen, "helo"+left+"l"+end+"x"+rubOut+"\r")
	expectLine(t, said, `line "hello"`)
	fmt.Fprint(screen, "\x03"+left+"q")
	for _, key := range []int{3, 27, '[', 'D', 'q'} {
		expectLine(t, said, fmt.Sprint("key ", key))
	}
	expectLine(t, said, "cooked")
	awaitModes(t, screen, func(m *unix.Termios) bool { return *m == before })
	fmt.Fprint(screen, "a wholx"+rubOut+"e line\n")
	expectLine(t, said, `whole "a whole line\n"`)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestRawTerminalIsLeft: a machine that is killed while its terminal is raw leaves it as
// it was.
func TestRawTerminalIsLeft(t *testing.T) {
	screen, line := pty(t)
	resize(t, screen, 24, 80)
	before := modes(t, screen)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, "run", "--rm", guest, "--", "raw")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = line, line, line
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer line.Close() // so that the terminal lasts
	go io.Copy(io.Discard, screen)
	awaitModes(t, screen, func(m *unix.Termios) bool { return m.Lflag&unix.ICANON == 0 })
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
	if now := modes(t, screen); now != before {
		t.Errorf("the terminal is left in modes %+v, and had %+v", now, before)
	}
}

// TestTerminalFlags: -t without a terminal, and -t or -i in the background, are refused;
// -i=false gives the program an empty input.
func TestTerminalFlags(t *testing.T) {
	for flags, want := range map[string]string{
		"-t": "-t wants a terminal", "-it": "-t wants a terminal", "-dt": "a machine in the background has neither", "-di": "a machine in the background has neither",
	} {
		out, err := exec.Command(command, "run", flags, guest).CombinedOutput()
		var exit *exec.ExitError
		code := 0
		if errors.As(err, &exit) {
			code = exit.ExitCode()
		}
		if code != 2 || !strings.Contains(string(out), want) {
			t.Errorf("pith run %s: exit code %d, %s; want 2 and %q", flags, code, out, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, "run", "--rm", "-i=false", guest, "--", "cat")
	cmd.Stdin = strings.NewReader("not for the program")
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v, the program read %q", err, out)
	}
}

// modes is a terminal's settings.
func modes(t *testing.T, screen *os.File) unix.Termios {
	t.Helper()
	m, err := unix.IoctlGetTermios(int(screen.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *m
}

// awaitModes waits until a terminal's settings are right.
func awaitModes(t *testing.T, screen *os.File, right func(*unix.Termios) bool) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		m := modes(t, screen)
		if right(&m) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the terminal stays in modes %+v", m)
		}
	}
}

// expectLine reads lines until one ends with want.
func expectLine(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	for {
		text, err := r.ReadString('\n')
		if strings.HasSuffix(strings.TrimSpace(text), want) {
			return
		}
		if err != nil {
			t.Fatalf("no line %q: %v", want, err)
		}
	}
}

// pty makes a terminal: the person's end and the program's.
func pty(t *testing.T) (screen, line *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this host gives no terminals: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	line, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this host gives no terminals: %v", err)
	}
	return screen, line
}

func resize(t *testing.T, screen *os.File, rows, columns uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		t.Fatal(err)
	}
}
