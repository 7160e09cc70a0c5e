package process

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"pith/machine"
	"pith/machine/netns"
)

// job is all that the stage is told, as JSON.
type job struct {
	Name   string
	Argv   []string
	Env    []string
	Plans  []netns.Plan
	Files  []machine.RootFile
	Shares []folder
	Dir    string // the program starts there
	CPUs   []int  // which CPUs of the host to run on
	Memory int64  // bytes
	// Forward lets the program open packet sockets.
	Forward bool
	// Limit makes the stage limit the memory by itself: there is no control
	// group.
	Limit bool
}

func newJob(l machine.Launch, shares []folder, grouped bool) (job, error) {
	cpus, err := chooseCPUs(l.Spec.CPUs)
	if err != nil {
		return job{}, err
	}
	files, err := l.Spec.RootFiles()
	if err != nil {
		return job{}, err
	}
	return job{
		Name:   l.Spec.Name,
		Argv:   l.Spec.Argv(),
		Env:    l.Spec.Environ(),
		Plans:  netns.Plans(l.Cards, l.Spec.Forward),
		Files:  files,
		Shares: shares,
		Dir:    cmp.Or(l.Spec.Dir, "/"),
		CPUs:   cpus,
		Memory: l.Spec.Memory,
		Limit:  !grouped,

		Forward: l.Spec.Forward,
	}, nil
}

// chooseCPUs picks n of the CPUs that this process may use, by lot: machines
// that each took the first ones would share them.
func chooseCPUs(n int) ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("this host's CPUs: %w", err)
	}
	var all []int
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			all = append(all, cpu)
		}
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(n, len(all))], nil
}

// give sends the job and takes the stage's answer: its taps, and at last the
// end of the line, which means that the program has taken its place.
func (j job) give(control *net.UnixConn) (taps []*os.File, err error) {
	// Nothing may follow the value: what the stage left unread would come back
	// as a reset connection.
	message, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("start the process: %w", err)
	}
	if _, err := control.Write(message); err != nil {
		return nil, fmt.Errorf("start the process: %w", err)
	}
	defer func() {
		if err != nil {
			closeAll(taps)
		}
	}()
	buf, rights := make([]byte, 4096), make([]byte, 256)
	var text strings.Builder
	for {
		n, nr, _, _, err := control.ReadMsgUnix(buf, rights)
		if errors.Is(err, io.EOF) || err == nil && n == 0 {
			break
		}
		if err != nil {
			return taps, fmt.Errorf("start the process: %w", err)
		}
		taps = append(taps, received(rights[:nr])...)
		text.Write(buf[:n])
	}
	if text.String() != ready {
		said, _ := strings.CutPrefix(text.String(), ready)
		if said == "" {
			said = "it ended without a word"
		}
		return taps, fmt.Errorf("start the process: %s", said)
	}
	return taps, nil
}

// ready is what a stage says when its network is there. More behind it is why
// it failed then.
const ready = "ready\n"

// received takes the files out of a control message.
func received(rights []byte) []*os.File {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "tap"))
		}
	}
	return files
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
