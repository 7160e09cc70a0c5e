package ext4

import (
	"bytes"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestAtOnce has goroutines write, sync, read, rename and remove at once, while
// another one commits all the time.
func TestAtOnce(t *testing.T) {
	dev, path := newFile(t, 64<<20)
	makeOn(t, dev)
	f, err := Mount(dev, Options{Report: func(s string) { t.Error(s) }, Interval: time.Millisecond, Memory: leastMemory})
	if err != nil {
		t.Fatal(err)
	}
	root, _ := f.Root()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { workAtOnce(t, f, root, i) })
	}
	wg.Wait()
	unmount(t, f)
	fsck(t, path, "-n")
}

func workAtOnce(t *testing.T, f *FS, root *Inode, who int) {
	name, want := "file"+itoa(who+1), []byte(nil)
	for round := range 40 {
		in, errno := f.Make(root, name+".new", syscall.S_IFREG|0o600, 0, 0, 0)
		if errno != 0 {
			t.Error(errno)
			return
		}
		want = bytes.Repeat([]byte{byte(who), byte(round)}, 5000+round*200)
		if _, _, errno := f.WriteAt(in, want, 0, false); errno != 0 {
			t.Error(errno)
		}
		if errno := f.Truncate(in, int64(len(want)-100)); errno != 0 {
			t.Error(errno)
		}
		if errno := f.Sync(in, round%2 == 0); errno != 0 {
			t.Error(errno)
		}
		if errno := f.Rename(root, name+".new", root, name, false, false); errno != 0 {
			t.Error(errno)
		}
		f.Release(in)
		in, errno = f.Lookup(root, name)
		if errno != 0 {
			t.Error(errno)
			return
		}
		got := make([]byte, len(want))
		n, errno := f.ReadAt(in, got, 0)
		if errno != 0 || !bytes.Equal(got[:n], want[:len(want)-100]) {
			t.Errorf("%s: %d bytes of %d, %v", name, n, len(want)-100, errno)
		}
		if round%5 == 4 {
			if errno := f.Unlink(root, name); errno != 0 {
				t.Error(errno)
			}
		}
		f.Release(in)
	}
}
