package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// fullDisk runs a shell in a mount namespace of its own, where $DISK is a tmpfs that
// may hold $1, and $PITH writes all but Go's own cache there.
func fullDisk(c *cli, script string, args ...string) (string, error) {
	c.Helper()
	if os.Geteuid() != 0 {
		c.Skip("a small disk takes a mount, hence root")
	}
	disk := c.TempDir()
	cmd := exec.CommandContext(c.Context(), "sh", append([]string{"-euc", `mount -t tmpfs -o size=$1 none $DISK
mkdir -p $DISK/tmp $DISK/out
` + script, "sh"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	cmd.Dir = c.dir
	cmd.Env = append(c.env, "DISK="+disk, "PITH="+pithBinary, "PITH_CACHE="+disk+"/cache", "TMPDIR="+disk+"/tmp", "PITH_STATE="+disk+"/state")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestBuildOnFullDisk: whatever part of a build fills the disk, pith says so in one
// sentence and leaves nothing half-done, and the next build with room succeeds.
func TestBuildOnFullDisk(t *testing.T) {
	c := newCLI(t)
	c.save("go.mod", "module full\n\ngo 1.26\n")
	c.save("main.go", "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"full\") }\n")
	failed := 0
	for _, size := range []int{1, 12, 20, 24} { // MiB: the kernel's sources, the linker, the image
		out, err := fullDisk(c, `
code=0; $PITH build -o $DISK/out/full.img . >said 2>&1 || code=$?
echo "$code $(grep -v '^preparing \|^compiled \|^writing ' said)"
find $DISK -name '.new-*' -o -name 'go-build*' -o -path '*/out/*' -type f
mount -o remount,size=500m $DISK
$PITH build -o $DISK/out/full.img . >/dev/null 2>&1
$PITH cache prune --all >/dev/null
test -s $DISK/out/full.img`, fmt.Sprint(size, "m"))
		if err != nil {
			t.Errorf("%d MiB: %v: %s", size, err, out)
			continue
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		switch {
		case strings.HasPrefix(out, "0 ") && strings.HasSuffix(out, "full.img\n"):
		case len(lines) == 1 && strings.HasPrefix(out, "1 pith: no space left on device: the disk of "):
			failed++
		default:
			t.Errorf("%d MiB:\n%s", size, out)
		}
	}
	if failed < 2 {
		t.Errorf("the disk was full %d times only", failed)
	}
}
