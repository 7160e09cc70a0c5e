package conformance

import (
	"go/build/constraint"
	"path"
	"slices"
	"strings"
)

// recipe is how a program of GOROOT/test is built and run: what the first line
// of its file says that is no build constraint (GOROOT/src/cmd/internal/testdir).
type recipe struct {
	action     string   // run, rundir, runindir or runoutput
	sources    []string // what is compiled besides, beside the file
	args       []string // of the program
	flags      []string // of go build, in GOFLAGS
	ldflags    string
	experiment string // GOEXPERIMENT
	language   string // for go.mod
}

// actions are those that run something, by what is done for them here.
var actions = map[string]string{
	"run": "run", "buildrun": "run",
	"rundir": "rundir", "errorcheckandrundir": "rundir",
	"runindir": "runindir", "buildrundir": "runindir",
	"runoutput": "runoutput",
}

// parseRecipe reads the head of a file. It reports false where the file is not to
// be run on linux/amd64 with the ordinary compiler.
func parseRecipe(text string) (recipe, bool) {
	r := recipe{language: "1.26"}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case constraint.IsGoBuild(line):
			if x, err := constraint.Parse(line); err != nil || !x.Eval(hasTag) {
				return r, false
			}
		case r.action == "" && line != "":
			words := quoted(strings.TrimPrefix(line, "//"))
			if len(words) == 0 || actions[words[0]] == "" {
				return r, false
			}
			r.action = actions[words[0]]
			if words[0] == "runindir" {
				r.language = "1.14"
			}
			r.take(words[0], words[1:])
		case strings.HasPrefix(line, "package "):
			return r, true
		}
	}
	return r, r.action != ""
}

func hasTag(tag string) bool {
	return slices.Contains([]string{"linux", "unix", "amd64", "gc", "test_run"}, tag) || strings.HasPrefix(tag, "go1.")
}

// take sorts the words behind an action.
func (r *recipe) take(action string, words []string) {
	var compile []string
	for i := 0; i < len(words); i++ {
		word := strings.TrimPrefix(words[i], "-")
		next := func() string {
			i++
			return strings.Join(words[min(i, len(words)):min(i+1, len(words))], "")
		}
		switch {
		case word == words[i] && strings.HasSuffix(word, ".go"):
			r.sources = append(r.sources, path.Base(word))
		case word == words[i]:
			r.args = append(r.args, word)
		case word == "goexperiment":
			r.experiment = next()
		case word == "gomodversion":
			r.language = next()
		case word == "t":
			next()
		case word == "gcflags":
			r.flags = append(r.flags, "-gcflags="+next())
		case word == "ldflags":
			r.ldflags = strings.Join(words[i+1:], " ")
			i = len(words)
		case r.action == "rundir" && action != "errorcheckandrundir":
			compile = append(compile, words[i])
		case r.action != "rundir":
			r.flags = append(r.flags, words[i])
		}
	}
	if len(compile) > 0 {
		r.flags = append(r.flags, "-gcflags=test/...="+strings.Join(compile, " "))
	}
}

// goflags is the environment's GOFLAGS.
func (r recipe) goflags() string {
	var words []string
	for _, flag := range r.flags {
		if strings.ContainsRune(flag, ' ') {
			flag = "'" + flag + "'"
		}
		words = append(words, flag)
	}
	return strings.Join(words, " ")
}

// quoted splits a line at spaces that don't stand in quotes.
func quoted(line string) (words []string) {
	var word strings.Builder
	var quote rune
	in := false
	for _, c := range line + " " {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, in = c, true
		case quote == 0 && (c == ' ' || c == '\t'):
			if in {
				words = append(words, word.String())
			}
			word.Reset()
			in = false
		default:
			word.WriteRune(c)
			in = true
		}
	}
	return words
}
