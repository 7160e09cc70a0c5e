package test

import (
	"io"
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
	output, end := startDev(t, dir, "-m", "64", "-p", addr+":80", ".")
	defer end()
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

// startDev starts pith dev in a folder. output is what it has said so far; end must be
// called.
func startDev(t *testing.T, dir string, args ...string) (output func() string, end func()) {
	t.Helper()
	said := filepath.Join(t.TempDir(), "said")
	to, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(command, append([]string{"dev"}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, to, to
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	end = func() {
		defer to.Close()
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
	}
	return func() string { b, _ := os.ReadFile(said); return string(b) }, end
}

const templateProgram = `package main

import (
	"fmt"
	"html/template"
	"net/http"
	"os"
)

func main() {
	old, _ := os.ReadFile("/data/starts")
	if err := os.WriteFile("/data/starts", append(old, 'x'), 0o644); err != nil {
		panic(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t, err := template.ParseGlob("/templates/*.html")
		if err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		t.ExecuteTemplate(w, "page.html", len(old))
		fmt.Fprint(w, ANSWER)
	})
	http.ListenAndServe(":80", nil)
}
`

// TestDevVolumes: an edited template shows without a new machine; a new machine finds
// what its predecessor wrote to their volume.
func TestDevVolumes(t *testing.T) {
	dir, templates, addr := t.TempDir(), t.TempDir(), free(t)
	save := func(dir, name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	save(dir, "go.mod", "module dev\n\ngo 1.26\n")
	save(dir, "main.go", strings.ReplaceAll(templateProgram, "ANSWER", `" and one"`))
	save(templates, "page.html", "starts before: {{.}}")
	tool(t, "volume", "create", "dev-starts", "--size", "32M")
	defer tool(t, "volume", "rm", "dev-starts")
	_, end := startDev(t, dir, "-m", "128", "-p", addr+":80", "-v", templates+":/templates:ro", "-v", "dev-starts:/data", ".")
	defer end()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	answers := func(want string) {
		t.Helper()
		eventually(t, want, func() bool {
			r, err := client.Get("http://" + addr + "/")
			if err != nil {
				return false // the old machine has ended, the new one does not listen yet
			}
			defer r.Body.Close()
			b, err := io.ReadAll(r.Body)
			return err == nil && string(b) == want
		})
	}
	answers("starts before: 0 and one")
	save(templates, "page.html", "before: {{.}}")
	answers("before: 0 and one")
	save(dir, "main.go", strings.ReplaceAll(templateProgram, "ANSWER", `" and two"`))
	answers("before: 1 and two")
}
