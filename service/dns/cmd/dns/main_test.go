package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pith/service/dns"
)

const own = "go run ./service/dns/cmd/dns"

// readme is the README, and the test's folder becomes the one that it means.
func readme(t *testing.T) string {
	t.Helper()
	t.Chdir("../../../..")
	data, err := os.ReadFile("service/dns/README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestReadmeCommands: each command of our own in the README is understood and finds
// what it names.
func TestReadmeCommands(t *testing.T) {
	n := 0
	for line := range strings.Lines(readme(t)) {
		args, ok := strings.CutPrefix(strings.TrimSpace(line), own)
		if !ok {
			continue
		}
		n++
		words := strings.Fields(args)
		if words[0] == "check" {
			var out, errOut bytes.Buffer
			if code := run(words, &out, &errOut); code != 0 {
				t.Errorf("%s: %d\n%s", line, code, errOut.String())
			}
			continue
		}
		c, err := configure(words)
		if err == nil {
			_, err = dns.New(c)
		}
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	if n < 2 {
		t.Errorf("%d commands", n)
	}
}

func TestReadmeConfiguration(t *testing.T) {
	_, after, _ := strings.Cut(readme(t), "```json\n")
	text, _, _ := strings.Cut(after, "```")
	t.Setenv("DNS_CONFIG", text)
	c, err := configure(nil)
	if err == nil {
		_, err = dns.New(c)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	var out, errOut bytes.Buffer
	code := run([]string{"check", "example.org=../../testdata/broken.zone", "../../testdata/example.org.zone"}, &out, &errOut)
	if code != 2 || strings.Count(errOut.String(), "broken.zone:") < 10 || !strings.Contains(out.String(), "zone example.org., serial 2026112401") {
		t.Errorf("%d\n%s\n%s", code, out.String(), errOut.String())
	}
}

func TestMistakes(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.json")
	data, _ := json.Marshal(map[string]int{"nonsense": 1})
	if err := os.WriteFile(bad, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "there is nothing to serve"},
		{[]string{"-zone", "x"}, "write NAME=FILE"},
		{[]string{"-config", bad}, "nonsense"},
		{[]string{"-config", "no/such"}, "no/such"},
		{[]string{"-zone", "example.org=../../testdata/broken.zone"}, "broken.zone:4:"},
		{[]string{"-bogus"}, "bogus"},
		{[]string{"serve"}, "\"serve\" is no flag"},
		{[]string{"check"}, "dns check"},
	} {
		var out, errOut bytes.Buffer
		if code := run(c.args, &out, &errOut); code != 2 || !strings.Contains(errOut.String(), c.want) {
			t.Errorf("%v: %d %s", c.args, code, errOut.String())
		}
	}
	var out, errOut bytes.Buffer
	if code := run([]string{"-help"}, &out, &errOut); code != 0 || !strings.Contains(out.String(), "examples:") {
		t.Errorf("help: %d %s", code, out.String())
	}
}
