// Package network joins a machine's card to the host: to the driver's own
// rootless network, to an existing tap interface, or to a bridge by a tap that
// lives as long as the machine.
//
// It relies on Linux's TUN/TAP driver (Documentation/networking/tuntap.rst)
// for taps and bridges, and on network namespaces for the networks of a
// deployment (Lab). It must not change addresses, routes or packet filters of the
// host, and leaves no interface behind.
package network

import (
	"os"
	"regexp"
	"strings"

	"pith"
)

// Kind of a network.
type Kind string

// Kinds of networks.
const (
	User   Kind = "user"   // rootless, inside the driver; ports are published
	Tap    Kind = "tap"    // an existing tap interface
	Bridge Kind = "bridge" // a new tap on an existing bridge
)

// Mode says which network a card is joined to.
type Mode struct {
	Kind Kind
	Name string // the tap's or bridge's name; "" for User
}

// interfacePattern is a name that Linux takes (IFNAMSIZ is 16 with its zero)
// and that needs no quoting anywhere.
var interfacePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$`)

// ParseMode reads "user", "tap:NAME" or "bridge:NAME".
func ParseMode(s string) (Mode, error) {
	kind, name, hasName := strings.Cut(s, ":")
	switch Kind(kind) {
	case User:
		if hasName {
			return Mode{}, pith.Errorf("network %q: user takes no name", s)
		}
	case Tap, Bridge:
		if !interfacePattern.MatchString(name) {
			return Mode{}, pith.Errorf("network %q: write %s:NAME with the name of an interface of this host", s, kind)
		}
	default:
		return Mode{}, pith.Errorf("there is no network %q: use user, tap:NAME or bridge:NAME", s)
	}
	return Mode{Kind(kind), name}, nil
}

// String writes a mode as ParseMode reads it.
func (m Mode) String() string {
	if m.Kind == User {
		return string(User)
	}
	return string(m.Kind) + ":" + m.Name
}

// Attachment is a card's end on the host: User or Tap is set.
type Attachment struct {
	User   bool       // the driver's own network
	Tap    *os.File   // an open tap with virtio-net headers
	Queues []*os.File // the tap's further queues
}

// MaxQueues is how many queues of a tap a machine is given at most. More don't
// help: QEMU serves all of them on one thread.
const MaxQueues = 8

// Check refuses a mode that this host can't offer. It changes nothing, so that what
// only an attempt shows (a tap in use) is left to Attach.
func Check(m Mode) error {
	if m.Kind == User {
		return nil
	}
	return checkTap(m)
}

// Attach opens the host's end for a mode, with one queue. Close it when the
// machine has started: the machine holds it by then.
func Attach(m Mode) (Attachment, error) { return AttachQueues(m, 1) }

// AttachQueues is Attach with up to the given count of queues, and no more than
// MaxQueues. A tap that the user made without queues has only one. All queues must
// be read: the host spreads what comes over them.
func AttachQueues(m Mode, queues int) (Attachment, error) {
	if m.Kind == User {
		return Attachment{User: true}, nil
	}
	files, err := openTap(m, min(max(queues, 1), MaxQueues))
	if err != nil {
		return Attachment{}, err
	}
	return Attachment{Tap: files[0], Queues: files[1:]}, nil
}

// Close gives up this process's hold.
func (a Attachment) Close() {
	if a.Tap != nil {
		a.Tap.Close()
	}
	closeAll(a.Queues)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
