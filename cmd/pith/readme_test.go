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
	seen := 0
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range codeLines(string(text)) {
			code, _, _ := strings.Cut(line, " #")
			for _, command := range strings.FieldsFunc(code, func(r rune) bool { return r == ';' || r == '&' || r == '|' }) {
				words := strings.Fields(command)
				if len(words) > 1 && (words[0] == "pith" || words[0] == "./pith") {
					seen++
					checkCommand(t, file, words[1:])
				}
			}
		}
	}
	if seen < 60 {
		t.Errorf("only %d commands were found: the documents look otherwise now", seen)
	}
}

// documents are all texts of the repository.
func documents(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir("../..", func(file string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "testdata" {
			return filepath.SkipDir
		}
		if strings.HasSuffix(file, ".md") {
			files = append(files, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// codeLines are the lines of a text's indented and fenced code.
func codeLines(text string) (lines []string) {
	fenced := false
	for line := range strings.Lines(text) {
		code, indented := strings.CutPrefix(line, "    ")
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			fenced = !fenced
		case indented:
			lines = append(lines, code)
		case fenced:
			lines = append(lines, line)
		}
	}
	return lines
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
