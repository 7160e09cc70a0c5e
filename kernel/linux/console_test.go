package linux

import (
	"syscall"
	"testing"
	"unsafe"
)

// TestTerminalModes: the terminal's own end is told of each change, and of the return
// to what it was; settings that concern nobody else are only kept.
func TestTerminalModes(t *testing.T) {
	terminalModes = nil
	request := func(number uintptr, settings *termios) {
		t.Helper()
		_, _, errno := entry(syscall.SYS_IOCTL, 0, number, uintptr(unsafe.Pointer(settings)), 0, 0, 0)
		want(t, errno, 0)
	}
	var first termios
	request(syscall.TCGETS, &first)
	raw := first
	raw.lflag &^= syscall.ICANON | syscall.ECHO | syscall.ISIG
	raw.oflag &^= syscall.OPOST
	raw.cc[vMin], raw.cc[vTime] = 0, 0
	request(syscall.TCSETS, &raw)
	request(syscall.TCSETS+1, &raw)
	other := raw
	other.cc[0] = 7 // VINTR
	request(syscall.TCSETS+2, &other)
	if n, err := Read(0, make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("with VMIN 0, reading what is not there gives %d, %v", n, err)
	}
	request(syscall.TCGETS, &raw)
	if raw != other {
		t.Errorf("the settings are %+v, want %+v", raw, other)
	}
	request(syscall.TCSETS, &first)
	if len(terminalModes) != 2 || terminalModes[0] != (terminalMode{other.mode(), false}) || !terminalModes[1].before {
		t.Errorf("the terminal was told %+v", terminalModes)
	}
}
