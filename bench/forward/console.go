package forward

import "sync"

// consoleSize is what is kept of what a machine prints, in bytes.
const consoleSize = 4096

// console keeps the end of what a machine prints.
type console struct {
	mu   sync.Mutex
	text []byte
}

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = append(c.text, b...)
	if extra := len(c.text) - consoleSize; extra > 0 {
		c.text = append(c.text[:0], c.text[extra:]...)
	}
	return len(b), nil
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.text)
}
