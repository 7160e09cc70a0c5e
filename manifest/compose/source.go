package compose

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"pith"
)

// source is one file, and where things stand in it.
type source struct {
	name string
	data []byte
	root *yaml.Node // nil where the file is empty
}

type sources []source

// readSources reads the files. Aliases within what they stand for are refused: the
// library would follow them until memory ends.
func readSources(names []string) (all sources, err error) {
	if len(names) == 0 {
		return nil, pith.Errorf("name a compose file")
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, pith.Errorf("there is no compose file %s", name)
		}
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() || info.Size() > maxSize {
			return nil, pith.Errorf("%s is no compose file: a file of at most 256 KiB is one", name)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		s, err := parseSource(name, data)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// with adds the files that others include, as far as they can be read: the library has
// read them.
func (s sources) with(included []string, dir string) sources {
	all := slices.Clone(s)
	for _, name := range included {
		rel, err := filepath.Rel(dir, name)
		if err != nil || slices.ContainsFunc(s, func(f source) bool { return f.name == name || f.name == rel }) {
			continue
		}
		if data, err := os.ReadFile(name); err == nil {
			if f, err := parseSource(rel, data); err == nil {
				all = append(all, f)
			}
		}
	}
	return all
}

func parseSource(name string, data []byte) (source, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return source{}, pith.Errorf("%s is no YAML: %w", name, err)
	}
	s := source{name: name, data: data}
	if len(document.Content) == 0 {
		return s, pith.Errorf("%s is empty", name)
	}
	s.root = document.Content[0]
	if s.root.Kind != yaml.MappingNode {
		return s, pith.Errorf("%s:%d: a compose file is a mapping (services: ...)", name, s.root.Line)
	}
	left := maxNodes
	if at := tooMuch(s.root, map[*yaml.Node]bool{}, &left); at != nil {
		return s, pith.Errorf("%s:%d: an alias stands within what it stands for, or for too much", name, at.Line)
	}
	return s, nil
}

// maxNodes bounds a file's values, aliases followed.
const maxNodes = 50_000

// tooMuch finds an alias that leads back to where it stands, or the node with which
// there are too many.
func tooMuch(n *yaml.Node, open map[*yaml.Node]bool, left *int) *yaml.Node {
	if *left--; *left < 0 || open[n] {
		return n
	}
	open[n] = true
	defer delete(open, n)
	if n.Kind == yaml.AliasNode {
		if at := tooMuch(n.Alias, open, left); at != nil {
			return n
		}
	}
	for _, c := range n.Content {
		if at := tooMuch(c, open, left); at != nil {
			return at
		}
	}
	return nil
}

func (s sources) configFiles() (files []types.ConfigFile) {
	for _, f := range s {
		files = append(files, types.ConfigFile{Filename: f.name, Content: f.data})
	}
	return files
}

// at is where a path stands, or the nearest on the way to it that is there: in the
// last file that has most of it. whole tells that it is there itself.
func (s sources) at(path ...string) (n Note, whole bool) {
	best := -1
	n = Note{File: s[0].name, Line: 1}
	for _, f := range s {
		line, depth := follow(f.root, path)
		if depth > best || depth == best && depth > 0 {
			best, n.File, n.Line = depth, f.name, line
		}
	}
	return n, best == len(path)
}

// follow goes down a path as far as it leads. In a list it looks into each item.
func follow(n *yaml.Node, path []string) (line, depth int) {
	line = n.Line
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if len(path) == 0 {
		return line, 0
	}
	best := 0
	try := func(child *yaml.Node, at int, rest []string, steps int) {
		l, d := follow(child, rest)
		if d += steps; d > best {
			best = d
			line = l
			if d == steps && at > 0 {
				line = at
			}
		}
	}
	switch n.Kind {
	case yaml.SequenceNode:
		rest, steps := path, 0
		if path[0] == "[]" {
			rest, steps = path[1:], 1
		}
		for _, item := range n.Content {
			if item.Kind == yaml.ScalarNode && len(rest) > 0 && item.Value == rest[0] {
				try(item, item.Line, nil, steps+1)
				continue
			}
			try(item, 0, rest, steps)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			switch key := n.Content[i]; key.Value {
			case path[0]:
				try(n.Content[i+1], key.Line, path[1:], 1)
			case "<<":
				try(n.Content[i+1], 0, path, 0)
			}
		}
	}
	return line, best
}

// readEnv reads a file of variables.
func readEnv(text []byte, environ []string) (types.Mapping, error) {
	outer := types.NewMapping(environ)
	values, err := dotenv.UnmarshalBytesWithLookup(text, func(key string) (string, bool) {
		v, ok := outer[key]
		return v, ok
	})
	return types.Mapping(values), err
}
