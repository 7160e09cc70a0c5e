package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// differs is the lines of the conform program that may differ between the host
// and a machine, by how they begin, and why.
var differs = map[string]string{
	"proc: /":              "which files of /proc and /sys there are depends on the host's own kernel; see mustHave",
	"proc: tasks":          "a machine tells of one thread",
	"proc: namespace":      "a machine has no namespaces",
	"proc: init":           "process 1 is the program itself",
	"proc: cpus":           "a machine has no folder for each processor",
	"proc: nets":           "a machine has no /sys/class/net",
	"proc: blocks":         "a machine has no /sys/block",
	"proc: write":          "files of /proc can't be written to",
	"proc: proc file":      "the same",
	"process: its file":    "the program's file is not in the machine: only what of it was loaded",
	"process: its path":    "the same",
	"net: port name":       "the host may have no /etc/services",
	"process: user":        "the host's root may have another home",
	"memory: path at a pa": "descriptor numbers",
}

// mustHave is what of /proc, /sys and /etc a machine has in any case.
var mustHave = []string{
	"/proc/self/stat ", "/proc/self/statm ", "/proc/self/status ^VmRSS", "/proc/self/limits ^Max open files", "/proc/self/cgroup ",
	"/proc/self/mountinfo ", "/proc/stat ^cpu  ", "/proc/meminfo ^MemTotal", "/proc/meminfo ^MemAvailable", "/proc/cpuinfo ^processor",
	"/proc/loadavg ", "/proc/uptime ", "/proc/self/net/dev ", "/proc/net/route ", "/proc/sys/net/core/somaxconn ",
	"/proc/net/tcp ", "/proc/net/udp6 ", "/proc/net/snmp ^Tcp", "/proc/net/sockstat ", "/proc/vmstat ", "/proc/diskstats ", "/proc/cpuinfo ^vendor_id", "/proc/cpuinfo ^flags",
	"/proc/self/status ^VmData", "/proc/self/smaps_rollup ", "/proc/sys/net/ipv4/ip_local_port_range ", "/sys/class/net/lo/address ", "/sys/class/net/lo/statistics/rx_bytes ",
	"/sys/kernel/mm/transparent_hugepage/enabled ", "/etc/os-release ", "/etc/services ", "/etc/protocols ", "/etc/mime.types ",
	"/sys/devices/system/cpu/online ", "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size ", "/etc/hosts ", "/etc/resolv.conf ", "/etc/passwd ",
}

// TestSameAsLinux runs the conform program on the host and in a machine, and
// wants the same output.
func TestSameAsLinux(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the program of a machine is user 0, so that the comparison must be made as root")
	}
	dir, err := os.MkdirTemp("/dev/shm", "conform")
	if err != nil {
		t.Skip("the comparison needs a tmpfs at /dev/shm: ", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, img := filepath.Join(t.TempDir(), "conform"), filepath.Join(t.TempDir(), "conform.img")
	build := exec.Command("go", "build", "-o", program, "./conform")
	build.Dir, build.Env = "guest", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.Command(command, "build", "-o", img, "./guest/conform").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	onHost := exec.Command(program, filepath.Join(dir, "w"))
	onHost.Env = append(os.Environ(), "TMPDIR=") // a machine has none
	host, err := onHost.CombinedOutput()
	if err != nil {
		t.Fatalf("on the host: %v\n%s", err, host)
	}
	machine := run(t, "-m", "256", img, "--", "/tmp/w")
	machine.expect(t, 0, "done")
	for _, name := range mustHave {
		if !strings.Contains(machine.output, "proc: "+name) || strings.Contains(machine.output, "proc: "+name+"false") {
			t.Errorf("the machine has no proper %s", name)
		}
	}
	if n := strings.Count(string(host), "\n"); n < 700 {
		t.Errorf("only %d lines to compare", n)
	}
	compareLines(t, comparable(string(host), differs), comparable(machine.output, differs))
}

// comparable drops the lines that may differ, and the kernel's own.
func comparable(output string, differs map[string]string) (lines []string) {
next:
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "pith: ") {
			continue
		}
		for start := range differs {
			if strings.HasPrefix(line, start) {
				continue next
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// compareLines tells of each line that is in one output only.
func compareLines(t *testing.T, host, machine []string) {
	t.Helper()
	for i := range max(len(host), len(machine)) {
		a, b := "nothing more", "nothing more"
		if i < len(host) {
			a = host[i]
		}
		if i < len(machine) {
			b = machine[i]
		}
		if a != b {
			t.Errorf("line %d:\nhost    %s\nmachine %s", i, a, b)
		}
	}
}
