package machine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func newEntry(t *testing.T) *Entry {
	t.Helper()
	e, err := OpenStore(t.TempDir()).Create(validSpec("web"))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func lines(t *testing.T, e *Entry) []string {
	t.Helper()
	var got []string
	err := e.ReadLog(context.Background(), false, func(l LogLine) error {
		text := l.Text
		if !l.Part {
			text += "|"
		}
		got = append(got, text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestLog(t *testing.T) {
	e := newEntry(t)
	if got := lines(t, e); len(got) != 0 {
		t.Errorf("a log that is not there: %q", got)
	}
	w, err := e.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", maxLogLine)
	for _, s := range []string{"one\ntw", "o\r\n\n", long, "\n", long + "y\n", "\x1b[1m\"q\"\n", "rest"} {
		if n, err := w.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{"one|", "two|", "|", long + "|", long, "y|", "\x1b[1m\"q\"|", "rest"}
	if got := lines(t, e); !slices.Equal(got, want) {
		t.Errorf("lines = %.60q, want %.60q", got, want)
	}
}

func TestLogIsBounded(t *testing.T) {
	e := newEntry(t)
	w, err := e.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	text := []byte(strings.Repeat(strings.Repeat("z", 99)+"\n", 10000))
	for range 20 {
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	var total int64
	for _, name := range []string{logFile, olderFile} {
		info, err := os.Stat(filepath.Join(e.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > 2*maxLog+4*MiB || total < maxLog {
		t.Errorf("the log takes %d bytes", total)
	}
	if got := lines(t, e); got[len(got)-1] != strings.Repeat("z", 99)+"|" {
		t.Errorf("the last line is %q", got[len(got)-1])
	}
}

func TestFollow(t *testing.T) {
	e := newEntry(t)
	w, err := e.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := range 5 {
			fmt.Fprintf(w, "line %d\n", i)
			if i == 2 {
				w.mu.Lock()
				w.rotate()
				w.mu.Unlock()
			}
			time.Sleep(followPause / 2)
		}
		w.Close()
		e.SetState(State{Status: StatusExited})
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []string
	if err := e.ReadLog(ctx, true, func(l LogLine) error { got = append(got, l.Text); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"line 0", "line 1", "line 2", "line 3", "line 4"}; !slices.Equal(got, want) {
		t.Errorf("followed %q, want %q", got, want)
	}
}
