package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"pith/service/web"
)

const own = "go run ./service/web/cmd/web"

// TestReadme: each command of our own in the README, and its configuration, is
// understood.
func TestReadme(t *testing.T) {
	t.Chdir("../../../..")
	data, err := os.ReadFile("service/web/README.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		args, ok := strings.CutPrefix(strings.TrimSpace(line), own)
		if !ok {
			continue
		}
		n++
		try(t, line, strings.Fields(args))
	}
	if n < 2 {
		t.Errorf("%d commands", n)
	}
	_, after, _ := strings.Cut(string(data), "```json\n")
	text, _, _ := strings.Cut(after, "```")
	t.Setenv("WEB_CONFIG", text)
	try(t, text, nil)
}

func try(t *testing.T, what string, args []string) {
	t.Helper()
	c, err := configure(args)
	if err == nil {
		_, err = web.New(c)
	}
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-config", "no/such"}, "no/such"},
		{[]string{"-listen", "nonsense"}, "is no address"},
		{[]string{"-cert", "x"}, "needs a key"},
		{[]string{"-bogus"}, "bogus"},
		{[]string{"serve"}, "\"serve\" is no flag"},
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
