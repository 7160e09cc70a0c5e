package process

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"

	"pith/machine/netns"
)

// stageName is argv[0] of the stage: the program that starts machines, called
// once more inside of the new namespaces.
const stageName = "pith-stage"

// The stage's descriptors.
const (
	controlFD = 3
	programFD = 4
	foldersFD = 5 // the first of those that are handed over
)

// RunStage is the first call in main of every program that uses this driver. In
// a stage it does not return: it becomes the machine's program.
func RunStage() {
	if len(os.Args) != 1 || os.Args[0] != stageName {
		return
	}
	runtime.LockOSThread() // rights, filter and program belong to one thread
	unix.CloseOnExec(controlFD)
	unix.CloseOnExec(programFD)
	file := os.NewFile(controlFD, "control")
	conn, err := net.FileConn(file)
	if err != nil {
		os.Exit(1)
	}
	control := conn.(*net.UnixConn)
	fmt.Fprint(control, stage(control))
	os.Exit(1)
}

// stage reads as the list of what is taken from the process, until it is the
// program. It returns only an error.
func stage(control *net.UnixConn) error {
	var j job
	if err := json.NewDecoder(control).Decode(&j); err != nil {
		return fmt.Errorf("the stage's job: %w", err)
	}
	if err := unix.Sethostname([]byte(j.Name)); err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	if err := network(control, j.Plans); err != nil {
		return err
	}
	if err := changeRoot(j); err != nil {
		return fmt.Errorf("empty file system: %w", err)
	}
	if err := unix.Chdir(j.Dir); err != nil {
		return fmt.Errorf("working directory %s: %w", j.Dir, err)
	}
	if err := limit(j); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	if err := dropCapabilities(j.rights()); err != nil {
		return fmt.Errorf("rights: %w", err)
	}
	if err := filterCalls(j.Forward); err != nil {
		return fmt.Errorf("system calls: %w", err)
	}
	return fmt.Errorf("execute the program: %w", become(programFD, j.Argv, j.Env))
}

// network configures the interfaces and hands the taps to the supervisor.
func network(control *net.UnixConn, plans []netns.Plan) error {
	taps, err := netns.Configure(plans)
	if err != nil {
		return err
	}
	var fds []int
	for _, t := range taps {
		fds = append(fds, int(t.Fd()))
	}
	if _, _, err := control.WriteMsgUnix([]byte(ready), unix.UnixRights(fds...), nil); err != nil {
		return fmt.Errorf("hand over the network: %w", err)
	}
	closeAll(taps)
	return nil
}

// maxFiles is how many descriptors a program may have, where the host's own
// limit lets it.
const maxFiles = 1 << 16

// dataRoom is what Go's runtime may map as data beyond the heap: it takes
// address space in units of 64 MiB.
const dataRoom = 128 << 20

func limit(j job) error {
	var set unix.CPUSet
	for _, cpu := range j.CPUs {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return err
	}
	limits := map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: maxFiles}
	if j.Limit {
		limits[unix.RLIMIT_DATA] = uint64(j.Memory + dataRoom)
	}
	for what, most := range limits {
		var now unix.Rlimit
		if err := unix.Getrlimit(what, &now); err != nil {
			return err
		}
		most = min(most, now.Max)
		if err := unix.Setrlimit(what, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return err
		}
	}
	return nil
}

// rights are the capabilities that a program keeps, as a set: one that forwards may
// open packet sockets in its own network namespace.
func (j job) rights() uint32 {
	if j.Forward {
		return 1 << unix.CAP_NET_RAW
	}
	return 0
}

// dropCapabilities gives up all rights in the namespaces for good, but those to keep,
// which are among the first 32. Source: capabilities(7).
func dropCapabilities(keep uint32) error {
	for c := range uintptr(unix.CAP_LAST_CAP + 1) {
		if c < 32 && keep&(1<<c) != 0 {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if err != nil && err != unix.EINVAL { // an older kernel has fewer
			return err
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	set := []unix.CapUserData{{Effective: keep, Permitted: keep, Inheritable: keep}, {}}
	if err := unix.Capset(&header, &set[0]); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// pointers makes a vector of C strings for the kernel.
func pointers(list []string) ([]*byte, error) {
	vector := make([]*byte, 0, len(list)+1)
	for s := range slices.Values(list) {
		p, err := unix.BytePtrFromString(s)
		if err != nil {
			return nil, err
		}
		vector = append(vector, p)
	}
	return append(vector, nil), nil
}
