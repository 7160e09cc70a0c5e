package linux

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/syscalls.md")

// limits of what is answered, where an answer is less than Linux's.
var notes = map[string]string{
	"adjtimex": "reading only: the clock is the host's", "clock_adjtime": "the same",
	"capset":    "accepted, without effect: the program is user 0 and stays it",
	"execve":    "ENOSYS: a unikernel runs one program; the console says which was to be started",
	"fadvise64": "checked, without effect", "readahead": "checked, without effect",
	"getppid": "0: there is nobody above", "getpgid": "the process leads its group", "getsid": "the process leads its session",
	"getrusage": "CPU time and memory; the other fields are 0", "getitimer": "no timer of that kind runs",
	"setitimer": "ITIMER_PROF only, for the profiler",
	"ioctl":     "FIONREAD, FIONBIO, FIOASYNC, FIOCLEX, terminals, SIOCGIF... of network cards; else ENOTTY",
	"kill":      "the process itself", "tgkill": "threads of the process itself",
	"madvise":    "what concerns memory; hints have no effect",
	"membarrier": "all but the commands for rseq and cores",
	"mlock":      "memory is never paged out", "mlock2": "memory is never paged out", "mlockall": "memory is never paged out",
	"mmap":       "a private mapping of a file is a copy of what it holds then; memory is never writable and executable",
	"pause":      "waits for good: handlers run on threads of the runtime's choice",
	"pidfd_open": "the process itself", "pidfd_getfd": "the process itself", "pidfd_send_signal": "the process itself",
	"prctl":             "what can be kept is kept, without further effect",
	"prlimit64":         "RLIMIT_NOFILE has an effect, the others are kept",
	"reboot":            "power off, halt and restart end the machine",
	"rt_sigtimedwait":   "signals to the thread, and those to the process that all threads block",
	"sched_setaffinity": "taken as a hint", "sched_setscheduler": "all policies but real-time ones, without effect",
	"setpriority": "without effect: there is no other process",
	"setuid":      "to 0 only", "setgid": "to 0 only", "setresuid": "to 0 only", "setresgid": "to 0 only",
	"setreuid": "to 0 only", "setregid": "to 0 only", "setgroups": "to 0 only",
	"signalfd": "signals to the reading thread, and those to the process that all threads block", "signalfd4": "the same",
	"sync_file_range": "the same as fsync", "vmsplice": "copies",
	"wait4": "ECHILD: there are no children", "waitid": "ECHILD: there are no children",
}

// lowerCases is the numbers that the lower half answers, by its source, where calls
// that package syscall has no name for are constants of its own.
func lowerCases(t *testing.T) map[uintptr]bool {
	t.Helper()
	source, err := os.ReadFile("../rt/rt.go")
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]uintptr{}
	for _, m := range regexp.MustCompile(`\t(sys[A-Z]\w*)\s*= (\d+)`).FindAllStringSubmatch(string(source), -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		own[m[1]] = uintptr(n)
	}
	_, body, _ := strings.Cut(string(source), "func dispatch(")
	body, _, _ = strings.Cut(body, "default:")
	cases := map[uintptr]bool{}
	for _, line := range regexp.MustCompile(`case (\w[\w., ]+):`).FindAllStringSubmatch(body, -1) {
		for name := range strings.SplitSeq(line[1], ", ") {
			number, known := own[name]
			if call, ok := strings.CutPrefix(name, "syscall.SYS_"); ok {
				i := slices.Index(callNames[:], strings.ToLower(call))
				number, known = uintptr(i), i >= 0
			}
			if !known {
				t.Fatalf("kernel/rt/rt.go: what call is %s?", name)
			}
			cases[number] = true
		}
	}
	return cases
}

// TestTable: each of Linux's system calls is answered, by this package or by the
// lower half, or refused on purpose, and docs/syscalls.md says which.
func TestTable(t *testing.T) {
	below := lowerCases(t)
	var lines []string
	answered, refusedCalls := 0, 0
	for n, name := range callNames {
		number := uintptr(n)
		if name == "" {
			continue
		}
		handled, passed, r := table[n] != nil, passes(number) || blocks(number), refused(number)
		switch {
		case handled && !passed && r == nil, passed && !handled && r == nil:
			answered++
			note := "yes"
			if strings.HasPrefix(notes[name], "ENOSYS") {
				note = notes[name]
			} else if more := notes[name]; more != "" {
				note += ": " + more
			}
			lines = append(lines, fmt.Sprintf("| %d | %s | %s |", n, name, note))
		case r != nil && !handled && !passed:
			refusedCalls++
			lines = append(lines, fmt.Sprintf("| %d | %s | %s: %s |", n, name, errnoName(r.errno), r.why))
		default:
			t.Errorf("%s (%d): handled here %v, below %v, refused %v; want one of them", name, n, handled, passed, r != nil)
		}
		if passed && !below[number] {
			t.Errorf("%s (%d) is handed to the lower half, which doesn't know it", name, n)
		}
	}
	for n := range below {
		if number := n; table[number] == nil && !passes(number) && !blocks(number) && refused(number) == nil {
			t.Errorf("the lower half answers %s (%d), which programs don't reach", callName(number), number)
		}
	}
	for name := range notes {
		if !slices.Contains(callNames[:], name) {
			t.Errorf("there is a note on %s, which is no system call", name)
		}
	}
	checkDocument(t, answered, refusedCalls, lines)
}

func errnoName(e Errno) string {
	return map[Errno]string{1: "EPERM", 38: "ENOSYS"}[e]
}

func checkDocument(t *testing.T, answered, refusedCalls int, lines []string) {
	t.Helper()
	const path = "../../docs/syscalls.md"
	text := fmt.Sprintf(`# System calls

What becomes of each of Linux's system calls on x86-64, as the one program of a
machine sees it: %d are answered, as section 2 of the manual has them; %d are
refused on purpose, and those that a program can't do without are named once on
the console. This page is written by a test from the tables in kernel/linux:
run "go test -ldflags=-checklinkname=0 ./kernel/linux -run TestTable -update" after
a change there.

| number | call | answered? |
|---|---|---|
%s
`, answered, refusedCalls, strings.Join(lines, "\n"))
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(old) != text {
		t.Error("docs/syscalls.md is not what the tables say: run the command that it names")
	}
}
