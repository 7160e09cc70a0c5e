package ext4

import (
	"syscall"
	"testing"
	"time"
)

// slowFlush is a device whose flushes a test lets through, once it has begun to
// hold them.
type slowFlush struct {
	Device
	began chan chan struct{} // has each flush that begins; closing it ends the flush; nil: not held
	wrote chan struct{}      // has one if something was written
}

func (d *slowFlush) Flush() error {
	if d.began != nil {
		through := make(chan struct{})
		d.began <- through
		<-through
	}
	return d.Device.Flush()
}

func (d *slowFlush) Write(off int64, from ...[]byte) error {
	err := d.Device.Write(off, from...)
	select {
	case d.wrote <- struct{}{}:
	default:
	}
	return err
}

// TestSyncDuringCommit: a flush that began before a page was written doesn't count
// for it, also if it is the flush of the commit that the file waits for.
func TestSyncDuringCommit(t *testing.T) {
	file, _ := newFile(t, MinSize)
	makeOn(t, file)
	dev := &slowFlush{Device: file, wrote: make(chan struct{}, 1)}
	f := mountOn(t, dev)
	root, _ := f.Root()
	in, errno := f.Make(root, "f", syscall.S_IFREG|0o644, 0, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	data := make([]byte, 4096)
	if _, _, errno := f.WriteAt(in, data, 0, false); errno != 0 {
		t.Fatal(errno)
	}
	dev.began = make(chan chan struct{})
	first := make(chan Errno, 1)
	go func() { first <- f.Sync(in, false) }()
	close(<-dev.began) // of what the log holds
	last := <-dev.began
	if _, _, errno := f.WriteAt(in, []byte("new"), 0, false); errno != 0 {
		t.Fatal(errno)
	}
	select {
	case <-dev.wrote:
	default:
	}
	second := make(chan Errno, 1)
	go func() { second <- f.Sync(in, true) }()
	<-dev.wrote
	close(last)
	if errno := <-first; errno != 0 {
		t.Fatal(errno)
	}
	select {
	case flush := <-dev.began:
		close(flush)
	case <-second:
		t.Fatal("fdatasync returned without a flush of what it had written")
	case <-time.After(time.Minute):
		t.Fatal("fdatasync does not return")
	}
	if errno := <-second; errno != 0 {
		t.Fatal(errno)
	}
	dev.began = nil
	f.Release(in)
	f.Release(root)
	unmount(t, f)
}

// TestDeletedTwice: two users may let go of a file without a name at nearly the same
// time, so that both come to delete it, the second one after its number was given
// to another file.
func TestDeletedTwice(t *testing.T) {
	dev, path := newFile(t, MinSize)
	makeOn(t, dev)
	f := mountOn(t, dev)
	root, _ := f.Root()
	old, errno := f.Make(root, "old", syscall.S_IFREG|0o644, 0, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	if errno := f.Unlink(root, "old"); errno != 0 {
		t.Fatal(errno)
	}
	f.Release(old)
	in, errno := f.Make(root, "new", syscall.S_IFREG|0o644, 0, 0, 0)
	if errno != 0 || in.Number() != old.Number() {
		t.Fatalf("%v: the number of the deleted file isn't taken again, so this test tests nothing", errno)
	}
	if _, _, errno := f.WriteAt(in, []byte("contents"), 0, false); errno != 0 {
		t.Fatal(errno)
	}
	if errno := f.evict(old); errno != 0 {
		t.Fatal(errno)
	}
	f.Release(in)
	f.Release(root)
	unmount(t, f)
	fsck(t, path, "-n")
}
