package image

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pith"
)

// proxy makes a GOPROXY=file:// with modules: path@version to files.
func proxy(t *testing.T, modules map[string]map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, files := range modules {
		path, version, _ := strings.Cut(name, "@")
		var archive bytes.Buffer
		z := zip.NewWriter(&archive)
		for file, text := range files {
			w, err := z.Create(name + "/" + file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		gomod := files["go.mod"]
		if gomod == "" {
			gomod = "module " + path + "\n"
		}
		v := filepath.Join(dir, filepath.FromSlash(path), "@v")
		if err := os.MkdirAll(v, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, data := range map[string][]byte{
			version + ".mod":  []byte(gomod),
			version + ".info": []byte(`{"Version":"` + version + `"}`),
			version + ".zip":  archive.Bytes(),
			"list":            []byte(version + "\n"),
		} {
			if err := os.WriteFile(filepath.Join(v, file), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return "file://" + dir
}

// moduleEnv is an environment with its own module cache, filled from a proxy.
func moduleEnv(t *testing.T, modules map[string]map[string]string) []string {
	t.Helper()
	cache := t.TempDir()
	t.Cleanup(func() { // the module cache is read-only
		filepath.WalkDir(cache, func(name string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				os.Chmod(name, 0o755)
			}
			return nil
		})
	})
	return testEnv(t, "GOPROXY="+proxy(t, modules), "GOSUMDB=off", "GOMODCACHE="+cache)
}

var testModules = map[string]map[string]string{
	"example.com/tool@v1.2.3": {
		"go.mod":            "module example.com/tool\n\ngo 1.26\n\nrequire example.com/dep v1.0.0\n",
		"main.go":           "package main\n\nimport (\"fmt\"; \"example.com/dep\")\n\nfunc main() { fmt.Println(dep.Name) }\n",
		"cmd/small/main.go": "package main\n\nfunc main() { println(\"small\") }\n",
		"lib/lib.go":        "package lib\n",
	},
	"example.com/dep@v1.0.0": {
		"go.mod": "module example.com/dep\n\ngo 1.26\n",
		"dep.go": "package dep\n\nconst Name = \"dep\"\n",
		"x/x.go": "package main\n\nfunc main() { println(\"x\") }\n",
		"y/y.go": "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"y\") }\n",
	},
	"example.com/server@v1.0.0": {
		"go.mod":  "module example.com/server\n\ngo 1.26\n\nrequire example.com/dep v1.0.0\n\nreplace example.com/dep => ../dep\n",
		"main.go": "package main\n\nimport (\"fmt\"; \"example.com/dep\")\n\nfunc main() { fmt.Println(dep.Name) }\n",
	},
	"example.com/ancient@v0.1.0": {
		"main.go": "package main\n\nfunc main() { println(\"ancient\") }\n",
	},
}

func TestModuleVersion(t *testing.T) {
	env := moduleEnv(t, testModules)
	for what, want := range map[string]string{
		"example.com/tool@v1.2.3":           "dep\n",
		"example.com/tool@latest":           "dep\n",
		"example.com/tool/cmd/small@v1.2.3": "small\n",
		"example.com/ancient@v0.1.0":        "ancient\n",
		"example.com/server@v1.0.0":         "dep\n", // its go.mod replaces what was not published
	} {
		img := mustBuild(t, Options{Dir: t.TempDir(), What: what, Env: env})
		if got := output(t, img); got != want {
			t.Errorf("%s printed %q, want %q", what, got, want)
		}
		if strings.Contains(what, "tool") && img.Manifest.Version != "v1.2.3" {
			t.Errorf("%s: version %q in the manifest", what, img.Manifest.Version)
		}
	}
	for what, want := range map[string]string{
		"example.com/tool@v9.9.9":             "there is no module example.com/tool@v9.9.9",
		"example.com/tool/lib@v1.2.3":         "no main package",
		"example.com/tool/cmd/nowhere@v1.2.3": "has no package cmd/nowhere",
	} {
		_, err := Build(t.Context(), Options{Dir: t.TempDir(), What: what, Env: env})
		if pith.ExitCode(err) != 2 {
			t.Errorf("%s: err = %v", what, err)
		}
		if want != "no main package" && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q does not say %q", what, err, want)
		}
	}
}

// TestDependency builds a program that a dependency of the user's module has.
func TestDependency(t *testing.T) {
	env := moduleEnv(t, testModules)
	dir := tree(t, map[string]string{
		"go.mod":  gomod + "\nrequire example.com/dep v1.0.0\n",
		"main.go": "package main\n\nimport _ \"example.com/dep\"\n\nfunc main() {}\n",
	})
	env = append(env, "GOFLAGS=-mod=mod") // no go.sum yet
	if got := output(t, mustBuild(t, Options{Dir: dir, What: "example.com/dep/y", Env: env})); got != "y\n" {
		t.Errorf("printed %q", got)
	}
	_, err := Build(t.Context(), Options{Dir: dir, What: "example.com/dep/x", Env: env})
	if pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), "build example.com/dep/x@v1.0.0 instead") {
		t.Errorf("a program without os in the module cache: err = %v", err)
	}
}
