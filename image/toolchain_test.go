package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestInterruptEndsAll: a go command that is interrupted leaves no process behind, also
// none that does not hear Ctrl-C, as what a shell has in the background.
func TestInterruptEndsAll(t *testing.T) {
	dir := tree(t, map[string]string{"go": "#!/bin/sh\nsleep 1000 2>/dev/null &\necho $! >child.new\nmv child.new child\nwait\n"})
	if err := os.Chmod(filepath.Join(dir, "go"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var child []byte
	go func() {
		for ctx.Err() == nil {
			if text, err := os.ReadFile(filepath.Join(dir, "child")); err == nil {
				child = text
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	go_ := command{path: filepath.Join(dir, "go"), dir: dir, env: os.Environ()}
	if _, err := go_.output(ctx, "build"); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); runs(strings.TrimSpace(string(child))); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process %s runs on", child)
		}
	}
}

// runs tells whether a process is there and has not ended.
func runs(pid string) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%s/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}
