package machine

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pith"
)

func TestStore(t *testing.T) {
	s := OpenStore(filepath.Join(t.TempDir(), "not", "yet"))
	if list, err := s.List(); err != nil || len(list) != 0 {
		t.Fatalf("an empty store lists %v, %v", list, err)
	}
	spec := validSpec("web")
	spec.Created = time.Now().Round(0)
	e, err := s.Create(spec)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.State().Status; got != StatusCreated {
		t.Errorf("a new machine is %s", got)
	}
	if _, err := s.Create(spec); pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), "taken") {
		t.Errorf("a name twice: %v", err)
	}
	found, err := s.Find("web")
	if err != nil {
		t.Fatal(err)
	}
	if found.Spec.Memory != spec.Memory || !found.Spec.Created.Equal(spec.Created) || found.Spec.Image.Manifest.Name != "prog" {
		t.Errorf("found %+v, want %+v", found.Spec, spec)
	}
	if err := found.Remove(); pith.ExitCode(err) != 2 {
		t.Errorf("a machine that is being started was removed: %v", err)
	}
	if err := e.SetState(State{Status: StatusExited, ExitCode: 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(spec); err == nil || !strings.Contains(err.Error(), "pith rm web") {
		t.Errorf("the name of an ended machine: %v", err)
	}
	if err := found.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find("web"); pith.ExitCode(err) != 2 {
		t.Errorf("a removed machine: %v", err)
	}
	left, err := os.ReadDir(s.dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestStoreRefusesPaths(t *testing.T) {
	s := OpenStore(t.TempDir())
	for _, name := range []string{"", ".", "..", "../x", "a/b", "/etc"} {
		if _, err := s.Find(name); pith.ExitCode(err) != 2 {
			t.Errorf("Find(%q): %v", name, err)
		}
	}
}

func TestOneOfManyGetsAName(t *testing.T) {
	s := OpenStore(t.TempDir())
	var made int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := s.Create(validSpec("web")); err == nil {
				mu.Lock()
				made++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if made != 1 {
		t.Errorf("%d machines have the name", made)
	}
}

func TestStaleState(t *testing.T) {
	s := OpenStore(t.TempDir())
	e, err := s.Create(validSpec("web"))
	if err != nil {
		t.Fatal(err)
	}
	self, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	// A process with our number that began at another time is not ours.
	self.Start++
	if err := e.SetState(State{Status: StatusRunning, Supervisor: self, Process: self}); err != nil {
		t.Fatal(err)
	}
	if got := e.State(); got.Status != StatusExited || got.Error == "" {
		t.Errorf("state = %+v, want exited with a reason", got)
	}
	if err := e.Remove(); err != nil {
		t.Errorf("the machine can't be removed: %v", err)
	}
}

func TestSweep(t *testing.T) {
	s := OpenStore(t.TempDir())
	old, fresh := filepath.Join(s.dir, ".new-1"), filepath.Join(s.dir, ".new-2")
	for _, dir := range []string{old, fresh} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(validSpec("web")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Error("the leftover of a crash is still there")
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Error("what another process is making was swept away")
	}
}

func TestDefaultDir(t *testing.T) {
	for _, c := range []struct{ state, xdg, home, want string }{
		{"/a", "/b", "/c", "/a"},
		{"", "/b", "/c", "/b/pith"},
		{"", "relative", "/c", "/c/.local/state/pith"},
		{"", "", "", ""},
	} {
		env := map[string]string{"PITH_STATE": c.state, "XDG_STATE_HOME": c.xdg, "HOME": c.home}
		got, err := DefaultDir(func(k string) string { return env[k] })
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
}

func TestNewNamesAreNames(t *testing.T) {
	for range 200 {
		if err := CheckName(NewName()); err != nil {
			t.Error(err)
		}
	}
	for _, a := range append(adjectives, nouns...) {
		if err := CheckName(a); err != nil {
			t.Error(err)
		}
	}
	if a, b := MAC("web", 0), MAC("web", 1); a == b || len(a) != 17 || a != MAC("web", 0) {
		t.Errorf("MACs %s and %s", a, b)
	}
}
