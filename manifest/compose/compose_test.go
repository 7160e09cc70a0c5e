package compose

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pith"
	"pith/manifest"
)

// cases are compose files as people write them; beside each is the pith.yaml that
// comes of it, with the notes as its last lines.
var cases = []struct {
	name  string
	files []string
	o     Options
}{
	{"shop", []string{"compose.yaml"}, Options{Environ: []string{"LOG_LEVEL=debug"}}},
	{"lan", []string{"docker-compose.yml"}, Options{}},
	{"platform", []string{"compose.yaml"}, Options{Build: map[string]string{"old": "./svc/cmd/b"}}},
	{"gateway", []string{"compose.yaml", "override.yaml"}, Options{
		Build: map[string]string{"caddy": "github.com/caddyserver/caddy/v2/cmd/caddy@v2.10.2"}, Bind: "127.0.0.1"}},
}

// TestImport compares with what is expected, and has the manifest's reader take it.
func TestImport(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(filepath.Join("testdata", c.name))
			text, notes, err := Import(t.Context(), c.files, c.o)
			if err != nil {
				t.Fatal(err)
			}
			got := string(text) + "---\n"
			for _, n := range notes {
				got += n.String() + "\n"
			}
			if os.Getenv("PITH_UPDATE") != "" {
				if err := os.WriteFile("expected", []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile("expected")
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if _, err := manifest.Parse(manifest.FileName, text); err != nil {
				t.Errorf("it is refused: %v", err)
			}
		})
	}
}

// TestNothingDropped: each attribute of the files is in the pith.yaml, or there is a
// note at its line.
func TestNothingDropped(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "compose.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("main.go", "package main\n")
	for attribute, note := range map[string]string{
		"annotations: {a: b}":                            "nobody reads them",
		"blkio_config: {weight: 300}":                    "no word for it",
		"cap_drop: [ALL]":                                "no capabilities",
		"cgroup_parent: x":                               "no word for it",
		"cpu_shares: 3":                                  "no word for it",
		"devices: [/dev/fuse]":                           "network cards and volumes",
		"dns_search: [example.org]":                      "no word for it",
		"hostname: x":                                    "its instance's name",
		"init: true":                                     "one process",
		"oom_kill_disable: true":                         "no word for it",
		"post_start: [{command: x}]":                     "no command runs inside",
		"security_opt: [x]":                              "shares no kernel",
		"shm_size: 64M":                                  "one process",
		"stdin_open: true":                               "no terminal",
		"sysctls: {net.core.somaxconn: 1}":               "no Linux kernel",
		"user: nobody":                                   "one user",
		"userns_mode: host":                              "no word for it",
		"deploy: {placement: {constraints: [x]}}":        "one host",
		"develop: {watch: [{path: ., action: rebuild}]}": "pith dev",
		"stop_grace_period: 3s":                          "10 s to end",
		"deploy: {mode: global}":                         "one host",
		"network_mode: none":                             "network default",
		"healthcheck: {test: [CMD, ./check]}":            "no command runs inside",
		"command: [server, -v]":                          "program's name and left out",
		"platform: linux/arm64":                          "amd64",
		"volumes: [/anonymous]":                          "has no name",
	} {
		write("compose.yaml", "services:\n  a:\n    build: .\n    "+attribute+"\n")
		_, notes, err := Import(t.Context(), []string{file}, Options{})
		if err != nil {
			t.Errorf("%s: %v", attribute, err)
			continue
		}
		found := false
		for _, n := range notes {
			found = found || n.File == file && n.Line == 4 && strings.Contains(n.Text, note)
		}
		if !found {
			t.Errorf("%s: no note at line 4 with %q in %v", attribute, note, notes)
		}
	}
}

func TestImportRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "compose.yaml")
	for text, want := range map[string]string{
		"":                                  "is empty",
		"[1]":                               ":1: a compose file is a mapping",
		"a: [":                              "is no YAML",
		"services: {a: {imgae: x}}":         "imgae",
		"services: {a: {image: x}}":         "none of the services is a Go program",
		"services: {a: {build: .}}":         "there is no Go program, or more than one",
		"services: {a: {image: '${X?no}'}}": "X",
		"services: {a: {extends: {service: b}}, b: {extends: {service: a}}}": "ircular",
		"x: &a {b: *a}\nservices: {a: {image: x}}":                           "an alias stands within what it stands for",
		"services: {a: {build: ., depends_on: [b]}}":                         "b",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := Import(t.Context(), []string{file}, Options{})
		if pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want a user's mistake with %q", text, err, want)
		}
	}
	if _, _, err := Import(t.Context(), []string{filepath.Join(dir, "none")}, Options{}); pith.ExitCode(err) != 2 {
		t.Errorf("no file: %v", err)
	}
}

// FuzzImport: whatever a file holds, there is a manifest that is read, or a clear
// refusal.
func FuzzImport(f *testing.F) {
	for _, c := range cases {
		text, err := os.ReadFile(filepath.Join("testdata", c.name, c.files[0]))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(dir, "compose.yaml")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		text, _, err := Import(t.Context(), []string{file}, Options{})
		if err != nil && pith.ExitCode(err) != 2 {
			t.Errorf("not a user's mistake: %v", err)
		}
		if err != nil {
			return
		}
		if _, err := manifest.Parse(file, text); err != nil && strings.Contains(err.Error(), "no YAML") {
			t.Errorf("no manifest comes of it: %v\n%s", err, text)
		}
	})
}
