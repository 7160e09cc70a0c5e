package volume

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"pith"
	"pith/ext4"
)

// refused checks that an error is the user's mistake, and says what.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	if pith.ExitCode(err) != 2 || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one for the user with %q", err, want)
	}
}

func TestLife(t *testing.T) {
	s := OpenStore(t.TempDir())
	if list, err := s.List(); err != nil || len(list) != 0 {
		t.Fatalf("%v, %v", list, err)
	}
	if err := s.Create("data", 64<<20); err != nil {
		t.Fatal(err)
	}
	refused(t, s.Create("data", 64<<20), "already")
	refused(t, s.Create("small", 1<<20), "16 MiB")
	refused(t, s.Create("../x", 64<<20), "name")
	list, err := s.List()
	if err != nil || len(list) != 1 || list[0].Name != "data" || list[0].Size != 64<<20 || list[0].InUse {
		t.Fatalf("%+v, %v", list, err)
	}
	if list[0].Taken > 8<<20 {
		t.Errorf("an empty volume takes %d bytes", list[0].Taken)
	}
	v, err := s.Open("data", false)
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := v.Check(); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	refused(t, s.Remove("data"), "in use")
	if info, _ := s.Inspect("data"); !info.InUse {
		t.Error("a volume in use is not shown so")
	}
	v.Close()
	if err := s.Remove("data"); err != nil {
		t.Fatal(err)
	}
	_, err = s.Open("data", false)
	refused(t, err, "there is no volume data")
}

// TestPlace: a volume in a file of the user's choice is a volume like others, and the
// file outlives it.
func TestPlace(t *testing.T) {
	s := OpenStore(t.TempDir())
	file := filepath.Join(t.TempDir(), "kept.img")
	refused(t, s.Place("data", file, 1<<20), "16 MiB")
	refused(t, s.Place("../x", file, 64<<20), "name")
	refused(t, s.Place("data", filepath.Join(file, "x"), 64<<20), "can't be kept")
	for range 2 { // the second time it is there
		if err := s.Place("data", file, 64<<20); err != nil {
			t.Fatal(err)
		}
		v, err := s.Use(pith.Mount{Volume: "data"})
		if err != nil {
			t.Fatal(err)
		}
		if problems, err := v.Check(); err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
		if list, err := s.List(); err != nil || len(list) != 1 || list[0].Size != 64<<20 || !list[0].InUse {
			t.Errorf("%+v, %v", list, err)
		}
		v.Close()
		if err := s.Remove("data"); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(file); err != nil {
			t.Errorf("the file is gone: %v", err)
		}
	}
}

func TestUse(t *testing.T) {
	s := OpenStore(t.TempDir())
	writer, err := s.Use(pith.Mount{Volume: "lazy"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Use(pith.Mount{Volume: "lazy"})
	refused(t, err, "in use by another machine")
	_, err = s.Use(pith.Mount{Volume: "lazy", ReadOnly: true})
	refused(t, err, "in use by another machine")
	writer.Close()
	for range 2 { // several may read
		reader, err := s.Use(pith.Mount{Volume: "lazy", ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
	}
}

// TestUseAfterCrash: who may only read gets a volume that was not unmounted whole, on a
// device that can't be written to.
func TestUseAfterCrash(t *testing.T) {
	s := OpenStore(t.TempDir())
	writer, err := s.Use(pith.Mount{Volume: "lazy"})
	if err != nil {
		t.Fatal(err)
	}
	dev, err := writer.device(false)
	if err != nil {
		t.Fatal(err)
	}
	files, err := ext4.Mount(dev, ext4.Options{Interval: -1})
	if err != nil {
		t.Fatal(err)
	}
	root, _ := files.Root()
	if _, errno := files.Make(root, "file", syscall.S_IFREG|0o600, 0, 0, 0); errno != 0 {
		t.Fatal(errno)
	}
	if errno := files.SyncAll(); errno != 0 {
		t.Fatal(errno)
	}
	if !ext4.NeedsReplay(dev) {
		t.Fatal("the volume is as if it had been unmounted")
	}
	writer.Close() // and never unmounted
	reader, err := s.Use(pith.Mount{Volume: "lazy", ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if dev, err = reader.device(true); err != nil {
		t.Fatal(err)
	}
	if files, err = ext4.Mount(dev, ext4.Options{ReadOnly: true, Interval: -1}); err != nil || ext4.NeedsReplay(dev) {
		t.Fatalf("the volume was not put right: %v", err)
	}
	root, _ = files.Root()
	if _, errno := files.Lookup(root, "file"); errno != 0 {
		t.Errorf("what was synced: %v", errno)
	}
}

// TestReadOnlyFile: a file that may not be written to is a volume for reading.
func TestReadOnlyFile(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be somebody else for a while")
	}
	dir := t.TempDir()
	s := OpenStore(dir)
	if err := s.Create("data", 64<<20); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Dir(filepath.Dir(dir)), filepath.Dir(dir), dir, filepath.Join(dir, "_volumes")} {
		if info, err := os.Stat(path); err != nil || info.Mode()&0o001 == 0 && os.Chmod(path, 0o755) != nil {
			t.Fatal(path, err)
		}
	}
	if err := os.Chmod(s.path("data"), 0o444); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		_, err := s.Use(pith.Mount{Volume: "data"})
		refused(t, err, "volume data can't be written to")
		v, err := s.Use(pith.Mount{Volume: "data", ReadOnly: true})
		if err != nil {
			t.Error(err)
			return
		}
		v.Close()
	})
}

// asNobody calls f on a thread to which files are what they are to user nobody.
func asNobody(t *testing.T, f func()) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := syscall.Setfsuid(65534)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestWrongKind(t *testing.T) {
	s := OpenStore(t.TempDir())
	if err := s.Create("data", 64<<20); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(b []byte){
		"holds no ext4 file system": func(b []byte) { clear(b[1024:2048]) },
		"damaged":                   func(b []byte) { b[1024+4]++ },
		"encrypt":                   func(b []byte) { b[1024+0x62] |= 1; b[1024+0x64+1] &^= 4 },
	} {
		info, err := s.Inspect("data")
		if err != nil {
			t.Fatal(err)
		}
		whole, err := os.ReadFile(info.Path)
		if err != nil {
			t.Fatal(err)
		}
		changed := append([]byte(nil), whole...)
		change(changed)
		if err := os.WriteFile(info.Path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = s.Use(pith.Mount{Volume: "data"})
		refused(t, err, name)
		if after, _ := os.ReadFile(info.Path); string(after) != string(changed) {
			t.Error("a volume that is refused was written to")
		}
		if err := os.WriteFile(info.Path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []int64{0, 1000, 5 << 20, 64<<20 - 4096} {
		if err := os.Truncate(s.path("data"), size); err != nil {
			t.Fatal(err)
		}
		_, err := s.Use(pith.Mount{Volume: "data"})
		refused(t, err, "volume data can't be used: ")
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]pith.Mount{
		"data:/var/lib/data": {Volume: "data", Target: "/var/lib/data"},
		"data:/a b/../c:ro":  {Volume: "data", Target: "/c", ReadOnly: true},
		"my_data.1:/x:y":     {Volume: "my_data.1", Target: "/x:y"},
	} {
		if got, err := Parse(text); got != want || err != nil {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]pith.Mount{
		".:/src":          {Source: here, Target: "/src"},
		"./a:/src/:ro":    {Source: filepath.Join(here, "a"), Target: "/src", ReadOnly: true},
		"/srv//site:/a b": {Source: "/srv/site", Target: "/a b"},
	} {
		if got, err := Parse(text); got != want || err != nil {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"data": "write NAME:/FOLDER", "data:": "write NAME", "data:x": "write NAME", "data:/": "write NAME",
		"src/x:/src": "write ./src/x:/src", "~/x:/src": "no volume's name", "DATA:/x": "volume's name", ":/x": "volume's name",
	} {
		_, err := Parse(text)
		refused(t, err, want)
	}
	if OpenStore("x").dir != filepath.Join("x", "_volumes") {
		t.Error("a machine could have the name of the folder")
	}
}
