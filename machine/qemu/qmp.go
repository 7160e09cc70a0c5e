package qemu

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// qmp is one session of the QEMU Machine Protocol: JSON objects, commands
// answered in order, events in between.
// Source: QEMU's docs/interop/qmp-spec.
type qmp struct {
	conn    io.ReadWriteCloser
	replies chan qmpMessage // closed at the end
	ended   chan struct{}

	turn sync.Mutex // one command at a time; the negotiation has it first

	mu     sync.Mutex
	reason string // of the last SHUTDOWN event
}

type qmpMessage struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	Event string `json:"event"`
	Data  struct {
		Reason string `json:"reason"`
	} `json:"data"`
}

// openQMP begins a session; it doesn't wait for QEMU, which answers when it
// has come so far.
func openQMP(conn io.ReadWriteCloser) *qmp {
	q := &qmp{conn: conn, replies: make(chan qmpMessage, 1), ended: make(chan struct{})}
	q.turn.Lock()
	go q.read()
	go func() {
		defer q.turn.Unlock()
		// It fails only where QEMU has ended, which Wait explains.
		q.execute("qmp_capabilities", nil)
	}()
	return q
}

func (q *qmp) read() {
	defer close(q.ended)
	defer close(q.replies)
	d := json.NewDecoder(bufio.NewReader(q.conn))
	for {
		var m qmpMessage
		if err := d.Decode(&m); err != nil {
			return
		}
		switch {
		case m.Event == "SHUTDOWN":
			q.mu.Lock()
			q.reason = m.Data.Reason
			q.mu.Unlock()
		case m.Return != nil || m.Error != nil:
			q.replies <- m
		}
	}
}

// run sends a command and waits for its answer.
func (q *qmp) run(command string, arguments map[string]any) (json.RawMessage, error) {
	q.turn.Lock()
	defer q.turn.Unlock()
	return q.execute(command, arguments)
}

func (q *qmp) execute(command string, arguments map[string]any) (json.RawMessage, error) {
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	text, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("QMP %s: %w", command, err)
	}
	if _, err := q.conn.Write(append(text, '\n')); err != nil {
		return nil, fmt.Errorf("QMP %s: %w", command, err)
	}
	m, ok := <-q.replies
	if !ok {
		return nil, fmt.Errorf("QMP %s: %w", command, io.ErrUnexpectedEOF)
	}
	if m.Error != nil {
		return nil, fmt.Errorf("QMP %s: %s", command, m.Error.Desc)
	}
	return m.Return, nil
}

// monitor runs a command of the human monitor, which answers with text only
// when it fails.
func (q *qmp) monitor(line string) error {
	answer, err := q.run("human-monitor-command", map[string]any{"command-line": line})
	if err != nil {
		return err
	}
	var text string
	if err := json.Unmarshal(answer, &text); err != nil {
		return fmt.Errorf("QMP human-monitor-command: %w", err)
	}
	if strings.Contains(text, "rror") || strings.Contains(text, "ould not") {
		return errors.New(strings.TrimSpace(text))
	}
	return nil
}

// shutdownReason is why the guest ended, in QEMU's words; "" where it did
// not say.
func (q *qmp) shutdownReason() string {
	<-q.ended
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.reason
}
