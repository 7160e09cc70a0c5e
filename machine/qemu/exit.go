package qemu

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"pith/machine"
)

// ending is all that is known when QEMU has ended.
type ending struct {
	status int    // QEMU's exit status, -1 when a signal ended it
	code   *int   // the guest's own word
	oom    error  // the guest said that memory ran out
	killed bool   // this process killed it
	reason string // of QMP's SHUTDOWN event
	stderr string
	err    error // of the wait for the process
}

// exit decides how the machine ended: the guest's own word comes first, then
// the status of isa-debug-exit, then QEMU's failure.
func (e ending) exit() machine.Exit {
	switch {
	case e.code != nil && e.oom != nil:
		return machine.Exit{Code: *e.code, Err: e.oom}
	case e.code != nil:
		return machine.Exit{Code: *e.code}
	case e.killed:
		return machine.Exit{Code: machine.ExitKilled}
	case e.status == 0:
		return silent(e.reason)
	case e.status > 1 && e.status&1 == 1:
		// isa-debug-exit: value<<1|1. Status 1 would be value 0, but
		// it is also how QEMU says that something failed.
		return machine.Exit{Code: e.status >> 1}
	case e.status == -1:
		return failure(fmt.Errorf("QEMU was ended from outside: %w", e.err))
	default:
		return failure(explain(e.stderr))
	}
}

func failure(err error) machine.Exit { return machine.Exit{Code: machine.ExitFailure, Err: err} }

// silent is the end of a guest that went away without a word.
func silent(reason string) machine.Exit {
	switch reason {
	case "guest-shutdown":
		return machine.Exit{}
	case "host-qmp-quit", "host-signal":
		return machine.Exit{Code: machine.ExitKilled}
	default:
		return failure(errors.New("the machine reset itself without a word (a triple fault): that is a bug in the image's kernel; --trace shows how far it came"))
	}
}

var (
	forwardPattern = regexp.MustCompile(`Could not set up host forwarding rule '(tcp|udp):([0-9.]+:[0-9]+)-`)
	prefixPattern  = regexp.MustCompile(`^(qemu-system-[a-z0-9_]+|qemu): `)
)

// explain turns what QEMU printed into one sentence.
func explain(stderr string) error {
	text := strings.TrimSpace(stderr)
	switch {
	case text == "":
		return errors.New("QEMU failed and said nothing")
	case strings.Contains(text, "PVH ELF Note"):
		return errors.New("QEMU found no boot entry in the image: build it again with `pith build`")
	case strings.Contains(text, "cannot set up guest memory"), strings.Contains(text, "Cannot allocate memory"):
		return errors.New("this host has not as much memory as the machine should get: try a smaller -m")
	}
	if m := forwardPattern.FindStringSubmatch(text); m != nil {
		return fmt.Errorf("%s/%s can't be published: another program on this host uses it", m[2], m[1])
	}
	lines := strings.Split(text, "\n")
	return fmt.Errorf("QEMU failed: %s", prefixPattern.ReplaceAllString(lines[len(lines)-1], ""))
}
