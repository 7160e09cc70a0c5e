package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// keeperProgram serves files: GET reads one, POST adds to one. It ends as servers do
// that lose no request.
const keeperProgram = `package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
)

var sick atomic.Bool

func serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/.sick":
		sick.Store(true)
		return
	case "/.health":
		if sick.Load() {
			http.Error(w, "sick", http.StatusServiceUnavailable)
		}
		return
	}
	if r.Method == http.MethodPost {
		f, err := os.OpenFile(r.URL.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = io.Copy(f, r.Body)
			f.Sync()
			f.Close()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
		return
	}
	if host := r.FormValue("host"); host != "" {
		addrs, err := net.DefaultResolver.LookupHost(r.Context(), host)
		slices.Sort(addrs)
		fmt.Fprint(w, strings.Join(addrs, " "), " ", err)
		return
	}
	text, err := os.ReadFile(r.URL.Path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Write(text)
}

func main() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	server := &http.Server{Addr: ":80", Handler: http.HandlerFunc(serve)}
	done := make(chan struct{})
	go func() {
		<-end
		server.Shutdown(context.Background())
		close(done)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		panic(err)
	}
	<-done
}
`

// newKeeperProgram is a user with that program in their folder.
func newKeeperProgram(t *testing.T) *cli {
	c := newCLI(t)
	c.save("go.mod", "module keeper\n\ngo 1.26\n")
	c.save("main.go", keeperProgram)
	return c
}

// file asks the service at a port for one of its files.
func (c *cli) file(port int, path string) string {
	c.Helper()
	r, err := (&http.Client{Timeout: deploymentTime}).Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
	if err != nil {
		c.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		c.Fatalf("%s: %s: %s, %v", path, r.Status, text, err)
	}
	return string(text)
}

func (c *cli) append(port int, path, text string) {
	c.Helper()
	r, err := (&http.Client{Timeout: deploymentTime}).Post(fmt.Sprintf("http://127.0.0.1:%d%s", port, path), "text/plain", strings.NewReader(text))
	if err != nil {
		c.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(r.Body)
		c.Fatalf("write %s: %s: %s", path, r.Status, why)
	}
}

// underLoad asks for a file again and again, each time on a connection of its own,
// while f runs. Each question must be answered.
func (c *cli) underLoad(port int, path string, f func()) {
	c.Helper()
	client := &http.Client{Timeout: 5 * deploymentTime, Transport: &http.Transport{DisableKeepAlives: true}}
	end := make(chan struct{})
	var work sync.WaitGroup
	for range 2 {
		work.Go(func() {
			for asked := 0; ; asked++ {
				select {
				case <-end:
					if asked == 0 {
						c.Error("no request was made meanwhile")
					}
					return
				case <-time.After(10 * time.Millisecond):
				}
				r, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
				if err != nil {
					c.Errorf("request %d is lost: %v", asked, err)
					return
				}
				if _, err := io.Copy(io.Discard, r.Body); err != nil || r.StatusCode != http.StatusOK {
					c.Errorf("request %d: %s, %v", asked, r.Status, err)
				}
				r.Body.Close()
			}
		})
	}
	f()
	close(end)
	work.Wait()
}

// becomes waits until an instance is as wanted.
func (c *cli) becomes(instance string, is func(listed) bool) {
	c.Helper()
	for end := time.Now().Add(deploymentTime); ; time.Sleep(100 * time.Millisecond) {
		l := c.instances()[instance]
		if is(l) {
			return
		}
		if time.Now().After(end) {
			c.Fatalf("%s is still %+v", instance, l)
		}
	}
}

// notSeen looks for a secret where others could read it: in an output, in command
// lines, and in files of the state's folder that more than their owner may read.
func (c *cli) notSeen(secret, output string) {
	c.Helper()
	if strings.Contains(output, secret) {
		c.Errorf("a command shows the secret:\n%s", output)
	}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range lines {
		if text, _ := os.ReadFile(file); strings.Contains(string(text), secret) {
			c.Errorf("a command line has the secret: %q", text)
		}
	}
	err := filepath.WalkDir(c.stateFolder(), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // a machine's folder changes while it is read
		}
		info, err := d.Info()
		if err != nil || info.Mode()&0o077 == 0 {
			return nil
		}
		if text, _ := os.ReadFile(path); strings.Contains(string(text), secret) {
			c.Errorf("%s (%s) has the secret", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		c.Error(err)
	}
	if info, err := os.Stat(filepath.Join(c.stateFolder(), "_deployments")); err != nil || info.Mode()&0o077 != 0 {
		c.Errorf("the state's folder can be entered by others: %v, %v", info, err)
	}
}
