package console

import (
	"bytes"
	"io"
	"syscall"
	"testing"
	"time"

	"pith/kernel/socket"
)

func TestWithoutInput(t *testing.T) {
	c := New(io.Discard)
	if n, errno := c.Read(make([]byte, 1)); n != 0 || errno != 0 {
		t.Errorf("read = %d, %v, want the end of input", n, errno)
	}
	if c.Readiness()&syscall.EPOLLIN == 0 {
		t.Error("the end of input is not ready to be read")
	}
}

// TestInput: input is asked for by the first read, waits while nobody reads,
// loses nothing, and ends behind its last byte although the end is told first.
func TestInput(t *testing.T) {
	const total = 3 * limit
	from, to := io.Pipe()
	c := New(io.Discard)
	opened := make(chan bool, 1)
	c.Input(func() io.Reader { opened <- true; return from })
	ready := make(chan bool, 1)
	c.Notify(func(socket.Readiness) {
		select {
		case ready <- true:
		default:
		}
	})
	if len(opened) != 0 || c.Readiness()&syscall.EPOLLIN != 0 {
		t.Fatal("input is there before it is wanted")
	}
	if _, errno := c.Read(make([]byte, 1)); errno != syscall.EAGAIN {
		t.Fatal(errno)
	}
	<-opened
	want := bytes.Repeat([]byte("0123456789abcde\n"), total/16)
	go to.Write(want)
	c.EndInput(total)
	var got []byte
	buf := make([]byte, 1000)
	for {
		n, errno := c.Read(buf)
		if errno == syscall.EAGAIN {
			select {
			case <-ready:
			case <-time.After(10 * time.Second):
				t.Fatal("no more input")
			}
			continue
		}
		if n == 0 {
			break
		}
		got = append(got, buf[:n]...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, want %d", len(got), len(want))
	}
}

func TestOutputMoves(t *testing.T) {
	var first, second bytes.Buffer
	c := New(&first)
	c.Write([]byte("a"))
	c.Output(&second)
	c.Write([]byte("b"))
	if first.String() != "a" || second.String() != "b" {
		t.Errorf("%q, %q", first.String(), second.String())
	}
}
