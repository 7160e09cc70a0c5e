package machine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A machine's log is a file of JSON lines, one for each line that the program
// printed. At maxLog bytes it becomes the older part, and a new one begins:
// a machine's log never takes more than twice that.
const (
	logFile     = "log.jsonl"
	olderFile   = "log.1.jsonl"
	maxLog      = 16 * MiB
	maxLogLine  = 16 << 10 // a longer line is cut into several
	followPause = 100 * time.Millisecond
)

// LogLine is one line of a log.
type LogLine struct {
	Time time.Time `json:"t"`
	Text string    `json:"s"`
	Part bool      `json:"part,omitempty"` // no newline followed
}

// LogWriter turns a program's output into a log. Close ends the last line.
// It may be used from several goroutines.
type LogWriter struct {
	dir string
	now func() time.Time

	mu   sync.Mutex
	file *os.File
	size int64
	line []byte // the beginning of a line whose end has not come yet
	out  []byte // scratch
}

// OpenLog begins or continues the log of the machine at e.
func (e *Entry) OpenLog() (*LogWriter, error) {
	w := &LogWriter{dir: e.Dir, now: time.Now}
	return w, w.open()
}

func (w *LogWriter) open() error {
	f, err := os.OpenFile(filepath.Join(w.dir, logFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("open the log: %w", err)
	}
	w.file, w.size = f, info.Size()
	return nil
}

// Write appends whole lines and keeps the rest for later.
func (w *LogWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, now := len(p), w.now()
	w.out = w.out[:0]
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		end := i
		if i < 0 {
			end = len(p)
		}
		take := min(end, maxLogLine-len(w.line))
		w.line = append(w.line, p[:take]...)
		switch p = p[take:]; {
		case take < end:
			w.emit(now, true)
		case i >= 0:
			w.emit(now, false)
			p = p[1:]
		}
	}
	return n, w.flush()
}

func (w *LogWriter) emit(now time.Time, part bool) {
	line := LogLine{Time: now.UTC(), Text: string(bytes.TrimSuffix(w.line, []byte("\r"))), Part: part}
	// Marshalling strings and a time can't fail.
	text, _ := json.Marshal(line)
	w.out = append(append(w.out, text...), '\n')
	w.line = w.line[:0]
}

func (w *LogWriter) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	if w.size > 0 && w.size+int64(len(w.out)) > maxLog {
		if err := w.rotate(); err != nil {
			return err
		}
	}
	n, err := w.file.Write(w.out)
	w.size += int64(n)
	return err
}

func (w *LogWriter) rotate() error {
	w.file.Close()
	if err := os.Rename(filepath.Join(w.dir, logFile), filepath.Join(w.dir, olderFile)); err != nil {
		return fmt.Errorf("begin a new log: %w", err)
	}
	return w.open()
}

// Close writes what is left and closes the file.
func (w *LogWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = w.out[:0]
	if len(w.line) > 0 {
		w.emit(w.now(), true)
	}
	return errors.Join(w.flush(), w.file.Close())
}

// ReadLog calls line for each line of the machine's log, the oldest first.
// With follow it goes on until the machine has ended or ctx is done.
func (e *Entry) ReadLog(ctx context.Context, follow bool, line func(LogLine) error) error {
	r := logReader{line: line}
	defer r.close()
	if err := r.readFile(filepath.Join(e.Dir, olderFile)); err != nil {
		return err
	}
	r.close()
	path := filepath.Join(e.Dir, logFile)
	for {
		// Asked before reading: what was written before the end is read.
		ended := e.State().Status == StatusExited
		if err := r.readFile(path); err != nil {
			return err
		}
		if !follow || ended {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followPause):
		}
	}
}

// logReader reads one file as it grows, and the one that takes its place.
type logReader struct {
	line func(LogLine) error
	file *os.File
	buf  *bufio.Reader
	rest []byte // the beginning of a line that is still being written
}

// readFile reads on to the end of what stands at path now.
func (r *logReader) readFile(path string) error {
	if r.file == nil {
		return r.openAndRead(path)
	}
	if err := r.readOn(); err != nil {
		return err
	}
	if r.current(path) {
		return nil
	}
	// The file was put aside after the read above: take its last lines.
	if err := r.readOn(); err != nil {
		return err
	}
	r.close()
	return r.openAndRead(path)
}

func (r *logReader) openAndRead(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	r.file, r.buf = f, bufio.NewReader(f)
	return r.readOn()
}

func (r *logReader) current(path string) bool {
	now, err := os.Stat(path)
	if err != nil {
		return true
	}
	mine, err := r.file.Stat()
	return err == nil && os.SameFile(now, mine)
}

func (r *logReader) readOn() error {
	for {
		text, err := r.buf.ReadBytes('\n')
		r.rest = append(r.rest, text...)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		var l LogLine
		if err := json.Unmarshal(r.rest, &l); err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		r.rest = r.rest[:0]
		if err := r.line(l); err != nil {
			return err
		}
	}
}

func (r *logReader) close() {
	if r.file != nil {
		r.file.Close()
	}
	r.file, r.rest = nil, nil
}
