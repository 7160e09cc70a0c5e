package deploy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pith"
	"pith/machine"
)

// TestGiven: copies keep what they were made of, whatever becomes of the source, and
// their names follow from contents and permissions.
func TestGiven(t *testing.T) {
	t.Setenv("PITH_TEST_TOKEN", "token")
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("site/a", "a", 0o755)
	write("site/sub/b", "b", 0o644)
	s := &pith.Service{Name: "s",
		Configs: []pith.Given{
			{Source: filepath.Join(dir, "site"), Target: "/site"},
			{Content: "text", Target: "/text", Mode: 0o440},
		},
		Secrets: []pith.Given{{Variable: "PITH_TEST_TOKEN", Target: "/token"}, {Source: write("key", "key", 0o644), Target: "/key"}},
	}
	c := copies{filepath.Join(t.TempDir(), "files")}
	files, err := c.given(s)
	if err != nil {
		t.Fatal(err)
	}
	write("site/a", "changed", 0o755)
	got := map[string]string{}
	err = machine.WalkFiles(files, func(name string, mode uint32, data []byte) {
		got[name] = string(data) + " " + os.FileMode(mode&0o777).String()
	})
	for name, want := range map[string]string{
		"/site": " -rwxr-xr-x", "/site/a": "a -r--r--r--", "/site/sub/b": "b -r--r--r--",
		"/text": "text -r--r-----", "/token": "token -r--------", "/key": "key -r--------",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q (%v)", name, got[name], want, err)
		}
	}
	if info, err := os.Stat(c.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others can enter the copies' folder: %v, %v", info.Mode(), err)
	}
	again, err := c.given(s)
	if err != nil {
		t.Fatal(err)
	}
	if changed := changedFiles(files, again); strings.Join(changed, " ") != "/site" {
		t.Errorf("changed: %v, want /site", changed)
	}
	s.Secrets[0].Mode = 0o444
	s.Configs = s.Configs[:1]
	last, err := c.given(s)
	if err != nil {
		t.Fatal(err)
	}
	if changed := changedFiles(again, last); strings.Join(changed, " ") != "/token /text" {
		t.Errorf("changed: %v, want the token's permissions and the text that is gone", changed)
	}
	os.Unsetenv("PITH_TEST_TOKEN")
	s.Secrets[1].Source += "-gone"
	if _, err := c.given(s); pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), "PITH_TEST_TOKEN, which is not set") || !strings.Contains(err.Error(), "key-gone") {
		t.Errorf("both mistakes are not told: %v", err)
	}
}
