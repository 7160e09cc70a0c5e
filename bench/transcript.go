package bench

import "sync"

// What is kept of a machine's output, in bytes: a crash says what happened
// first, and a machine that doesn't come up says why last.
const (
	headSize = 3072
	endSize  = 1024
)

// transcript is a writer that keeps the beginning and the end of what it was
// given, for the error when a machine doesn't serve.
type transcript struct {
	mu        sync.Mutex
	head, end []byte
	omitted   bool
}

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(b), headSize-len(t.head))
	t.head = append(t.head, b[:n]...)
	t.end = append(t.end, b[n:]...)
	if extra := len(t.end) - endSize; extra > 0 {
		t.end = append(t.end[:0], t.end[extra:]...)
		t.omitted = true
	}
	return len(b), nil
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.omitted {
		return string(t.head) + "\n[...]\n" + string(t.end)
	}
	return string(t.head) + string(t.end)
}
