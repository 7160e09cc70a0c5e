package test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const devProgram = `package main

import (
	"fmt"
	"net/http"
)

func main() {
	http.ListenAndServe(":80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, ANSWER) }))
}
`

// TestDev: a saved file changes the answer, a broken one doesn't, and the port
// answers all the time.
func TestDev(t *testing.T) {
	dir, addr := t.TempDir(), free(t)
	save := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	save("go.mod", "module dev\n\ngo 1.26\n")
	save("main.go", strings.ReplaceAll(devProgram, "ANSWER", `"first"`))
	said := filepath.Join(t.TempDir(), "said")
	to, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	cmd := exec.Command(command, "dev", "-m", "64", "-p", addr+":80", ".")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, to, to
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		cmd.Process.Signal(syscall.SIGINT)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("pith dev: %v", err)
			}
		case <-time.After(patience):
			cmd.Process.Kill()
			t.Error("pith dev does not end")
		}
		if left := strings.TrimSpace(pith(t, "ps", "-o", "json")); strings.Contains(left, dir) {
			t.Errorf("machines are left: %s", left)
		}
	}()
	output := func() string { b, _ := os.ReadFile(said); return string(b) }
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer := func() string { return get(t, client, "http://"+addr+"/") }

	if got := answer(); got != "first" {
		t.Fatalf("it answers %q", got)
	}
	save("main.go", strings.ReplaceAll(devProgram, "ANSWER", `missing`))
	eventually(t, "the compile error is shown", func() bool { return strings.Contains(output(), "undefined: missing") })
	if got := answer(); got != "first" {
		t.Errorf("after a compile error it answers %q", got)
	}
	save("main.go", strings.ReplaceAll(devProgram, "ANSWER", `second`))
	save("other.go", "package main\n\nconst second = \"second\"\n")
	// A machine that never listens takes nothing over, and is no obstacle.
	eventually(t, "the second answer", func() bool { return answer() == "second" })
	save("other.go", "package main\n\nimport \"fmt\"\n\nconst second = \"third\"\n\nfunc init() { fmt.Println(\"deaf\"); select {} }\n")
	eventually(t, "the machine that does not listen runs", func() bool { return strings.Contains(output(), "deaf") })
	if got := answer(); got != "second" {
		t.Errorf("beside a machine that does not listen it answers %q", got)
	}
	save("other.go", "package main\n\nconst second = \"third\"\n")
	eventually(t, "the new answer", func() bool { return answer() == "third" })
}
