package machine

import (
	"slices"
	"strings"
	"testing"

	"pith"
)

func TestParseMemory(t *testing.T) {
	for s, want := range map[string]int64{
		"64": 64 * MiB, "64M": 64 * MiB, "64m": 64 * MiB, "64MiB": 64 * MiB, "64mb": 64 * MiB,
		"1G": 1024 * MiB, "1g": 1024 * MiB, "2GiB": 2048 * MiB, "0": 0, "1024G": MaxMemory,
	} {
		if got, err := ParseMemory(s); err != nil || got != want {
			t.Errorf("ParseMemory(%q) = %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "M", "-1", "+1", "1.5G", "64k", "64 M", "1T", "1025G", "999999999999G", "1e3", "64MM"} {
		if got, err := ParseMemory(s); err == nil {
			t.Errorf("ParseMemory(%q) = %d, want an error", s, got)
		} else if pith.ExitCode(err) != 2 {
			t.Errorf("ParseMemory(%q): %v is no user's mistake", s, err)
		}
	}
}

func FuzzParseMemory(f *testing.F) {
	f.Add("64M")
	f.Add("1g")
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseMemory(s); err == nil && (n < 0 || n > MaxMemory) {
			t.Errorf("ParseMemory(%q) = %d", s, n)
		}
	})
}

func validSpec(name string) Spec {
	return Spec{
		Machine: pith.Machine{
			Name: name, CPUs: 1, Memory: 64 * MiB,
			Image: &pith.Image{Path: "/x", Manifest: pith.Manifest{
				Name: "prog", Memory: 20 * MiB, Args: []string{"-default"}, Env: []string{"A=image", "B=image"},
			}},
		},
		Type: TypeMicroVM,
	}
}

func TestSpecCheck(t *testing.T) {
	if err := validSpec("web").Check(); err != nil {
		t.Fatal(err)
	}
	for what, edit := range map[string]func(*Spec){
		"name":     func(s *Spec) { s.Name = "Web" },
		"dots":     func(s *Spec) { s.Name = ".." },
		"long":     func(s *Spec) { s.Name = strings.Repeat("a", 64) },
		"no CPU":   func(s *Spec) { s.CPUs = 0 },
		"65 CPUs":  func(s *Spec) { s.CPUs = 65 },
		"board":    func(s *Spec) { s.Type = "pc" },
		"env":      func(s *Spec) { s.Env = []string{"A"} },
		"env key":  func(s *Spec) { s.Env = []string{"=A"} },
		"env zero": func(s *Spec) { s.Env = []string{"A=\x00"} },
		"memory":   func(s *Spec) { s.Memory = 2 * MaxMemory },
	} {
		s := validSpec("web")
		edit(&s)
		if err := s.Check(); pith.ExitCode(err) != 2 {
			t.Errorf("%s: %v is no user's mistake", what, err)
		}
	}
}

func TestTooLittleMemoryNamesTheLeast(t *testing.T) {
	s := validSpec("web")
	s.Memory = 19 * MiB
	s.Image.Manifest.Memory = 20*MiB - 1
	err := s.Check()
	if err == nil || !strings.Contains(err.Error(), "-m 20") {
		t.Fatalf("%v does not name the least that works", err)
	}
	s.Memory = 20 * MiB
	if err := s.Check(); err != nil {
		t.Errorf("the least that works does not: %v", err)
	}
}

func TestArgvAndEnviron(t *testing.T) {
	s := validSpec("web")
	if got := s.Argv(); !slices.Equal(got, []string{"prog", "-default"}) {
		t.Errorf("default Argv = %q", got)
	}
	s.Args = []string{"-own"}
	if got := s.Argv(); !slices.Equal(got, []string{"prog", "-own"}) {
		t.Errorf("Argv = %q", got)
	}
	s.Program = "/program"
	if got := s.Argv(); !slices.Equal(got, []string{"/program", "-own"}) {
		t.Errorf("named Argv = %q", got)
	}
	s.Env = []string{"B=own", "C=own=x", "C=last"}
	if got := s.Environ(); !slices.Equal(got, []string{"A=image", "B=own", "C=last"}) {
		t.Errorf("Environ = %q", got)
	}
}
