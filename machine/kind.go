package machine

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"

	"pith"
	"pith/abi"
)

// Kinds of machines: what the program's own kernel is.
const (
	KindUnikernel = "unikernel" // Pith's library OS, in a virtual machine
	KindProcess   = "process"   // the host's kernel, as a confined process
	KindContainer = "container" // the host's kernel, by an OCI runtime
	KindLinuxVM   = "linuxvm"   // a Linux kernel, in a virtual machine
)

// Kinds are all kinds.
var Kinds = []string{KindUnikernel, KindProcess, KindContainer, KindLinuxVM}

// CheckKind refuses a word that is no kind.
func CheckKind(kind string) error {
	for _, k := range Kinds {
		if k == kind {
			return nil
		}
	}
	return pith.Errorf("there is no machine kind %q: use %s", kind, strings.Join(Kinds, ", "))
}

// Hosted reports whether a kind runs an ordinary Linux program instead of an
// image with a kernel in it.
func Hosted(kind string) bool { return kind != "" && kind != KindUnikernel }

// ErrMemory is the end of a machine that its kernel ended for want of memory.
var ErrMemory = errors.New("out of memory: the program used all that it was given; try a larger -m")

// Cleaner is a driver whose machines can leave something behind on the host
// when their supervisor is killed.
type Cleaner interface {
	// Clean takes away what the machine with the driver's folder dir left;
	// its process has ended. Nothing left is no error.
	Clean(dir string, s Spec) error
}

// Abandoned reports whether the machine's supervisor is gone without having
// said how the machine ended.
func (e *Entry) Abandoned() bool {
	var s State
	return readJSON(filepath.Join(e.Dir, stateFile), &s) == nil && s.Status != StatusExited && !s.Supervisor.Alive()
}

// Settle ends an abandoned machine, lets its driver clean up, and records the
// end.
func (e *Entry) Settle(d Driver) error {
	s := e.State()
	if err := s.Process.Kill(); err != nil {
		return err
	}
	if c, ok := d.(Cleaner); ok {
		if err := c.Clean(filepath.Join(e.Dir, driverDir), e.Spec); err != nil {
			return err
		}
	}
	return e.SetState(s)
}

// ListenMessage is what a guest says when it listens at a port.
func ListenMessage(protocol string, port uint16) Message {
	return Message{Kind: abi.ControlListen, Words: []string{protocol, strconv.Itoa(int(port))}}
}
