package kernel

import (
	"io"
	"strconv"
	"strings"
	"syscall"
	"time"

	"pith/abi"
	"pith/kernel/clock"
	"pith/kernel/console"
	"pith/kernel/diag"
	"pith/kernel/linux"
	"pith/kernel/profile"
	"pith/kernel/rt"
	"pith/kernel/virtio"
	vconsole "pith/kernel/virtio/console"
)

// debugPort writes to the console of the lower half.
type debugPort struct{}

func (debugPort) Write(p []byte) (int, error) {
	rt.Print(string(p))
	return len(p), nil
}

func (m *machine) openConsole() {
	m.console = console.New(debugPort{})
	m.console.SetWindowSize(m.rows, m.columns)
	m.eachOf(virtio.TypeConsole, func(t virtio.Transport) error {
		if m.consoleDevice != nil {
			return nil
		}
		options := vconsole.Options{Report: report}
		if len(m.send)+len(m.changed) > 0 {
			options.Ports = vconsole.DefaultPorts + 1 // abi.FilesPort
		}
		d, err := vconsole.New(t, memory{}, options)
		m.consoleDevice = d
		return err
	})
	if m.consoleDevice == nil {
		return
	}
	if m.hasInput {
		m.console.Input(m.awaitInput)
	}
	go m.moveConsole()
}

// moveConsole leaves the debug port, which costs the machine an exit for each
// byte, once the console's own port is there.
func (m *machine) moveConsole() {
	port := m.consoleDevice.AwaitPort(abi.ConsolePort)
	diag.UnderWay = port.UnderWay
	m.console.Output(port)
}

// awaitInput asks for the program's standard input and returns where it comes.
func (m *machine) awaitInput() io.Reader {
	rt.Announce(abi.ControlInput)
	return m.consoleDevice.AwaitPort(abi.InputPort)
}

// setTerminal asks for the terminal to be set as the program wants it.
func setTerminal(mode linux.TerminalMode, before bool) {
	if before {
		rt.Announce(abi.ControlTerminal)
		return
	}
	line := []byte(abi.ControlTerminal)
	for _, n := range []uint32{mode.Input, mode.Output, mode.Local, uint32(mode.Min), uint32(mode.Time)} {
		line = strconv.AppendUint(append(line, ' '), uint64(n), 10)
	}
	rt.Announce(string(line))
}

// listenControl obeys the machine's driver, in a goroutine of its own.
func (m *machine) listenControl() {
	if m.consoleDevice == nil {
		return
	}
	go func() {
		port := m.consoleDevice.AwaitPort(abi.ControlPort)
		if port != nil {
			go m.wallTime.keep()
			m.obey(port)
		}
	}()
}

// maxLine bounds a control message, in bytes.
const maxLine = 256

// obey reads control messages, one a line, until the port ends.
func (m *machine) obey(port io.ReadWriter) {
	var line []byte
	buf := make([]byte, 128)
	for {
		n, err := port.Read(buf)
		for _, c := range buf[:n] {
			if c == '\n' {
				m.command(port, string(line))
				line = line[:0]
			} else if len(line) < maxLine {
				line = append(line, c)
			}
		}
		if err != nil {
			return
		}
	}
}

// command runs one control message, and answers it at port where it asks. Unknown ones are left alone, so that
// newer drivers may send them.
func (m *machine) command(port io.Writer, line string) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return
	}
	if words[0] == abi.ControlProfile && len(words) == 3 {
		takeProfile(words[1], words[2], port)
		return
	}
	var numbers [2]int
	for i, w := range words[1:min(len(words), 3)] {
		n, err := strconv.Atoi(w)
		if err != nil {
			return
		}
		numbers[i] = n
	}
	switch words[0] {
	case abi.ControlSignal:
		m.signal(numbers[0])
	case abi.ControlWindow:
		m.console.SetWindowSize(numbers[0], numbers[1])
		rt.Signal(int(syscall.SIGWINCH))
	case abi.ControlStats:
		port.Write([]byte(m.stats())) // a driver that has gone needs none
	case abi.ControlTime:
		m.wallTime.answer(int64(numbers[0]))
	case abi.ControlEnd:
		m.console.EndInput(numbers[0])
	}
}

// signal sends the program a signal, by which it may end at once: what it has written
// to volumes by now is on their disks before.
func (m *machine) signal(number int) {
	if len(m.mounts) > 0 {
		linux.Tree().Sync()
	}
	rt.Signal(number)
}

// noAgent is the answer of an image without one: abi.NoAgent in base64.
const noAgent = abi.ControlProfile + " " + abi.ProfileError + " bm8gYWdlbnQ=\n"

// takeProfile has the agent answer, in a goroutine of its own: it may take long.
func takeProfile(kind, seconds string, port io.Writer) {
	n, err := strconv.ParseUint(seconds, 10, 16)
	if err != nil {
		return
	}
	go func() {
		take := awaitAgent()
		if take == nil {
			port.Write([]byte(noAgent))
			return
		}
		take(kind, int(n), port)
	}()
}

// awaitAgent is the agent. It is initialised after the kernel, so that there may
// be none yet in a machine's first seconds.
func awaitAgent() profile.Taker {
	const startTime = 5 * time.Second
	for profile.Registered() == nil && clock.Now() < int64(startTime) {
		time.Sleep(20 * time.Millisecond)
	}
	return profile.Registered()
}

// announce tells the machine's driver that the program listens at a port.
func announce(protocol string, port uint16) {
	rt.Announce(abi.ControlListen + " " + protocol + " " + strconv.Itoa(int(port)))
}
