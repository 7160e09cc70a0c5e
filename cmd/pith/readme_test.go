package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestDocumentedCommands: each command of pith's that the documents show is
// there, and so are its flags.
func TestDocumentedCommands(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range append(files, "../../README.md", "../../HACKING.md", "../../SPECIFICATION.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			code, indented := strings.CutPrefix(line, "    ")
			if !indented {
				continue
			}
			code, _, _ = strings.Cut(code, " #")
			for _, command := range strings.FieldsFunc(code, func(r rune) bool { return r == ';' || r == '&' || r == '|' }) {
				words := strings.Fields(command)
				if len(words) > 1 && (words[0] == "pith" || words[0] == "./pith") {
					seen++
					checkCommand(t, file, words[1:])
				}
			}
		}
	}
	if seen < 15 {
		t.Errorf("only %d commands were found: the documents look otherwise now", seen)
	}
}

func checkCommand(t *testing.T, file string, words []string) {
	t.Helper()
	root := newApp().command()
	c, rest, err := root.Find(words)
	if err != nil || c == root {
		t.Errorf("%s: pith %q: there is no such command (%v)", file, words, err)
		return
	}
	if c.DisableFlagParsing {
		return // its flags are another command's
	}
	if err := c.ParseFlags(rest); err != nil && err != pflag.ErrHelp {
		t.Errorf("%s: pith %q: %v", file, words, err)
	}
}
