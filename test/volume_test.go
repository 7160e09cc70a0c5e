package test

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func volumePath(name string) string {
	return filepath.Join(os.Getenv("PITH_STATE"), "_volumes", name+".img")
}

// TestVolume: what one machine writes the next one finds, on both boards.
func TestVolume(t *testing.T) {
	tool(t, "volume", "create", "kept", "--size", "64M")
	first := run(t, "-v", "kept:/data", guest, "--", "volume")
	first.expect(t, 0, `found "", missing true`, "read-only false", `mapped "SHORT-lived"`, "type 0xef53, size 64 MiB")
	if strings.Contains(first.output, "pith: ") {
		t.Errorf("the kernel complains:\n%s", first.output)
	}
	run(t, "-v", "kept:/data", "--machine-type", "q35", guest, "--", "volume").expect(t, 0, `found "WORD "`, "read-only false")
	run(t, "-v", "kept:/data:ro", guest, "--", "volume", "look").expect(t, 0, `found "WORD word "`, "read-only true")
	sound(t, "kept")
}

// TestVolumeStopped: a stop loses nothing that was written, also where the program
// knows nothing of syncs and signals.
func TestVolumeStopped(t *testing.T) {
	tool(t, "volume", "create", "stopped", "--size", "64M")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, "run", "--rm", "-v", "stopped:/data", guest, "--", "unsynced")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "written" {
			cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	cmd.Wait()
	run(t, "-v", "stopped:/data", guest, "--", "unsynced").expect(t, 0, `found "kept"`)
	sound(t, "stopped")
}

// TestVolumeStopRefused: what was written before a stop is there, synced or not, and so is
// what was synced after it, when the machine has to be killed because its program does not
// end: after its grace, or because the VMM is.
func TestVolumeStopRefused(t *testing.T) {
	for _, how := range []string{"grace", "emulator"} {
		t.Run(how, func(t *testing.T) {
			name := "refused-" + how
			tool(t, "volume", "create", name, "--size", "64M")
			defer tool(t, "volume", "rm", name)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, command, "run", "--rm", "--name", name, "-v", name+":/data", guest, "--", "unwilling")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(out)
			expectLine(t, lines, "written")
			pid := emulator(t, name)
			cmd.Process.Signal(syscall.SIGTERM)
			expectLine(t, lines, "unwilling")
			if how == "grace" {
				tool(t, "stop", "-t", "0", name)
			} else if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			run(t, "-v", name+":/data", guest, "--", "unwilling").expect(t, 0, `before "before", synced "synced", after whole or not there: true`)
			sound(t, name)
		})
	}
}

// TestSyncByInstruction: what sync was called for, not by way of package syscall, is there
// after the machine was killed.
func TestSyncByInstruction(t *testing.T) {
	tool(t, "volume", "create", "synced", "--size", "64M")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, command, "run", "--rm", "--name", "synced", "-v", "synced:/data", guest, "--", "sync")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	expectLine(t, bufio.NewReader(out), "synced")
	if err := syscall.Kill(emulator(t, "synced"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	run(t, "-v", "synced:/data", guest, "--", "synced").expect(t, 0, `"by sync" <nil>`)
}

// TestVolumeRefused: each with its sentence, and exit code 2.
func TestVolumeRefused(t *testing.T) {
	run(t, "-v", "./x:/data", guest, "--", "volume").expect(t, 2, "there is no folder", "make it first")
	run(t, "-v", "x", guest, "--", "volume").expect(t, 2, "write NAME:/FOLDER")
	tool(t, "volume", "create", "wrong", "--size", "64M")
	if err := os.WriteFile(volumePath("wrong"), make([]byte, 64<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "-v", "wrong:/data", guest, "--", "volume").expect(t, 2, "volume wrong can't be used: it holds no ext4 file system", volumePath("wrong"))
	if path, err := exec.LookPath("mke2fs"); err == nil {
		if out, err := exec.Command(path, "-q", "-F", "-t", "ext2", volumePath("wrong")).CombinedOutput(); err != nil {
			t.Fatalf("mke2fs: %s", out)
		}
		run(t, "-v", "wrong:/data", guest, "--", "volume").expect(t, 2, "volume wrong can't be used: it is ext2 or ext3: make it with mkfs.ext4")
	}

	writer := exec.Command(command, "run", "-d", "--name", "volume-writer", "-v", "busy:/data", guest, "--", "serve")
	if out, err := writer.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer tool(t, "rm", "-f", "volume-writer")
	run(t, "-v", "busy:/data", guest, "--", "volume").expect(t, 2, "volume busy is in use by another machine")
	out, err := exec.Command(command, "volume", "rm", "busy").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use") {
		t.Errorf("a volume in use is removed: %s", out)
	}
}

// TestVolumeFull: a full disk is an error for the write that does not fit, and
// nothing is harmed by it; what needs no room, and what others make room for, works.
func TestVolumeFull(t *testing.T) {
	tool(t, "volume", "create", "full", "--size", "32M")
	o := run(t, "-v", "full:/data", guest, "--", "fill")
	o.expect(t, 0, "full true failed false", "overwrite <nil>", "replace <nil>", "remove <nil> <nil>", "again <nil>")
	if strings.Contains(o.output, "pith: ") {
		t.Errorf("a full disk is something to complain of:\n%s", o.output)
	}
	sound(t, "full")
}

// TestVolumeDamaged: damage is told with what to do, whether it is seen before the
// machine starts or while its program runs, which gets an error then.
func TestVolumeDamaged(t *testing.T) {
	tool(t, "volume", "create", "damaged", "--size", "64M")
	run(t, "-v", "damaged:/data", guest, "--", "volume").expect(t, 0, `found ""`)
	f, err := os.OpenFile(volumePath("damaged"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	flip := func(off int64) {
		b := make([]byte, 1)
		if _, err := f.ReadAt(b, off); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 0xff
		if _, err := f.WriteAt(b, off); err != nil {
			t.Fatal(err)
		}
	}
	const superblock = 1024
	flip(superblock + 0x78) // in its label
	before, err := os.ReadFile(volumePath("damaged"))
	if err != nil {
		t.Fatal(err)
	}
	run(t, "-v", "damaged:/data", guest, "--", "volume").expect(t, 2,
		"volume damaged can't be used: its superblock is damaged (checksum): run e2fsck on it", volumePath("damaged"))
	if after, err := os.ReadFile(volumePath("damaged")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a refused volume was written to (%v)", err)
	}
	flip(superblock + 0x78)

	// The root directory, and older versions of it in the journal.
	found := 0
	for at := 0; ; found++ {
		next := bytes.Index(before[at:], []byte("lost+found"))
		if next < 0 {
			break
		}
		at += next
		flip(int64(at))
		at++
	}
	if found == 0 {
		t.Fatal("there is no root directory where the test looks for it")
	}
	o := run(t, "-v", "damaged:/data", guest, "--", "volume")
	o.expect(t, 98, "pith: the volume at /data: the file system is damaged", "run e2fsck on it", "input/output error")
	run(t, "-v", "damaged:/data", guest, "--", "volume", "look").expect(t, 0, "it is marked as damaged, so it is read-only: run e2fsck on it")
	out, err := exec.Command(command, "volume", "check", "damaged").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "volume damaged is damaged: run `e2fsck -f "+volumePath("damaged")+"`") {
		t.Errorf("%v: %s", err, out)
	}
}

// fullHost is run with a mount namespace of its own. Its arguments are pith, the guest
// and a folder, where all that pith keeps comes to lie on a disk that is too small.
const fullHost = `set -e
mount -t tmpfs -o size=12m none "$3"
export PITH_STATE="$3"
"$1" volume create outside --size 64M
"$1" run --rm -v outside:/data "$2" -- fill >/dev/shm/$$ || true
said=$(cat /dev/shm/$$; rm /dev/shm/$$)
echo "$said"
mount -o remount,size=100m "$3"
"$1" volume check outside
"$1" run --rm -v outside:/data "$2" -- filled $(echo "$said" | sed -n 's/^whole //p')
"$1" volume check outside
if command -v e2fsck >/dev/null; then e2fsck -f -n "$3/_volumes/outside.img"; fi
`

// TestVolumeHostFull: where the host's own disk is full, the program gets an error,
// the machine says why, and what was acknowledged is there once there is room.
func TestVolumeHostFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", fullHost, "sh", command, guest, t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v", err)
	}
	for _, text := range []string{
		"full false failed true", "is the host's own disk full?", "the file system is read-only until it is mounted again",
		"outside is sound", "write <nil>",
	} {
		if !strings.Contains(string(out), text) {
			t.Errorf("it did not say %q", text)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}

// sound has pith and e2fsck check a volume.
func sound(t *testing.T, name string) {
	t.Helper()
	if out := tool(t, "volume", "check", name); !strings.Contains(out, name+" is sound") {
		t.Error(out)
	}
	path, err := exec.LookPath("e2fsck")
	if err != nil {
		t.Log("e2fsck is not installed: only Pith's own check was made")
		return
	}
	if out, err := exec.Command(path, "-f", "-n", volumePath(name)).CombinedOutput(); err != nil {
		t.Errorf("e2fsck: %v\n%s", err, out)
	}
}
