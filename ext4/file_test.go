package ext4

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"
)

// fileDevice is a Device on a file.
type fileDevice struct {
	f        *os.File
	readOnly bool
}

func (d *fileDevice) Read(off int64, into ...[]byte) error {
	for _, p := range into {
		if _, err := d.f.ReadAt(p, off); err != nil {
			return err
		}
		off += int64(len(p))
	}
	return nil
}

func (d *fileDevice) Write(off int64, from ...[]byte) error {
	for _, p := range from {
		if _, err := d.f.WriteAt(p, off); err != nil {
			return err
		}
		off += int64(len(p))
	}
	return nil
}

func (d *fileDevice) Flush() error   { return nil }
func (d *fileDevice) ReadOnly() bool { return d.readOnly }
func (d *fileDevice) Size() int64 {
	info, err := d.f.Stat()
	if err != nil {
		panic(err)
	}
	return info.Size()
}

// newFile returns a device of zeros on a sparse file.
func newFile(t testing.TB, size int64) (*fileDevice, string) {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "volume")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return &fileDevice{f: f}, f.Name()
}

func makeOn(t testing.TB, dev Device) {
	t.Helper()
	if err := Make(dev, MakeOptions{UUID: [16]byte{1, 2, 3, 4, 5, 6, 0x47, 8, 0x89}, Time: time.Unix(1700000000, 0)}); err != nil {
		t.Fatal(err)
	}
}

// fsck has e2fsck look at an image, which it must find nothing wrong with.
func fsck(t testing.TB, path string, args ...string) {
	t.Helper()
	program, err := exec.LookPath("e2fsck")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/e2fsck"); err != nil {
			t.Skip("e2fsck is not installed: nothing else can judge what was written")
		}
	}
	out, err := exec.Command(program, append(args, "-f", path)...).CombinedOutput()
	if err != nil {
		t.Errorf("e2fsck: %v\n%s", err, out)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, problem := range Check(&fileDevice{f, true}) {
		t.Errorf("our own check: %s", problem)
	}
}

func mountOn(t testing.TB, dev Device) *FS {
	t.Helper()
	f, err := Mount(dev, Options{Report: func(s string) { t.Error(s) }, Interval: -1})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func unmount(t testing.TB, f *FS) {
	t.Helper()
	if errno := f.Unmount(); errno != 0 {
		t.Fatalf("unmount: %v", errno)
	}
}

func TestMakeIsSound(t *testing.T) {
	for _, size := range []int64{MinSize, 17<<20 + 5000, 64 << 20, 128<<20 + 4096, 129 << 20, 1 << 30, 10<<30 + 12345, 1 << 40} {
		dev, path := newFile(t, size)
		makeOn(t, dev)
		fsck(t, path, "-n")
		f := mountOn(t, dev)
		unmount(t, f)
		fsck(t, path, "-n")
	}
}

// preen has e2fsck replay the journal and free what was deleted but open; it must
// find nothing else to do.
func preen(t testing.TB, path string) {
	t.Helper()
	out, err := exec.Command("/usr/sbin/e2fsck", "-p", path).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return
	}
	if err != nil {
		t.Errorf("e2fsck -p: %v\n%s", err, out)
	}
}
