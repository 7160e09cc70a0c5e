package linuxvm

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// monitorPatience is how long QEMU may take to answer.
const monitorPatience = 10 * time.Second

// monitor speaks QEMU's machine protocol (QMP): a greeting, then one JSON
// object for each command, with events in between. Source: QEMU's
// docs/interop/qmp-spec.
type monitor struct {
	mu    sync.Mutex
	conn  net.Conn
	in    *json.Decoder
	ready bool // greeting read and capabilities agreed
}

func newMonitor(conn net.Conn) *monitor {
	return &monitor{conn: conn, in: json.NewDecoder(conn)}
}

func (m *monitor) close() { m.conn.Close() }

// call runs one command and decodes what it returns into result, which may be
// nil.
func (m *monitor) call(command string, args, result any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.conn.SetDeadline(time.Now().Add(monitorPatience)); err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	if !m.ready {
		if err := m.greet(); err != nil {
			return fmt.Errorf("monitor: %w", err)
		}
		m.ready = true
	}
	if err := m.ask(command, args, result); err != nil {
		return fmt.Errorf("monitor: %s: %w", command, err)
	}
	return nil
}

func (m *monitor) greet() error {
	var greeting struct{ QMP json.RawMessage }
	if err := m.in.Decode(&greeting); err != nil {
		return err
	}
	if greeting.QMP == nil {
		return errors.New("no greeting")
	}
	return m.ask("qmp_capabilities", nil, nil)
}

func (m *monitor) ask(command string, args, result any) error {
	type request struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}
	if err := json.NewEncoder(m.conn).Encode(request{command, args}); err != nil {
		return err
	}
	for {
		var answer struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
		}
		if err := m.in.Decode(&answer); err != nil {
			return err
		}
		if answer.Error != nil {
			return errors.New(answer.Error.Desc)
		}
		if answer.Return == nil { // an event
			continue
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(answer.Return, result)
	}
}
