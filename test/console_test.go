package test

import (
	"bufio"
	"bytes"
	"context"
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
