package bench

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"pith/machine"
)

// Stages of a start, in their order. An instance has those that its kind has.
const (
	StageVMM     = "VMM"     // until the machine's counter begins: the VMM; runc; a process's exec
	StageKernel  = "kernel"  // until the kernel hands over to the first program
	StageInit    = "init"    // until a Linux guest's init becomes the program
	StageRuntime = "runtime" // until Go's runtime initialises the program's packages
	StageMain    = "main"    // until the program says that it serves
	StageAnswer  = "answer"  // until its first right answer; seen from outside
)

// StageNames are all stages in their order.
var StageNames = []string{StageVMM, StageKernel, StageInit, StageRuntime, StageMain, StageAnswer}

// Stage is a part of a start.
type Stage struct {
	Name string
	End  time.Duration // since the instance's Started
}

// Stager is an instance that knows the stages of its start, but for the last. It
// was started with Shape.Trace.
type Stager interface{ Stages() []Stage }

// What a traced program prints: Go's runtime a line for each package that it
// initialises (GODEBUG=inittrace=1), then the services of Pith that they serve.
const (
	traceVariable = "GODEBUG=inittrace=1"
	runtimeMark   = "init "
	servesMark    = " serves"
)

// traced is a program's environment.
func traced(s Shape, env []string) []string {
	if !s.Trace {
		return env
	}
	return append([]string{traceVariable}, env...)
}

// marks are texts that an output is expected to have, one after the other, and when
// the lines with them came.
type marks struct {
	texts []string
	lines []marked
	line  []byte // the one that is being written
}

type marked struct {
	at   time.Time
	line string
}

// longestLine bounds what is kept of a line, in bytes.
const longestLine = 4096

// look takes the next part of the output.
func (m *marks) look(b []byte, now time.Time) {
	for _, c := range b {
		if len(m.lines) == len(m.texts) {
			return
		}
		if c != '\n' {
			if len(m.line) < longestLine {
				m.line = append(m.line, c)
			}
			continue
		}
		if line := string(m.line); strings.Contains(line, m.texts[len(m.lines)]) {
			m.lines = append(m.lines, marked{now, line})
		}
		m.line = m.line[:0]
	}
}

// stages are the ends of the stages that the marks stand for, as far as they came.
func (m *marks) stages(started time.Time, names ...string) []Stage {
	var all []Stage
	for i, line := range m.lines {
		all = append(all, Stage{names[i], line.at.Sub(started)})
	}
	return all
}

// stamps are those of a unikernel's kernel.
type stamps struct {
	mu          sync.Mutex
	vmm, kernel time.Time
}

// Stamps of kernel/boot: the first one, and the one as the runtime is entered.
const (
	firstStamp   = 1
	runtimeStamp = 4
)

func (s *stamps) notify(m machine.Message) {
	now := time.Now()
	number, _, at, ok := m.Stamp()
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch number {
	case firstStamp:
		s.vmm = now.Add(-at) // when the guest's counter began
	case runtimeStamp:
		s.kernel = now
	}
}

// stages are those that the stamps stand for.
func (s *stamps) stages(started time.Time) []Stage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.vmm.IsZero() || s.kernel.IsZero() {
		return nil
	}
	return []Stage{{StageVMM, s.vmm.Sub(started)}, {StageKernel, s.kernel.Sub(started)}}
}

// initStamp is what a Linux guest's init prints first, before how many ns the
// guest's counter has run; programStamp what it prints last.
const (
	initStamp    = "stamp init "
	programStamp = "stamp program"
)

// linuxStages are a Linux guest's, by the lines with its marks.
func linuxStages(m *marks, started time.Time) []Stage {
	all := m.stages(started, StageKernel, StageInit, StageRuntime, StageMain)
	if len(all) == 0 {
		return nil
	}
	_, text, _ := strings.Cut(m.lines[0].line, initStamp)
	ns, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return all // the counter's rate is unknown: the VMM's part is in the kernel's
	}
	return append([]Stage{{StageVMM, all[0].End - time.Duration(ns)}}, all...)
}
