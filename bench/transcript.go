package bench

import (
	"sync"
	"time"
)

// What is kept of a machine's output, in bytes: a crash says what happened
// first, and a machine that doesn't come up says why last.
const (
	headSize = 3072
	endSize  = 1024
)

// transcript is a writer that keeps the beginning and the end of what it was
// given, for the error when a machine doesn't serve, and when marks came.
type transcript struct {
	mu        sync.Mutex
	head, end []byte
	omitted   bool
	marks     marks
}

// newTranscript looks for marks if the start is traced.
func newTranscript(s Shape, texts ...string) *transcript {
	t := new(transcript)
	if s.Trace {
		t.marks.texts = texts
	}
	return t
}

func (t *transcript) Write(b []byte) (int, error) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.marks.look(b, now)
	n := min(len(b), headSize-len(t.head))
	t.head = append(t.head, b[:n]...)
	t.end = append(t.end, b[n:]...)
	if extra := len(t.end) - endSize; extra > 0 {
		t.end = append(t.end[:0], t.end[extra:]...)
		t.omitted = true
	}
	return len(b), nil
}

// stages are what of makes of the marks.
func (t *transcript) stages(of func(*marks) []Stage) []Stage {
	t.mu.Lock()
	defer t.mu.Unlock()
	return of(&t.marks)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.omitted {
		return string(t.head) + "\n[...]\n" + string(t.end)
	}
	return string(t.head) + string(t.end)
}
