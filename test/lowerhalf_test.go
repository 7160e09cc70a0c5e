package test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the lower half must not call: the collector's write barriers, the
// allocator, and whatever needs a goroutine. Package boot and the set-up of the others
// run before the runtime and may use barriers, which are off by then.
var (
	forbidden     = regexp.MustCompile(`CALL runtime\.(gcWriteBarrier\w*|newobject|mallocgc\w*|makeslice\w*|growslice\w*|deferproc\w*|mapaccess\w*|mapassign\w*|chansend\w*|chanrecv\w*|concatstring\w*|convT\w*|typedmemmove|wbZero|wbMove|memmove|memclrNoHeapPointers)\b`)
	beforeRuntime = regexp.MustCompile(`^pith/kernel/(boot\..*|trap\.(Init|SetSyscall)|clock\.(fromKVM|fromCPUID|calibrate|Begin|Init|setHz)|mm\.\(\*Space\)\.(Init|SetFlush)|rt\.Set.*|diag\.Init|cpu\.InitFeatures)\(`)
	upperHalf     = regexp.MustCompile(`^pith/kernel/rt\.(Trap|TakeLate|Pages|MapDevice|Line|Message|Signal|Memory|Print|Exit|Poller\.\w+|\(\*?Poller\)\.\w+|\(\*Interrupt\)\.\w+)`)
)

func TestLowerHalfNeitherAllocatesNorStoresPointers(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "boot")
	build := exec.Command("go", "build", "-o", binary, "-pgo=../kernel/inlining.pgo", "-ldflags=-checklinkname=0 -E pith/kernel/boot.entry", "./lowerhalf")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	dump, err := exec.Command("go", "tool", "objdump", "-s", `^pith/kernel/(cpu|mm|apic|acpi|clock|sched|trap|poll|diag|boot|rt)\.`, binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	function, functions := "", 0
	for line := range strings.Lines(string(dump)) {
		if name, ok := strings.CutPrefix(line, "TEXT "); ok {
			function = strings.Fields(name)[0]
			functions++
			continue
		}
		if beforeRuntime.MatchString(function) || upperHalf.MatchString(function) {
			continue
		}
		if call := forbidden.FindString(line); call != "" {
			t.Errorf("%s: %s", function, call)
		}
	}
	if functions < 100 {
		t.Errorf("only %d functions were read", functions)
	}
}
