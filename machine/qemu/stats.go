package qemu

import (
	"errors"
	"io"
	"os"
	"time"

	"pith/abi"
	"pith/machine"
)

// answerTime is how long a machine may take to say its figures: one whose CPUs
// are all at work in the kernel still answers.
const answerTime = 5 * time.Second

// Stats asks the machine for its figures.
func (p *process) Stats() (machine.Stats, error) {
	p.asking.Lock()
	defer p.asking.Unlock()
	select {
	case <-p.answers: // of a question that was given up
	default:
	}
	if err := p.send(abi.ControlStats); err != nil {
		return machine.Stats{}, err
	}
	select {
	case s := <-p.answers:
		return s, nil
	case <-p.ended:
		return machine.Stats{}, errors.New("the machine has ended")
	case <-time.After(answerTime):
		return machine.Stats{}, errors.New("the machine did not answer: it is still booting, stands still, or its image is older than this pith")
	}
}

// hear takes what the machine says on its control port, until that is closed.
func (p *process) hear(control *os.File) {
	io.Copy(&machine.LineReader{Notify: func(m machine.Message) {
		if _, _, ok := m.Profile(); ok {
			p.passPiece(m)
			return
		}
		s, ok := m.Stats()
		if !ok {
			return
		}
		select {
		case p.answers <- s:
		default: // nobody asked
		}
	}}, control)
}
