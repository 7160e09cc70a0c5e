package qemu

import (
	"errors"
	"io"
	"time"

	"pith"
	"pith/abi"
	"pith/machine"
)

// profileGrace is how long a profile's next piece may be late.
const profileGrace = 30 * time.Second

// Profile has the machine's agent take a profile.
func (p *process) Profile(kind string, span time.Duration, to io.Writer) error {
	if !p.taking.TryLock() {
		return pith.Errorf("another profile of this machine is being taken")
	}
	defer p.taking.Unlock()
	if err := p.send("%s %s %d", abi.ControlProfile, kind, int(span.Seconds())); err != nil {
		return err
	}
	patience := time.NewTimer(span + profileGrace)
	defer patience.Stop()
	for {
		select {
		case m := <-p.pieces:
			patience.Reset(span + profileGrace)
			if done, err := takePiece(m, to); done || err != nil {
				return err
			}
		case <-p.ended:
			return errors.New("the machine ended before the profile was complete")
		case <-patience.C:
			return errors.New("the machine did not send the profile: it stands still, or its image is older than this pith")
		}
	}
}

// takePiece writes one line's bytes; done tells that all came.
func takePiece(m machine.Message, to io.Writer) (done bool, err error) {
	word, payload, _ := m.Profile()
	switch word {
	case abi.ProfileData:
		_, err := to.Write(payload)
		return false, err
	case abi.ProfileEnd:
		return true, nil
	case abi.ProfileError:
		if string(payload) == abi.NoAgent {
			return false, pith.Errorf("the image has no agent that takes profiles: start it by `pith run --profile`, or build it by `pith build --profile`")
		}
		return false, errors.New("the program: " + machine.Printable(payload))
	}
	return false, nil
}

// passPiece hands a piece to the Profile that waits. One that nobody waits for is
// of a profile that was given up.
func (p *process) passPiece(m machine.Message) {
	if p.taking.TryLock() {
		p.taking.Unlock()
		return
	}
	select {
	case p.pieces <- m:
	case <-time.After(profileGrace):
	}
}
