package log

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestStandsIn checks that this package has every name that gVisor's packages
// use of their own one.
func TestStandsIn(t *testing.T) {
	mine, err := parser.ParseFile(token.NewFileSet(), "log.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, d := range mine.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			have[d.Name.Name] = d.Recv == nil
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					have[s.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range s.Names {
						have[n.Name] = true
					}
				}
			}
		}
	}
	out, err := exec.Command("go", "list", "-deps", "-f", `{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}`,
		"pith/kernel/netstack").Output()
	if err != nil {
		t.Fatal(err)
	}
	users := 0
	for _, name := range strings.Fields(string(out)) {
		if !strings.Contains(name, "gvisor.dev/gvisor@") || filepath.Base(filepath.Dir(name)) == "log" {
			continue
		}
		for _, used := range uses(t, name) {
			users++
			if !have[used] {
				t.Errorf("%s uses log.%s", name, used)
			}
		}
	}
	if users == 0 {
		t.Error("nothing of gVisor uses its package log: then this one isn't needed")
	}
}

// uses lists the names that a file takes from gVisor's package log.
func uses(t *testing.T, name string) (names []string) {
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	imports := false
	for _, i := range file.Imports {
		imports = imports || i.Path.Value == `"gvisor.dev/gvisor/pkg/log"`
	}
	if !imports {
		return nil
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "log" {
				names = append(names, s.Sel.Name)
			}
		}
		return true
	})
	return names
}
