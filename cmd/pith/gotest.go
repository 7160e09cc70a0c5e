package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pith"
	"pith/image"
	"pith/machine"
)

// testMemory is what a machine for tests has besides its copies of files.
const testMemory = 1024 * machine.MiB

// mostFiles bounds the files that a test's machine gets copies of, in bytes.
const mostFiles = 128 << 20

// separate puts "--" before the flags of a test, as `go test -exec "pith run"`
// calls: pith run FILE.test -test.v=true ...
func separate(args []string) []string {
	if len(args) == 0 || args[0] != "run" || slices.Contains(args, "--") {
		return args
	}
	for i, arg := range args {
		if strings.HasPrefix(arg, "-test.") {
			return slices.Concat(args[:i:i], []string{"--"}, args[i:])
		}
	}
	return args
}

// testProgram is where the kernel shows the program's own file: tests open
// os.Args[0], which the go command makes a path.
const testProgram = "/program"

// asTest makes a machine of what a Go test needs to find: the folder that it is
// called in, with all files of its module, and the environment of this process.
// What it writes for its flags comes back, and what it writes in its module.
func asTest(s *machine.Spec) error {
	wd, err := os.Getwd()
	if err != nil {
		return err
	}
	for _, arg := range s.Args {
		if strings.HasPrefix(arg, "-test.fuzz=") && arg != "-test.fuzz=" {
			return pith.Errorf("%s", refused["fuzz"])
		}
	}
	root, dir := testRoot(wd)
	s.Dir, s.Files = dir, testFiles(root, dir)
	s.Env = testEnv(root, dir, s.Env)
	s.Send = testOutputs(wd, s.Args)
	if !isGo(root) {
		s.Changed = []string{root}
	}
	s.Program, s.Remove = testProgram, true
	return nil
}

// testRoot finds the folder that a test's files are taken from: its module's,
// or the Go installation's for a package of the standard library, where dir is
// the package's folder even if the test was called in a copy of it.
func testRoot(wd string) (root, dir string) {
	for folder := wd; ; folder = filepath.Dir(folder) {
		if goroot := filepath.Dir(folder); filepath.Base(folder) == "src" && isGo(goroot) {
			bin, err := filepath.EvalSymlinks(filepath.Join(goroot, "bin"))
			if err != nil {
				return goroot, wd
			}
			return filepath.Dir(bin), filepath.Join(filepath.Dir(bin), strings.TrimPrefix(wd, goroot))
		}
		if isFile(filepath.Join(folder, "go.mod")) {
			return folder, wd
		}
		if folder == filepath.Dir(folder) {
			return wd, wd
		}
	}
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// testFiles are all of root where that isn't too much, or else the package's own
// folder and what is called testdata on the way to it.
func testFiles(root, dir string) []pith.File {
	if isGo(root) {
		return goFiles(root, dir)
	}
	if all := entries(root, ".git", "node_modules"); size(all) <= mostFiles {
		return all
	}
	files := existing(dir, filepath.Join(root, "go.mod"))
	for d := filepath.Dir(dir); strings.HasPrefix(d, root); d = filepath.Dir(d) {
		files = append(files, existing(filepath.Join(d, "testdata"))...)
	}
	return files
}

// goFiles are what the standard library's own tests in dir read: its sources, but
// for the commands', and the time zones. Those of package go/types and of what
// belongs to it also read GOROOT/test and the compiler's types.
func goFiles(root, dir string) []pith.File {
	src := filepath.Join(root, "src")
	files := existing(filepath.Join(root, "lib"), filepath.Join(root, "VERSION"))
	if strings.HasPrefix(dir, filepath.Join(src, "go")+string(filepath.Separator)) {
		files = append(files, existing(filepath.Join(root, "test"), filepath.Join(src, "cmd", "compile", "internal", "types2"))...)
	}
	return append(files, entries(src, "cmd")...)
}

// isGo tells whether a folder is a Go installation.
func isGo(root string) bool { return isFile(filepath.Join(root, "src", "runtime", "proc.go")) }

// entries are the files and folders in a folder, without those of some names.
func entries(dir string, except ...string) (files []pith.File) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range list {
		if !slices.Contains(except, e.Name()) {
			files = append(files, existing(filepath.Join(dir, e.Name()))...)
		}
	}
	return files
}

// existing are the files and folders of these paths that there are.
func existing(paths ...string) (files []pith.File) {
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && (info.IsDir() || info.Mode().IsRegular()) {
			files = append(files, pith.File{Source: path, Target: path})
		}
	}
	return files
}

// size is how many bytes files and folders have, roughly where that is much
// more than mostFiles.
func size(files []pith.File) (sum int64) {
	for _, file := range files {
		filepath.WalkDir(file.Source, func(_ string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
				sum += info.Size()
			}
			if sum > mostFiles {
				return fs.SkipAll
			}
			return nil
		})
	}
	return sum
}

// testEnv is this process's environment, but for what belongs to the host, and
// the machine's own on top of it.
func testEnv(root, dir string, own []string) []string {
	var env []string
	for _, kv := range os.Environ() {
		key, _, _ := strings.Cut(kv, "=")
		switch {
		case strings.HasPrefix(key, "PITH_"), strings.HasPrefix(key, "XDG_"):
		case key == "PWD", key == "OLDPWD", key == "HOME", key == "TMPDIR", key == "GOROOT", key == "GOFLAGS", key == "HOSTNAME", key == "":
		default:
			env = append(env, kv)
		}
	}
	env = append(env, "PWD="+dir, "HOME=/root")
	if isGo(root) {
		env = append(env, "GOROOT="+root)
	}
	return append(env, own...)
}

// outputFlags are the flags of a test that name a file or folder that it writes.
var outputFlags = []string{
	"coverprofile", "gocoverdir", "cpuprofile", "memprofile", "blockprofile", "mutexprofile", "trace", "testlogfile", "outputdir",
}

// testOutputs are the absolute paths that a test writes for its flags (package
// testing: profiles lie in -test.outputdir if that is given).
func testOutputs(wd string, args []string) []string {
	values := map[string]string{}
	for _, arg := range args {
		key, value, joined := strings.Cut(strings.TrimPrefix(arg, "-test."), "=")
		if !joined {
			value = "true"
		}
		values[key] = value
	}
	base := wd
	if d := values["outputdir"]; d != "" {
		base = absolute(wd, d)
	}
	var paths []string
	if values["artifacts"] == "true" {
		paths = append(paths, filepath.Join(base, "_artifacts"))
	}
	for _, flag := range outputFlags {
		value := values[flag]
		switch {
		case value == "" || flag == "outputdir":
		case flag == "gocoverdir" || flag == "testlogfile":
			paths = append(paths, absolute(wd, value))
		default:
			paths = append(paths, absolute(base, value))
		}
	}
	return paths
}

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// testImage makes the image of a test binary in a folder that the caller removes.
func (a *app) testImage(ctx context.Context, file string, args []string, f buildFlags) (*pith.Image, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pith-test-")
	if err != nil {
		return nil, err
	}
	img, err := image.TestImage(ctx, image.Options{
		Hold:   &a.hold,
		What:   file,
		Output: filepath.Join(dir, filepath.Base(file)),
		Args:   args,
		Stack:  f.stack,
	})
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return img, nil
}
