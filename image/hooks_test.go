package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pith"
)

// TestShapeCheck gives the hooks packages syscall that Go doesn't have (yet).
func TestShapeCheck(t *testing.T) {
	good := "package syscall\n\n" +
		"//go:nosplit\nfunc RawSyscall(trap, a1, a2, a3 uintptr) (r1, r2 uintptr, err Errno) {\n\treturn\n}\n" +
		"func RawSyscall6(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err Errno) {\n\treturn\n}\n" +
		"func Syscall(trap, a1, a2, a3 uintptr) (r1, r2 uintptr, err Errno) {\n\treturn\n}\n" +
		"func Syscall6(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err Errno) {\n\treturn\n}\n" +
		"func AllThreadsSyscall(trap, a1, a2, a3 uintptr) (r1, r2 uintptr, err Errno) {\n\treturn\n}\n" +
		"func AllThreadsSyscall6(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err Errno) {\n\treturn\n}\n" +
		"func sendmsgN(fd int, p, oob []byte, ptr unsafe.Pointer, salen _Socklen, flags int) (n int, err error) {\n\treturn\n}\n"
	const exec = "package syscall\n\nfunc forkExec(argv0 string, argv []string, attr *ProcAttr) (pid int, err error) {\n\treturn\n}\n"
	tests := []struct{ name, old, new, function string }{
		{"function gone", "func Syscall6(", "func Syscall9(", "Syscall6"},
		{"other parameters", "func Syscall(trap, a1, a2, a3 uintptr)", "func Syscall(trap, a1, a2 uintptr)", "Syscall"},
		{"other results", "func RawSyscall(trap, a1, a2, a3 uintptr) (r1, r2 uintptr, err Errno)", "func RawSyscall(trap, a1, a2, a3 uintptr) (r1, r2, err uintptr)", "RawSyscall"},
		{"no body", "(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err Errno) {\n\treturn\n}\nfunc Syscall(", "(trap, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err Errno)\nfunc Syscall(", "RawSyscall6"},
		{"no Go", "package syscall", "package", "RawSyscall"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := tree(t, map[string]string{"exec_unix.go": exec, "syscall_linux.go": strings.Replace(good, test.old, test.new, 1)})
			err := hookSyscalls(dir, "go1.99.1", &sources{})
			if err == nil || !strings.Contains(err.Error(), "go1.99.1") || !strings.Contains(err.Error(), "syscall."+test.function) {
				t.Errorf("err = %v", err)
			}
		})
	}
	dir := tree(t, map[string]string{"exec_unix.go": exec, "syscall_linux.go": good})
	if err := hookSyscalls(dir, "go1.99.1", &sources{}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "syscall_linux.go"))
	want := "//go:nosplit\nfunc RawSyscall(trap, a1, a2, a3 uintptr) (r1, r2 uintptr, err Errno) { if !pithHosted { return pithRawEntry(trap, a1, a2, a3, 0, 0, 0) };\n"
	if err != nil || !strings.Contains(string(text), want) || strings.Count(string(text), "\n") != strings.Count(good, "\n") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestTypedHooks(t *testing.T) {
	source := &sources{files: map[string][]byte{"kernel/linux/fast.go": []byte(`package linux

//pith:replaces syscall.recvfromInet4
func ReceiveFrom4(fd int, p []byte, flags int, from *syscall.SockaddrInet4, length *uint32) (n int, err error) { return }
`)}}
	source.seal()
	dir := tree(t, map[string]string{"syscall_linux.go": "package syscall\n\nfunc recvfromInet4(fd int, p []byte, flags int, from *SockaddrInet4, length *_Socklen) (n int, err error) {\n\treturn\n}\n"})
	hooks, err := typedHooks(source)
	if err != nil || len(hooks) != 1 {
		t.Fatal(hooks, err)
	}
	file, fn, err := declares(dir, "recvfromInet4")
	if err != nil || file != "syscall_linux.go" {
		t.Fatal(file, err)
	}
	if got, want := hooks[0].declaration(fn.Type), "\n//go:noescape\n//go:linkname pith_recvfromInet4 pith/kernel/linux.ReceiveFrom4\nfunc pith_recvfromInet4(fd int, p []byte, flags int, from *SockaddrInet4, length *_Socklen) (n int, err error)\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := hooks[0].hook(file).insert(dir, "go1.99"); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "syscall_linux.go"))
	if err != nil || !strings.Contains(string(text), "{ if pithActive() { return pith_recvfromInet4(fd, p, flags, from, length) };\n") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestPins(t *testing.T) {
	data, err := pith.Source.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	p, err := pins(string(data))
	if err != nil {
		t.Fatal(err)
	}
	sums, err := pith.Source.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	for module, version := range p {
		if !strings.Contains(string(sums), module+" "+version+" h1:") {
			t.Errorf("go.sum has no checksum of %s %s", module, version)
		}
	}
	if _, err := pins("module x\n"); err == nil {
		t.Error("a go.mod without the modules was taken")
	}
}

func TestChecksumsAreCompared(t *testing.T) {
	answer := []byte(`{"Path":"gvisor.dev/gvisor","Version":"v1","Sum":"h1:other","Dir":"/x"}`)
	_, err := moduleFolders(answer, "gvisor.dev/gvisor v1 h1:ours=\n")
	if err == nil || !strings.Contains(err.Error(), "gvisor.dev/gvisor v1") {
		t.Errorf("err = %v", err)
	}
}
