package packet

import "sync"

// Memory is a Port of a test: Deliver brings frames in, Sent takes out what was
// sent.
type Memory struct {
	Label string
	MAC   MAC
	Size  int // MTU; 0 is 1500

	mu     sync.Mutex
	handle func(int, *Frame)
	done   func(int)
	sent   [][]byte
	end    chan struct{}
}

// Name implements Port.
func (m *Memory) Name() string { return m.Label }

// HardwareAddr implements Port.
func (m *Memory) HardwareAddr() MAC { return m.MAC }

// MTU implements Port.
func (m *Memory) MTU() int {
	if m.Size == 0 {
		return 1500
	}
	return m.Size
}

// Queues implements Port.
func (m *Memory) Queues() int { return 1 }

// Receive implements Port.
func (m *Memory) Receive(handle func(int, *Frame), done func(int)) error {
	m.mu.Lock()
	m.handle, m.done, m.end = handle, done, make(chan struct{})
	end := m.end
	m.mu.Unlock()
	<-end
	return nil
}

// Ready tells whether Receive has been called.
func (m *Memory) Ready() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.handle != nil
}

// Deliver lets a frame come in.
func (m *Memory) Deliver(b []byte) {
	f := NewFrame(len(b))
	copy(f.Bytes(), b)
	m.DeliverFrame(f)
}

// DeliverFrame lets a frame come in that stays the caller's.
func (m *Memory) DeliverFrame(f *Frame) {
	m.mu.Lock()
	handle, done := m.handle, m.done
	m.mu.Unlock()
	handle(0, f)
	done(0)
}

// Send implements Port.
func (m *Memory) Send(_ int, f *Frame) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent = append(m.sent, append([]byte(nil), f.Bytes()...))
	return true
}

// Sent returns what was sent since the last call.
func (m *Memory) Sent() [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sent
	m.sent = nil
	return s
}

// Flush implements Port.
func (m *Memory) Flush(int) {}

// Close implements Port.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.end != nil {
		close(m.end)
		m.end = nil
	}
	return nil
}
