package test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFolderWatched: inotify in a machine tells of what the host does in a shared folder,
// and once of what the program itself does there.
func TestFolderWatched(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, "run", "--rm", "-v", dir+":/src", guest, "--", "watch")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	var said strings.Builder
	lines := bufio.NewScanner(out)
	until := func(want string) {
		t.Helper()
		for lines.Scan() {
			said.WriteString(lines.Text() + "\n")
			if strings.HasSuffix(lines.Text(), want) {
				return
			}
		}
		t.Fatalf("it did not say %q but:\n%s", want, said.String())
	}
	file := filepath.Join(dir, "new")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	until("watching")
	must(os.WriteFile(file, []byte("one"), 0o644))
	until("event: new made")
	until("event: new written")
	must(os.WriteFile(file, []byte("longer"), 0o644))
	until("event: new written")
	must(os.WriteFile(file+"~", []byte("three"), 0o644))
	must(os.Rename(file+"~", file))
	until("event: new moved")
	must(os.Remove(file))
	until("event: new removed")
	if n := strings.Count(said.String(), "event: own "); n != 2 {
		t.Errorf("of the program's own file it was told %d times, not that it was made and that it was written:\n%s", n, said.String())
	}
}
