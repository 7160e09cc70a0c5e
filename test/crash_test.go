package test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pith/ext4"
)

var (
	kills    = flag.Int("kills", 25, "how often TestCrash kills the machine")
	killSeed = flag.Uint64("seed", 0, "seed of TestCrash (0: by the clock)")
)

// acknowledged is what the guest said is durable.
type acknowledged struct{ log, state, made, gone uint64 }

// TestCrash kills the emulator with SIGKILL at random moments while the guest
// appends to a log, replaces a file by rename, and makes and removes files. After
// each kill what the guest has acknowledged must be there, whole; e2fsck must find
// nothing wrong once it has replayed the journal; and the guest, at its next
// start, reads all of it again. That keeps the host's memory, so what a flush
// is for is tested by the simulation in package ext4.
func TestCrash(t *testing.T) {
	if _, err := exec.LookPath("e2fsck"); err != nil {
		t.Skip("e2fsck is not installed, which is to judge")
	}
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d (-seed repeats it)", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	tool(t, "volume", "create", "crash", "--size", "256M")
	var acks acknowledged
	for i := range *kills {
		began := acks
		crashOnce(t, fmt.Sprintf("crash-%d", i), time.Duration(r.IntN(1500))*time.Millisecond, &acks)
		image := filepath.Join(os.Getenv("PITH_STATE"), "_volumes", "crash.img")
		judge(t, image, acks)
		if t.Failed() {
			t.Fatalf("after kill %d", i+1)
		}
		t.Logf("kill %d: log +%d, state +%d, files +%d", i+1, acks.log-began.log, acks.state-began.state, acks.made-began.made)
	}
	if acks.log == 0 || acks.state == 0 || acks.gone == 0 {
		t.Errorf("too little was acknowledged to mean something: %+v", acks)
	}
}

func tool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(command, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("pith %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// crashOnce runs the writer and kills its machine some time after its first
// acknowledgement.
func crashOnce(t *testing.T, name string, after time.Duration, acks *acknowledged) {
	t.Helper()
	cmd := exec.Command(command, "run", "--rm", "--name", name, "--cpus", "2", "-v", "crash:/data", guest, "--", "crash")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	giveUp := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer giveUp.Stop()
	var other []string
	for first, lines := true, bufio.NewScanner(out); lines.Scan(); {
		if !acks.take(lines.Text()) {
			other = append(other, lines.Text())
			continue
		}
		if first {
			first = false
			pid := emulator(t, name)
			time.AfterFunc(after, func() { syscall.Kill(pid, syscall.SIGKILL) })
		}
	}
	cmd.Wait()
	if len(other) > 0 || !strings.Contains(complaints.String(), "signal: killed") {
		t.Fatalf("exit code %d; the machine said:\n%s\n%s", cmd.ProcessState.ExitCode(), strings.Join(other, "\n"), complaints.String())
	}
}

// take notes an acknowledgement. A last line that is cut short counts for nothing.
func (a *acknowledged) take(line string) bool {
	words := strings.Fields(line)
	if len(words) != 3 || words[0] != "ack" {
		return strings.HasPrefix("ack ", line) || len(words) > 0 && words[0] == "ack"
	}
	n, err := strconv.ParseUint(words[2], 10, 64)
	if err != nil {
		return false
	}
	if at := map[string]*uint64{"log": &a.log, "state": &a.state, "made": &a.made, "gone": &a.gone}[words[1]]; at != nil {
		*at = max(*at, n)
	}
	return true
}

// emulator is the process of a machine.
func emulator(t *testing.T, name string) int {
	t.Helper()
	var list []struct {
		Name string
		PID  int
	}
	if err := json.Unmarshal([]byte(tool(t, "ps", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if m.Name == name {
			return m.PID
		}
	}
	t.Fatalf("%s does not run", name)
	return 0
}

// judge looks at a copy of a volume after a crash.
func judge(t *testing.T, image string, acks acknowledged) {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "--sparse=always", image, copied).CombinedOutput(); err != nil {
		t.Fatalf("cp: %s", out)
	}
	defer os.Remove(copied)
	f, err := os.OpenFile(copied, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	defer keepIfFailed(t, image)
	dev := &imageFile{f}
	for _, problem := range ext4.Check(dev) {
		t.Errorf("pith's own check: %s", problem)
	}
	// It replays the journal and frees what was deleted but open; then all must
	// be well.
	out, err := exec.Command("e2fsck", "-p", copied).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) {
		t.Errorf("e2fsck -p: %v\n%s", err, out)
	}
	if out, err := exec.Command("e2fsck", "-f", "-n", copied).CombinedOutput(); err != nil {
		t.Errorf("e2fsck -f -n: %v\n%s", err, out)
	}
	files, err := ext4.Mount(dev, ext4.Options{ReadOnly: true, Report: func(s string) { t.Error(s) }})
	if err != nil {
		t.Fatal(err)
	}
	v := &survivor{t, files}
	v.log(acks)
	v.state(acks)
	v.files(acks)
}

// keepIfFailed saves the volume that a test has failed with from the test's end.
func keepIfFailed(t *testing.T, image string) {
	if !t.Failed() {
		return
	}
	kept := filepath.Join(os.TempDir(), fmt.Sprintf("pith-crash-%d.img", os.Getpid()))
	if out, err := exec.Command("cp", "--sparse=always", image, kept).CombinedOutput(); err != nil {
		t.Logf("the volume can't be kept: %s", out)
		return
	}
	t.Logf("the volume as it was after the crash is in %s", kept)
}

// survivor is a file system after a crash.
type survivor struct {
	t  *testing.T
	fs *ext4.FS
}

// read returns a file's contents, nil if there is none.
func (v *survivor) read(path ...string) []byte {
	in := v.find(path...)
	if in == nil {
		return nil
	}
	b := make([]byte, v.fs.Stat(in).Size)
	if n, errno := v.fs.ReadAt(in, b, 0); errno != 0 || n != len(b) {
		v.t.Fatalf("%v: %d of %d bytes, %v", path, n, len(b), errno)
	}
	return b
}

func (v *survivor) find(path ...string) *ext4.Inode {
	in, errno := v.fs.Root()
	for _, name := range path {
		if errno == 0 {
			in, errno = v.fs.Lookup(in, name)
		}
	}
	if errno == syscall.ENOENT {
		return nil
	}
	if errno != 0 {
		v.t.Fatalf("%v: %v", path, errno)
	}
	return in
}

// opened takes a record of the guest's off b.
func (v *survivor) opened(what string, b []byte) (n uint64, rest []byte) {
	v.t.Helper()
	if len(b) < 16 {
		v.t.Fatalf("%s: a record is cut short (%d bytes)", what, len(b))
	}
	n, end := binary.LittleEndian.Uint64(b), 12+int(binary.LittleEndian.Uint32(b[8:]))
	if end+4 > len(b) || crc32.ChecksumIEEE(b[:end]) != binary.LittleEndian.Uint32(b[end:]) {
		v.t.Fatalf("%s: record %d is torn", what, n)
	}
	return n, b[end+4:]
}

func (v *survivor) log(acks acknowledged) {
	last := uint64(0)
	for b := v.read("log"); len(b) > 0; {
		n, rest := v.opened("the log", b)
		if n != last+1 {
			v.t.Fatalf("record %d of the log is followed by %d", last, n)
		}
		last, b = n, rest
	}
	if last < acks.log {
		v.t.Errorf("the log ends with %d; %d was acknowledged", last, acks.log)
	}
}

func (v *survivor) state(acks acknowledged) {
	b := v.read("state")
	if b == nil {
		if acks.state > 0 {
			v.t.Errorf("the state is lost; %d was acknowledged", acks.state)
		}
		return
	}
	if n, rest := v.opened("the state", b); n < acks.state || len(rest) > 0 {
		v.t.Errorf("the state is %d; %d was acknowledged", n, acks.state)
	}
}

// files checks that made files are there, and removed ones are not. Those that
// were acknowledged by neither may be either.
func (v *survivor) files(acks acknowledged) {
	const kept = 40 // as in the guest
	dir := v.find("files")
	if dir == nil {
		if acks.made > 0 {
			v.t.Error("the files are lost")
		}
		return
	}
	names, errno := v.fs.Names(dir)
	if errno != 0 {
		v.t.Fatal(errno)
	}
	last, there := uint64(0), map[uint64]bool{}
	for _, name := range names {
		n, err := strconv.ParseUint(name, 10, 64)
		if err != nil {
			v.t.Errorf("a file named %s", name)
		}
		there[n], last = true, max(last, n)
	}
	for n := uint64(1); n <= acks.made; n++ {
		switch {
		case n <= acks.gone && there[n]:
			v.t.Errorf("file %d was removed and is there", n)
		case n > acks.gone && n+kept > last && !there[n]:
			v.t.Errorf("file %d is lost", n)
		case n > acks.gone && n+kept > last:
			if got, rest := v.opened(fmt.Sprint("file ", n), v.read("files", strconv.FormatUint(n, 10))); got != n || len(rest) > 0 {
				v.t.Errorf("file %d has the contents of %d", n, got)
			}
		}
	}
}

// imageFile is an ext4.Device.
type imageFile struct{ f *os.File }

func (d *imageFile) Read(off int64, into ...[]byte) error {
	for _, p := range into {
		if _, err := d.f.ReadAt(p, off); err != nil {
			return err
		}
		off += int64(len(p))
	}
	return nil
}

func (d *imageFile) Write(off int64, from ...[]byte) error {
	for _, p := range from {
		if _, err := d.f.WriteAt(p, off); err != nil {
			return err
		}
		off += int64(len(p))
	}
	return nil
}

func (d *imageFile) Flush() error   { return nil }
func (d *imageFile) ReadOnly() bool { return false }
func (d *imageFile) Size() int64 {
	n, err := d.f.Seek(0, io.SeekEnd)
	if err != nil {
		panic(err)
	}
	return n
}
